/* config.json to graph: of an accepted one the graph sorts, its weights lie in the file, and all memory comes back. */
#include "fuzz.h"
#include "graph/model.h"
#include "io/language_maker.h"

static bool names(const uint8_t *data, size_t size, const char *word)
{
    size_t length = strlen(word);
    for (size_t i = 0; i + length <= size; i++) {
        if (memcmp(data + i, word, length) == 0) {
            return true;
        }
    }
    return false;
}

static void use(FbContext *context, const FbModel *model)
{
    FbArena *arena = fb_arena_create(context);
    FbId *order;
    size_t count;
    FUZZ_CHECK(fb_language_info(model) != NULL && fb_model_input_count(model) == 4 && fb_model_output_count(model) == 1);
    if (arena != NULL && fb_graph_sort(model->graph, arena, &order, &count, NULL) == FB_OK) {
        FUZZ_CHECK(count > 4);
    }
    for (size_t i = 0; i < model->graph->constant_count; i++) {
        const FbConst *constant = model->graph->constants[i];
        const FbPlane *plane = &constant->planes[FB_PLANE_CODES];
        float last;
        int64_t elements = fb_shape_elements(&constant->shape);
        FUZZ_CHECK(elements > 0 && (plane->source == NULL || plane->offset + plane->bytes <= MAKER_BYTES));
        if (constant->dtype == FB_DTYPE_F32) {
            FUZZ_CHECK(fb_const_read_f32(context, constant, (uint64_t)elements - 1, 1, &last, NULL) == FB_OK);
        }
    }
    fb_arena_free(arena);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    FbContextOptions options = {.struct_bytes = sizeof options, .threads = 1, .max_memory = 64 << 20};
    FbContext *context = NULL;
    FbCheckpoint *table = NULL;
    FbModel *model = NULL;
    FbLanguageInfo info;
    const MakerTensor *tensors = names(data, size, "gpt2") ? maker_gpt2 : names(data, size, "mixtral") ? maker_mixtral : maker_llama;
    if (fb_context_create(&options, &context, NULL) != FB_OK) {
        return 0;
    }
    if (maker_checkpoint(context, (const char *)data, size, tensors, &table, NULL) == FB_OK) {
        FbStatus described = fb_language_describe(context, table, &info, NULL);
        if (fb_language_build(context, table, NULL, &model, NULL) == FB_OK) {
            FUZZ_CHECK(described == FB_OK);
            use(context, model);
        }
    }
    fb_model_free(model);
    fb_checkpoint_free(table);
    FUZZ_CHECK(fb_context_memory_now(context) == 0);
    fb_context_free(context);
    return 0;
}
