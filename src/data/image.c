/* The table of picture formats and the allocation that all of them share. */
#include "data/image.h"

#include <inttypes.h>
#include <string.h>

typedef struct ImageFormat {
    const char *name;
    const char *magic;
    size_t magic_bytes;
    FbStatus (*decode)(FbContext *, const char *, const uint8_t *, size_t, FbImage *, FbError *);
} ImageFormat;

static const ImageFormat image_formats[] = {
    {"png", "\x89PNG\r\n\x1a\n", 8, fb_image_decode_png},
    {"jpeg", "\xff\xd8\xff", 3, fb_image_decode_jpeg},
};

FbStatus fb_image_decode(FbContext *context, const char *what, const uint8_t *bytes, size_t count, FbImage *image, FbError *err)
{
    memset(image, 0, sizeof *image);
    for (size_t i = 0; i < sizeof image_formats / sizeof image_formats[0]; i++) {
        const ImageFormat *format = &image_formats[i];
        if (count >= format->magic_bytes && memcmp(bytes, format->magic, format->magic_bytes) == 0) {
            FbStatus status = format->decode(context, what, bytes, count, image, err);
            if (status != FB_OK) {
                fb_image_reset(context, image);
            }
            return status;
        }
    }
    return fb_error_set(err, FB_ERR_FORMAT, "%s: neither PNG nor JPEG by its first bytes", what);
}

FbStatus fb_image_alloc(FbContext *context, const char *what, uint64_t width, uint64_t height, int channels, FbImage *image, FbError *err)
{
    if (width == 0 || height == 0) {
        return fb_error_set(err, FB_ERR_FORMAT, "%s: a picture of %" PRIu64 " x %" PRIu64 " pixels", what, width, height);
    }
    if (width > FB_IMAGE_SIDE_MAX || height > FB_IMAGE_SIDE_MAX || width * height > FB_IMAGE_PIXELS_MAX) {
        return fb_error_set(err, FB_ERR_BUDGET, "%s: %" PRIu64 " x %" PRIu64 " pixels; at most %" PRIu64 " are decoded, %d on a side", what,
                            width, height, FB_IMAGE_PIXELS_MAX, FB_IMAGE_SIDE_MAX);
    }
    size_t bytes = (size_t)(width * height) * (size_t)channels;
    image->pixels = fb_alloc(context, bytes);
    if (image->pixels == NULL) {
        return fb_error_memory(context, err, what, bytes);
    }
    image->width = (int)width;
    image->height = (int)height;
    image->channels = channels;
    return FB_OK;
}

void fb_image_reset(FbContext *context, FbImage *image)
{
    fb_free(context, image->pixels);
    memset(image, 0, sizeof *image);
}
