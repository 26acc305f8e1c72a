/* The small files of a Hugging Face folder on their way to GGUF. An input is one JSON object with the members config, tokenizer, tokenizer_config,
 * generation, tensors ({"name": [dimensions]}), and for a SentencePiece model added_tokens and pieces ([[text, score, type]]); whatever they say, keys and tensors are put or refused, and all memory comes back. */
#include <stdbool.h>
#include <string.h>

#include "fuzz.h"
#include "io/gguf/hf_model.h"

enum { TEXT_MAX = 1 << 20, DIM_MAX = 64, TENSORS_MAX = 64 };

static bool add_tensors(FbCheckpoint *checkpoint, const json_t *tensors)
{
    const char *name;
    json_t *dims;
    size_t count = 0;
    json_object_foreach((json_t *)(uintptr_t)tensors, name, dims)
    {
        FbTableTensor *tensor;
        size_t rank = json_array_size(dims);
        if (rank < 1 || rank > 3 || count++ == TENSORS_MAX || fb_checkpoint_add_tensor(checkpoint, name, strlen(name), &tensor, NULL) != FB_OK) {
            return false;
        }
        tensor->constant.dtype = FB_DTYPE_F16;
        tensor->constant.shape.rank = (int)rank;
        for (size_t i = 0; i < rank; i++) {
            json_int_t size = json_integer_value(json_array_get(dims, i));
            tensor->constant.shape.dims[i] = size >= 1 && size <= DIM_MAX ? size : 1;
        }
    }
    return true;
}

/* What the reader of such models makes sure of holds here, too: texts are not empty, types are known, one piece is the unknown one. */
static const FbSentencePieceModel *make_pieces(FbArena *arena, const json_t *pieces)
{
    size_t count = json_array_size(pieces);
    FbSentencePieceModel *model = fb_arena_alloc(arena, sizeof *model);
    FbSentencePiece *items = fb_arena_array(arena, count + 1, sizeof *items);
    if (count == 0 || count > TENSORS_MAX || model == NULL || items == NULL) {
        return NULL;
    }
    for (size_t i = 0; i < count; i++) {
        const json_t *row = json_array_get(pieces, i);
        const char *text = json_string_value(json_array_get(row, 0));
        json_int_t type = json_integer_value(json_array_get(row, 2));
        if (text == NULL || text[0] == '\0' || strlen(text) != json_string_length(json_array_get(row, 0))) {
            return NULL;
        }
        items[i] = (FbSentencePiece){{(const uint8_t *)text, strlen(text)}, (float)json_integer_value(json_array_get(row, 1)),
                                     type >= 3 && type <= 6 ? (FbSentencePieceType)type : FB_SENTENCEPIECE_NORMAL};
    }
    items[0].type = FB_SENTENCEPIECE_UNKNOWN;
    *model = (FbSentencePieceModel){.kind = count % 2 == 0 ? FB_SENTENCEPIECE_BPE : FB_SENTENCEPIECE_UNIGRAM,
                                    .pieces = items,
                                    .count = count,
                                    .bos = "<s>",
                                    .eos = "</s>",
                                    .pad = "<pad>"};
    return model;
}

static void run(FbContext *context, const json_t *input)
{
    FbCheckpoint *checkpoint = NULL;
    FbGgufWriter *writer = NULL;
    FbArena *arena = fb_arena_create(context);
    FbHfModel model = {.context = context, .arena = arena};
    if (arena != NULL && fb_checkpoint_create(context, "m", "safetensors", &checkpoint, NULL) == FB_OK &&
        add_tensors(checkpoint, json_object_get(input, "tensors")) && fb_gguf_writer_create(context, &writer, NULL) == FB_OK) {
        json_t *config = json_object_get(input, "config");
        model.checkpoint = checkpoint;
        model.folder = fb_strdup(context, "folder");
        model.config = json_is_object(config) ? json_incref(config) : json_object();
        model.tokenizer = json_incref(json_object_get(input, "tokenizer"));
        model.tokenizer_config = json_incref(json_object_get(input, "tokenizer_config"));
        model.generation = json_incref(json_object_get(input, "generation"));
        model.added_tokens = json_incref(json_object_get(input, "added_tokens"));
        model.pieces = model.tokenizer == NULL ? make_pieces(arena, json_object_get(input, "pieces")) : NULL;
        if (model.folder != NULL && fb_hf_prepare(&model, NULL) == FB_OK && fb_hf_put_keys(&model, writer, NULL) == FB_OK) {
            for (size_t i = 0; i < model.tensor_count; i++) {
                const FbGgufTensor *tensor = &model.tensors[i];
                FUZZ_CHECK(tensor->values != NULL || tensor->piece_count > 0);
                FUZZ_CHECK(fb_gguf_rows(tensor) > 0 && fb_gguf_columns(tensor) > 0);
            }
        }
    }
    fb_hf_close(&model);
    fb_gguf_writer_free(writer);
    fb_checkpoint_free(checkpoint);
    if (arena != NULL) {
        fb_arena_free(arena);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    FbContextOptions options = {.struct_bytes = sizeof options, .threads = 1, .max_memory = 64 << 20};
    FbContext *context = NULL;
    json_t *input = NULL;
    if (size > TEXT_MAX || fb_context_create(&options, &context, NULL) != FB_OK) {
        return 0;
    }
    if (fb_json_parse((const char *)data, size, TEXT_MAX, "input", &input, NULL) == FB_OK) {
        run(context, input);
    }
    json_decref(input);
    FUZZ_CHECK(fb_context_memory_now(context) == 0);
    fb_context_free(context);
    return 0;
}
