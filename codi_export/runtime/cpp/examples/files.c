#include "files.h"

#define STB_IMAGE_IMPLEMENTATION
#define STB_IMAGE_WRITE_IMPLEMENTATION
#include <stb_image.h>
#include <stb_image_write.h>

int read_image(const char *path, codi_image *image) {
    int channels;
    image->data = stbi_load(path, &image->width, &image->height, &channels, 3);
    image->pitch = 0;
    image->format = CODI_RGB;
    return image->data != NULL;
}

int write_png(const char *path, const codi_image *image) {
    return stbi_write_png(path, image->width, image->height, 3, image->data, image->width * 3);
}
