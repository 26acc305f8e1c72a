/* The text part of larger models: which tensors and settings count, what is said of the rest, what is refused. Whole models are judged by
 * judge/language_models.py. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "faults/faults.h"
#include "graph/model.h"
#include "io/language_maker.h"

#define SIZES "\"num_hidden_layers\":1,\"hidden_size\":8,\"intermediate_size\":12,\"num_attention_heads\":2,\"num_key_value_heads\":1," \
              "\"vocab_size\":5,\"max_position_embeddings\":16"
#define LLAVA(more) "{\"model_type\":\"llava\",\"text_config\":{\"model_type\":\"llama\"," SIZES "}" more "}"

enum { TENSORS_MAX = 32, BASE = sizeof maker_llama / sizeof *maker_llama - 1, HEAD = 2 };

static FbContext *context;
static FbError err;
static char notes[600];
static char names[TENSORS_MAX][80];
static MakerTensor tensors[TENSORS_MAX];
static size_t tensor_count;

static void keep_note(void *user, FbLogLevel level, const char *id, const char *message)
{
    (void)user;
    size_t used = strlen(notes);
    snprintf(notes + used, sizeof notes - used, "%d %s: %s\n", (int)level, id, message);
}

/* The tensors of a Llama, their "model." and what stands in front of the head changed; NULL: no head. */
static void rename_all(const char *body, const char *head)
{
    tensor_count = 0;
    for (size_t i = 0; i < BASE; i++) {
        if (i == HEAD && head == NULL) {
            continue;
        }
        snprintf(names[tensor_count], sizeof names[0], "%s%s", i == HEAD ? head : body, maker_llama[i].name + (i == HEAD ? 0 : strlen("model.")));
        tensors[tensor_count] = maker_llama[i];
        tensors[tensor_count].name = names[tensor_count];
        tensor_count++;
    }
    tensors[tensor_count] = (MakerTensor){NULL, 0, {0}};
}

static void add(const char *name)
{
    tensors[tensor_count++] = (MakerTensor){name, 1, {3}};
    tensors[tensor_count] = (MakerTensor){NULL, 0, {0}};
}

static FbStatus build(const char *config, FbModel **model)
{
    FbCheckpoint *checkpoint;
    err = (FbError){0};
    notes[0] = '\0';
    *model = NULL;
    assert_int_equal(maker_checkpoint(context, config, strlen(config), tensors, &checkpoint, &err), FB_OK);
    FbStatus status = fb_language_build(context, checkpoint, NULL, model, &err);
    fb_checkpoint_free(checkpoint);
    return status;
}

static void built(const char *config, const char *family, const char *note)
{
    FbModel *model;
    if (build(config, &model) != FB_OK) {
        fail_msg("%s: %s", config, err.message);
    }
    assert_string_equal(fb_language_info(model)->family, family);
    assert_string_equal(notes, note);
    fb_model_free(model);
}

static void refused(const char *config, FbStatus status, const char *says)
{
    FbModel *model;
    FbStatus got = build(config, &model);
    fb_model_free(model);
    if (got != status || strstr(err.message, says) == NULL) {
        fail_msg("%s: status %d (%s), expected %d and '%s'", config, got, err.message, status, says);
    }
}

static void test_names(void **state)
{
    (void)state;
    rename_all("language_model.model.", "language_model.");
    built(LLAVA(""), "llama", "");
    add("vision_tower.layer.weight");
    built(LLAVA(""), "llama", "0 text-part: the text part of llava; 1 tensor of vision_tower is not used\n");
    add("multi_modal_projector.linear_1.bias");
    add("vision_tower.layer.bias");
    built(LLAVA(""), "llama", "0 text-part: the text part of llava; 3 tensors of vision_tower, multi_modal_projector are not used\n");
    rename_all("model.language_model.", "");
    add("model.vision_tower.layer.weight");
    add("model.image_newline");
    built(LLAVA(""), "llama", "0 text-part: the text part of llava; 2 tensors of vision_tower, image_newline are not used\n");
    rename_all("model.text_model.", "");
    add("model.vision_model.x.weight");
    add("model.connector.x.weight");
    built("{\"model_type\":\"smolvlm\",\"text_config\":{" SIZES "}}", "llama",
          "0 text-part: the text part of smolvlm; 2 tensors of vision_model, connector are not used\n");
}

static void test_strict(void **state)
{
    (void)state;
    static const char *const strays[] = {"language_model.model.layers.0.extra.weight", "language_model.vision_tower.x", "vision_towers.x", "extra.weight",
                                         "lm_head.weight", "language_model.model.vision_model.x"};
    char says[120];
    for (size_t i = 0; i < sizeof strays / sizeof *strays; i++) {
        rename_all("language_model.model.", "language_model.");
        add("vision_tower.x");
        add(strays[i]);
        snprintf(says, sizeof says, "tensor '%s' has no place in architecture 'llama'", strays[i]);
        refused(LLAVA(""), FB_ERR_UNSUPPORTED, says);
        assert_string_equal(notes, "");
    }
    rename_all("language_model.model.", "language_model.");
    tensors[BASE - 1] = (MakerTensor){NULL, 0, {0}};
    refused(LLAVA(""), FB_ERR_FORMAT, "tensor 'language_model.model.layers.0.mlp.down_proj.weight' is missing");
    rename_all("", "");
    refused(LLAVA(""), FB_ERR_FORMAT, "tensor 'model.embed_tokens.weight' is missing");
}

static void test_head(void **state)
{
    (void)state;
    rename_all("language_model.model.", NULL);
    refused(LLAVA(""), FB_ERR_FORMAT, "tensor 'language_model.lm_head.weight' is missing");
    refused(LLAVA(",\"tie_word_embeddings\":false"), FB_ERR_FORMAT, "tensor 'language_model.lm_head.weight' is missing");
    built(LLAVA(",\"tie_word_embeddings\":true"), "llama", "");
    built("{\"model_type\":\"llava\",\"tie_word_embeddings\":false,\"text_config\":{\"tie_word_embeddings\":true," SIZES "}}", "llama", "");
    built("{\"model_type\":\"mistral3\",\"text_config\":{" SIZES "}}", "mistral", "");
    rename_all("language_model.model.", "language_model."); /* a head that is there is used */
    FbModel *model;
    assert_int_equal(build(LLAVA(",\"tie_word_embeddings\":true"), &model), FB_OK);
    assert_true(fb_graph_find_value(model->graph, "language_model.lm_head.weight") != FB_NONE);
    fb_model_free(model);
}

static void test_settings(void **state)
{
    (void)state;
    static const struct { const char *config; FbStatus status; const char *says; } cases[] = {
        {"{\"model_type\":\"llama\",\"text_config\":{}}", FB_ERR_UNSUPPORTED, "'model_type' is 'llama', a larger model ('text_config')"},
        {"{\"model_type\":\"new\\u001b\",\"text_config\":{}}", FB_ERR_UNSUPPORTED, "is 'new\\x1b', a larger model ('text_config') whose text part is not known; known are: gemma3, mistral3"},
        {"{\"text_config\":{}}", FB_ERR_UNSUPPORTED, "'model_type' is ''"},
        {"{\"model_type\":\"llava\"}", FB_ERR_FORMAT, "'text_config' of 'llava' is missing"},
        {"{\"model_type\":\"llava\",\"text_config\":null}", FB_ERR_FORMAT, "is missing"},
        {"{\"model_type\":\"llava\",\"text_config\":[]}", FB_ERR_FORMAT, "'text_config' of 'llava' must be an object"},
        {"{\"model_type\":\"mistral3\",\"text_config\":{\"model_type\":\"ministral3\"}}", FB_ERR_UNSUPPORTED, "'text_config.model_type' is 'ministral3'"},
        {"{\"model_type\":\"llava\",\"text_config\":{}}", FB_ERR_FORMAT, "embed_tokens.weight' has shape 5x8, expected 32000x4096"},
        {"{\"model_type\":\"llava\",\"text_config\":{\"hidden_size\":null}}", FB_ERR_FORMAT, "'hidden_size' is missing"},
        {"{\"model_type\":\"gemma3\",\"text_config\":{\"hidden_size\":8}}", FB_ERR_FORMAT, "expected 262208x8"},
        {LLAVA(",\"quantization_config\":{\"bits\":4}"), FB_ERR_UNSUPPORTED, "'quantization_config'"},
    };
    rename_all("model.language_model.", "");
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        refused(cases[i].config, cases[i].status, cases[i].says);
    }
    built(LLAVA(",\"quantization_config\":null"), "llama", "");
}

/* Qwen2-VL's own files: settings of the text among those of the whole, its tensors named like a model of text. */
static void test_flat(void **state)
{
    (void)state;
    static const char config[] = "{\"model_type\":\"qwen2_vl\"," SIZES ",\"rope_scaling\":{\"type\":\"mrope\",\"mrope_section\":[1,1,0]},\"vision_config\":{}}";
    rename_all("model.", "");
    add("visual.patch_embed.proj.weight");
    built(config, "qwen2", "0 text-part: the text part of qwen2_vl; 1 tensor of visual is not used\n");
    refused("{\"model_type\":\"qwen3_vl\"," SIZES "}", FB_ERR_FORMAT, "'text_config' of 'qwen3_vl' is missing");
}

/* Every allocation fails once: an error that says so, and no leak. */
static void test_allocations(void **state)
{
    (void)state;
    static const char config[] = LLAVA("");
    uint64_t last = 1;
    rename_all("language_model.model.", "language_model.");
    add("vision_tower.x");
    for (uint64_t k = 0; k <= last; k++) { /* the first run counts */
        Faults faults = {.allocation_fails_at = k};
        FbContext *tight = NULL;
        FbCheckpoint *checkpoint = NULL;
        FbModel *model = NULL;
        err = (FbError){0};
        FbStatus status = faults_context(&faults, &tight, &err);
        status = status == FB_OK ? maker_checkpoint(tight, config, strlen(config), tensors, &checkpoint, &err) : status;
        status = status == FB_OK ? fb_language_build(tight, checkpoint, NULL, &model, &err) : status;
        fb_model_free(model);
        fb_checkpoint_free(checkpoint);
        fb_context_free(tight);
        last = k == 0 ? faults.allocations : last;
        assert_int_equal(faults.live_bytes, 0);
        assert_int_equal(status, k == 0 ? FB_OK : FB_ERR_NO_MEMORY);
    }
}

static int setup(void **state)
{
    (void)state;
    FbContextOptions options = {.struct_bytes = sizeof options, .threads = 1, .log = keep_note};
    return fb_context_create(&options, &context, NULL) == FB_OK ? 0 : -1;
}

static int teardown(void **state)
{
    (void)state;
    int left = fb_context_memory_now(context) != 0;
    fb_context_free(context);
    return left ? -1 : 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_names),    cmocka_unit_test(test_strict), cmocka_unit_test(test_head),
                                       cmocka_unit_test(test_settings), cmocka_unit_test(test_flat),   cmocka_unit_test(test_allocations)};
    return cmocka_run_group_tests(tests, setup, teardown);
}
