/* .npy and .npz: what is accepted can be read row by row, and everything is given back. */
#include "data/arrays.h"
#include "fuzz.h"

static void read_rows(FbContext *context, FbArrays *arrays, size_t index)
{
    const FbArrayInfo *info = fb_arrays_info(arrays, index);
    FUZZ_CHECK(info->rank >= 0 && info->rank <= FB_NPY_RANK_MAX);
    void *row = fb_alloc(context, info->row_bytes);
    for (uint64_t i = 0; row != NULL && info->row_bytes > 0 && i < info->rows && i < 50; i++) {
        FbError err;
        if (fb_arrays_read(arrays, index, i * 7 % info->rows, 1, row, &err) != FB_OK) {
            break;
        }
    }
    fb_free(context, row);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    FbContextOptions options = {.struct_bytes = sizeof options, .threads = 1, .max_memory = 64 << 20};
    FbContext *context = NULL;
    FbSource *source = NULL;
    FbArrays *arrays = NULL;
    FbError err;
    if (fb_context_create(&options, &context, &err) != FB_OK) {
        return 0;
    }
    if (fb_source_from_memory(context, data, size, &source, &err) == FB_OK && fb_arrays_open(context, source, &arrays, &err) == FB_OK) {
        for (size_t i = 0; i < fb_arrays_count(arrays); i++) {
            if (fb_arrays_verify(arrays, i, &err) == FB_OK) {
                read_rows(context, arrays, i);
            }
        }
    }
    fb_arrays_free(arrays);
    fb_source_release(source);
    FUZZ_CHECK(fb_context_memory_now(context) == 0);
    fb_context_free(context);
    return 0;
}
