/* Image files for the examples, by stb: PNG, JPEG and more in, PNG out. Orientation and colour profiles are not read. */
#pragma once
#include <codi.h>
#ifdef __cplusplus
extern "C" {
#endif
int read_image(const char *path, codi_image *image); /* RGB; 0 if it cannot be read. Release with free(image->data) */
int write_png(const char *path, const codi_image *image);
#ifdef __cplusplus
}
#endif
