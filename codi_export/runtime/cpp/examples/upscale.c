/* The same in C: upscale-c BUNDLE INPUT OUTPUT.png */
#include <codi.h>
#include <stdio.h>
#include <stdlib.h>

#include "files.h"

static int failed(const char *what) {
    fprintf(stderr, "%s\n", what);
    return 1;
}

int main(int argc, char **argv) {
    codi_session *session = NULL;
    codi_image small = {0}, large = {0};
    codi_info info;
    int status;

    if (argc != 4) return fprintf(stderr, "usage: %s BUNDLE INPUT OUTPUT.png\n", argv[0]), 2;
    if (!read_image(argv[2], &small)) return failed("cannot read the input");
    if (codi_load(argv[1], NULL, &session)) return failed(codi_last_error());

    codi_info_init(&info, sizeof info);
    codi_get_info(session, &info);
    large.width = small.width * info.scale;
    large.height = small.height * info.scale;
    large.data = malloc((size_t)3 * large.width * large.height);
    large.format = CODI_RGB;

    status = codi_run(session, &small, &large, NULL) ? failed(codi_last_error()) : 0;
    if (!status && !write_png(argv[3], &large)) status = failed("cannot write the output");
    codi_free(session);
    free(large.data);
    free(small.data);
    return status;
}
