/* Pictures: PNG and JPEG to 8-bit RGB, with the number of pixels capped before anything is decoded. */
#ifndef FB_DATA_IMAGE_H
#define FB_DATA_IMAGE_H

#include "base/context.h"

enum { FB_IMAGE_SIDE_MAX = 65500, FB_IMAGE_CHANNELS = 3 };
#define FB_IMAGE_PIXELS_MAX (UINT64_C(1) << 26) /* 67 million: 192 MiB of RGB */

typedef struct FbImage {
    int width, height;
    int channels;     /* 3: R, G, B; 1: grey */
    uint8_t *pixels;  /* [height, width, channels]; freed with fb_image_reset */
} FbImage;

/* Decodes by content. 16-bit samples keep their high byte, palettes and grey become RGB, alpha is dropped without blending, CMYK becomes
 * RGB, an EXIF rotation is not applied. What a decoder would only warn of when data are missing or damaged is an error here. `what` names
 * the picture in messages. */
FbStatus fb_image_decode(FbContext *context, const char *what, const uint8_t *bytes, size_t count, FbImage *image, FbError *err);
void fb_image_reset(FbContext *context, FbImage *image);

/* Allocates pixels of width x height x channels; checks the caps. */
FbStatus fb_image_alloc(FbContext *context, const char *what, uint64_t width, uint64_t height, int channels, FbImage *image, FbError *err);

/* One format each; fb_image_decode chooses. */
FbStatus fb_image_decode_png(FbContext *context, const char *what, const uint8_t *bytes, size_t count, FbImage *image, FbError *err);
FbStatus fb_image_decode_jpeg(FbContext *context, const char *what, const uint8_t *bytes, size_t count, FbImage *image, FbError *err);

#endif
