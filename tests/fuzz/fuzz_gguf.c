/* GGUF files: of an accepted file every tensor lies inside it behind the others and can be read, every value too, a graph is built or refused, and
 * all memory comes back. */
#include <stdlib.h>

#include "fewbit/language.h"
#include "fuzz.h"
#include "io/gguf/gguf.h"
#include "tensor/block_type.h"

static void use_tensors(FbContext *context, const FbCheckpoint *table, size_t size)
{
    uint64_t end = 0;
    for (size_t i = 0; i < table->tensor_count; i++) {
        const FbConst *constant = &table->tensors[i].constant;
        const FbPlane *plane = &constant->planes[FB_PLANE_CODES];
        int64_t elements = fb_shape_elements(&constant->shape);
        float values[40];
        FUZZ_CHECK(plane->offset >= end && plane->offset <= size && plane->bytes <= size - plane->offset && elements > 0);
        FUZZ_CHECK(fb_checkpoint_tensor(table, table->tensors[i].name) == &table->tensors[i]);
        end = plane->offset + plane->bytes;
        size_t count = elements < 40 ? (size_t)elements : 40;
        FbStatus status = fb_const_read_f32(context, constant, (uint64_t)elements - count, count, values, NULL);
        bool readable = constant->encoding == NULL || constant->encoding->blocks->decode != NULL;
        FUZZ_CHECK(status == (readable ? FB_OK : FB_ERR_UNSUPPORTED));
    }
}

static void use_values(FbContext *context, const FbCheckpoint *table)
{
    FbArena *arena = fb_arena_create(context);
    for (size_t i = 0; arena != NULL && i < table->metadata_count; i++) {
        const FbMeta *meta = &table->metadata[i];
        FbBytes *strings;
        double number;
        FUZZ_CHECK(fb_checkpoint_meta(table, meta->key) == meta);
        if (meta->is_array && meta->type == FB_META_STRING) {
            FUZZ_CHECK(fb_meta_read_strings(arena, meta, &strings, NULL) == FB_OK);
        } else if (meta->is_array && meta->count > 0) {
            FUZZ_CHECK(fb_meta_read_numbers(meta, meta->count - 1, 1, &number, NULL) == FB_OK);
        }
    }
    if (arena != NULL) {
        fb_arena_free(arena);
    }
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
        fb_gguf_open_source(context, source, "m.gguf", &table, NULL) == FB_OK) {
        use_tensors(context, table, size);
        use_values(context, table);
        FbModel *model = NULL;
        FUZZ_CHECK((fb_language_build(context, table, NULL, &model, NULL) == FB_OK) == (model != NULL));
        fb_model_free(model);
    }
    fb_checkpoint_free(table);
    fb_source_release(source);
    FUZZ_CHECK(fb_context_memory_now(context) == 0);
    fb_context_free(context);
    return 0;
}
