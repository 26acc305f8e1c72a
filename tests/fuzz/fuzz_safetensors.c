/* Safetensors headers: of an accepted file every tensor lies inside it, the tensors cover the data exactly and can be read, and all memory comes
 * back. */
#include <stdlib.h>

#include "fuzz.h"
#include "io/safetensors/safetensors.h"

static void use(FbContext *context, const FbCheckpoint *table, size_t size)
{
    uint64_t total = 0, first = size;
    for (size_t i = 0; i < table->tensor_count; i++) {
        const FbConst *constant = &table->tensors[i].constant;
        const FbPlane *plane = &constant->planes[FB_PLANE_CODES];
        int64_t elements = fb_shape_elements(&constant->shape);
        float values[4];
        FUZZ_CHECK(plane->offset <= size && plane->bytes <= size - plane->offset && elements >= 0);
        FUZZ_CHECK(fb_checkpoint_tensor(table, table->tensors[i].name) == &table->tensors[i]);
        total += plane->bytes;
        first = plane->offset < first ? plane->offset : first;
        if (constant->dtype != FB_DTYPE_C64) {
            size_t count = elements < 4 ? (size_t)elements : 4;
            FUZZ_CHECK(fb_const_read_f32(context, constant, (uint64_t)elements - count, count, values, NULL) == FB_OK);
        }
    }
    FUZZ_CHECK(table->tensor_count == 0 || total == size - first);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    FbContextOptions options = {.struct_bytes = sizeof options, .threads = 1, .max_memory = 64 << 20};
    FbContext *context = NULL;
    FbSource *source = NULL;
    FbCheckpoint *table = NULL;
    if (fb_context_create(&options, &context, NULL) != FB_OK) {
        return 0;
    }
    if (fb_source_from_memory(context, data, size, &source, NULL) == FB_OK &&
        fb_safetensors_open_source(context, source, "m.safetensors", &table, NULL) == FB_OK) {
        use(context, table, size);
    }
    fb_checkpoint_free(table);
    fb_source_release(source);
    FUZZ_CHECK(fb_context_memory_now(context) == 0);
    fb_context_free(context);
    return 0;
}
