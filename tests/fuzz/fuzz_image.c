/* PNG and JPEG: an accepted picture has its pixels, memory stays under the cap, everything is given back. */
#include "data/image.h"
#include "fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    FbContextOptions options = {.struct_bytes = sizeof options, .threads = 1, .max_memory = 256 << 20};
    FbContext *context = NULL;
    FbImage image = {0};
    FbError err;
    if (fb_context_create(&options, &context, &err) != FB_OK) {
        return 0;
    }
    if (fb_image_decode(context, "picture", data, size, &image, &err) == FB_OK) {
        size_t bytes = (size_t)image.width * (size_t)image.height * (size_t)image.channels;
        volatile uint8_t sum = 0;
        FUZZ_CHECK(image.width > 0 && image.height > 0 && (uint64_t)image.width * (uint64_t)image.height <= FB_IMAGE_PIXELS_MAX);
        for (size_t i = 0; i < bytes; i++) {
            sum = (uint8_t)(sum + image.pixels[i]);
        }
    }
    fb_image_reset(context, &image);
    FUZZ_CHECK(fb_context_memory_now(context) == 0);
    fb_context_free(context);
    return 0;
}
