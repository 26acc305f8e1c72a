/* Preprocess documents: what is accepted runs on a small picture or says why not. */
#include "data/preprocess.h"
#include "fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const FbPort port = {"image", FB_DTYPE_F32, 4, {-1, 3, -2, -3}};
    FbContextOptions options = {.struct_bytes = sizeof options, .threads = 1, .max_memory = 64 << 20};
    uint8_t pixels[5 * 7 * 3] = {0};
    FbImage image = {.width = 7, .height = 5, .channels = 3, .pixels = pixels}, ready = {0};
    FbContext *context = NULL;
    json_t *document = NULL;
    FbPreprocess preprocess;
    FbError err;
    if (fb_context_create(&options, &context, &err) != FB_OK) {
        return 0;
    }
    if (fb_json_parse((const char *)data, size, FB_PREPROCESS_FILE_MAX, "p.json", &document, &err) == FB_OK &&
        fb_preprocess_parse(document, "p.json", &port, &preprocess, &err) == FB_OK &&
        fb_preprocess_geometry(context, "picture", &preprocess, &port, &image, &ready, &err) == FB_OK) {
        FbTensor tensor;
        if (fb_preprocess_shape("picture", &preprocess, &port, &ready, &tensor, &err) == FB_OK && tensor.bytes <= 16 << 20) {
            tensor.data = fb_alloc(context, tensor.bytes);
            if (tensor.data != NULL) {
                FUZZ_CHECK(fb_preprocess_values("picture", &preprocess, &port, &ready, &tensor, &err) == FB_OK);
            }
            fb_free(context, tensor.data);
        }
    }
    json_decref(document);
    fb_image_reset(context, &ready);
    FUZZ_CHECK(fb_context_memory_now(context) == 0);
    fb_context_free(context);
    return 0;
}
