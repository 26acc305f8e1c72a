/* From a configuration to a graph: what is built, and what is refused with which message. Whole families are judged by
 * judge/language_models.py. */
#include <math.h>
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
#include "context_test.h"

static FbError err;

typedef struct Pair { const char *key, *value; } Pair;

static const Pair llama[] = {{"model_type", "\"llama\""},      {"num_hidden_layers", "1"},  {"hidden_size", "8"},      {"intermediate_size", "12"},
                             {"num_attention_heads", "2"},     {"num_key_value_heads", "1"}, {"vocab_size", "5"},      {"max_position_embeddings", "16"},
                             {"rms_norm_eps", "1e-5"},         {"hidden_act", "\"silu\""},  {"rope_theta", "10000.0"}, {NULL, NULL}};
static const Pair mixtral[] = {{"model_type", "\"mixtral\""},  {"num_hidden_layers", "1"},   {"hidden_size", "8"}, {"intermediate_size", "12"},
                               {"num_attention_heads", "2"},   {"num_key_value_heads", "1"}, {"vocab_size", "5"},  {"max_position_embeddings", "16"},
                               {"num_local_experts", "2"},     {"num_experts_per_tok", "1"}, {NULL, NULL}};
static const Pair gpt2[] = {{"model_type", "\"gpt2\""}, {"n_layer", "1"}, {"n_embd", "8"}, {"n_head", "2"}, {"n_positions", "6"},
                            {"vocab_size", "5"},        {NULL, NULL}};

/* The configuration as JSON, with `key` set to `value` (NULL: left out). */
static char *text_with(const Pair *base, const char *key, const char *value)
{
    static char text[8192];
    size_t used = 1;
    bool seen = key == NULL;
    strcpy(text, "{");
    for (size_t i = 0; base[i].key != NULL; i++) {
        bool here = key != NULL && strcmp(base[i].key, key) == 0;
        const char *put = here ? value : base[i].value;
        seen |= here;
        if (put != NULL) {
            used += (size_t)snprintf(text + used, sizeof text - used, "%s\"%s\":%s", used > 1 ? "," : "", base[i].key, put);
        }
    }
    if (!seen && value != NULL) {
        used += (size_t)snprintf(text + used, sizeof text - used, ",\"%s\":%s", key, value);
    }
    snprintf(text + used, sizeof text - used, "}");
    return text;
}

static FbStatus build(const char *config, const MakerTensor *tensors, int64_t positions, FbModel **model)
{
    FbLanguageOptions options = {.struct_bytes = sizeof options, .context = positions};
    FbCheckpoint *checkpoint;
    err = (FbError){0};
    *model = NULL;
    assert_int_equal(maker_checkpoint(context, config, config != NULL ? strlen(config) : 0, tensors, &checkpoint, &err), FB_OK);
    FbStatus status = fb_language_build(context, checkpoint, &options, model, &err);
    fb_checkpoint_free(checkpoint); /* the model keeps what it needs */
    assert_true((status == FB_OK) == (*model != NULL));
    assert_true(status == FB_OK || (err.status == status && err.message[0] != '\0'));
    return status;
}

static void refused_text(const char *config, const MakerTensor *tensors, FbStatus status, const char *says)
{
    FbModel *model;
    FbStatus got = build(config, tensors, 0, &model);
    fb_model_free(model);
    if (got != status || strstr(err.message, says) == NULL) {
        fail_msg("%s: status %d (%s), expected %d and '%s'", config != NULL ? config : "no config", got, err.message, status, says);
    }
}

static void refused(const Pair *base, const MakerTensor *tensors, const char *key, const char *value, FbStatus status, const char *says)
{
    refused_text(text_with(base, key, value), tensors, status, says);
}

static void llama_refused(const char *key, const char *value, FbStatus status, const char *says) { refused(llama, maker_llama, key, value, status, says); }

static void test_built(void **state)
{
    (void)state;
    FbModel *model, *clone;
    assert_int_equal(build(text_with(llama, NULL, NULL), maker_llama, 0, &model), FB_OK);
    const FbLanguageInfo *info = fb_language_info(model);
    assert_string_equal(info->architecture, "llama");
    assert_string_equal(info->family, "llama");
    assert_true(info->layers == 1 && info->hidden == 8 && info->q_heads == 2 && info->kv_heads == 1 && info->head_dim == 4 && info->vocabulary == 5);
    assert_true(info->context_length == 16 && info->positions == 16);
    static const char *const inputs[] = {"input_ids", "positions", "sequences", "output_rows"};
    assert_int_equal(fb_model_input_count(model), 4);
    for (size_t i = 0; i < 4; i++) {
        assert_string_equal(fb_model_input(model, i).name, inputs[i]);
    }
    assert_int_equal(fb_model_output_count(model), 1);
    assert_string_equal(fb_model_output(model, 0).name, "logits");
    FbConst *weight = fb_graph_constant(model->graph, fb_graph_find_value(model->graph, "model.layers.0.mlp.up_proj.weight"));
    assert_true(weight != NULL && weight->planes[FB_PLANE_CODES].source != NULL && weight->planes[FB_PLANE_CODES].buffer == NULL);
    assert_int_equal(fb_model_clone(model, &clone, &err), FB_OK);
    fb_model_free(model);
    assert_string_equal(fb_language_info(clone)->architecture, "llama");
    fb_model_free(clone);
}

static void test_positions(void **state)
{
    (void)state;
    FbModel *model;
    assert_int_equal(build(text_with(llama, NULL, NULL), maker_llama, 40, &model), FB_OK); /* a table may hold more than the model was made for */
    assert_int_equal(fb_language_info(model)->positions, 40);
    FbConst *cosines = fb_graph_constant(model->graph, fb_graph_find_value(model->graph, "rotary.cosines"));
    assert_true(cosines->shape.rank == 2 && cosines->shape.dims[0] == 40 && cosines->shape.dims[1] == 2);
    fb_model_free(model);
    assert_int_equal(build(text_with(llama, NULL, NULL), maker_llama, -1, &model), FB_ERR_ARGUMENT);
    assert_int_equal(build(text_with(llama, NULL, NULL), maker_llama, INT64_MAX, &model), FB_ERR_ARGUMENT);
    assert_int_equal(build(text_with(gpt2, NULL, NULL), maker_gpt2, 7, &model), FB_ERR_ARGUMENT);
    assert_int_equal(build(text_with(gpt2, NULL, NULL), maker_gpt2, 6, &model), FB_OK);
    fb_model_free(model);
    const char *dynamic = text_with(llama, "rope_scaling", "{\"type\":\"dynamic\",\"factor\":2.0}");
    static const struct { int64_t positions; float angle; } longer[] = {{16, 0.01f}, {17, 0.01f / 1.125f}, {48, 0.01f / 5.0f}}; /* the base: 1e4 times 1, 1.125^2, 5^2 */
    for (size_t i = 0; i < sizeof longer / sizeof *longer; i++) {
        assert_int_equal(build(dynamic, maker_llama, longer[i].positions, &model), FB_OK);
        FbConst *table = fb_graph_constant(model->graph, fb_graph_find_value(model->graph, "rotary.sines"));
        float second;
        assert_int_equal(fb_const_read_f32(context, table, 3, 1, &second, &err), FB_OK); /* position 1, pair 1 */
        assert_true(fabsf(second - sinf(longer[i].angle)) < 1e-8f);
        fb_model_free(model);
    }
}

static void test_sizes(void **state)
{
    (void)state;
    static const char *const needed[] = {"num_hidden_layers", "hidden_size", "intermediate_size", "num_attention_heads", "vocab_size",
                                         "max_position_embeddings"};
    static const char *const values[] = {"0", "-1", "2147483648", "9223372036854775807", "1.5", "\"8\"", "[8]", "true", "1e300"};
    char says[64];
    for (size_t i = 0; i < sizeof needed / sizeof *needed; i++) {
        snprintf(says, sizeof says, "'%s' is missing", needed[i]);
        llama_refused(needed[i], NULL, FB_ERR_FORMAT, says);
        llama_refused(needed[i], "null", FB_ERR_FORMAT, says);
        snprintf(says, sizeof says, "'%s'", needed[i]);
        for (size_t v = 0; v < sizeof values / sizeof *values; v++) {
            llama_refused(needed[i], values[v], FB_ERR_FORMAT, says);
        }
    }
    llama_refused("num_attention_heads", "3", FB_ERR_FORMAT, "cannot be divided among 3 heads");
    llama_refused("num_key_value_heads", "0", FB_ERR_FORMAT, "'num_key_value_heads' is 0");
    llama_refused("num_key_value_heads", "3", FB_ERR_FORMAT, "cannot share");
    llama_refused("head_dim", "0", FB_ERR_FORMAT, "'head_dim' is 0");
    llama_refused("head_dim", "3", FB_ERR_FORMAT, "cannot be rotated");
    llama_refused("rms_norm_eps", "0", FB_ERR_FORMAT, "epsilon");
    llama_refused("rms_norm_eps", "\"small\"", FB_ERR_FORMAT, "'rms_norm_eps' must be a finite number");
    llama_refused("num_hidden_layers", "4096", FB_ERR_FORMAT, "tensor 'model.layers.1.input_layernorm.weight' is missing");
    llama_refused("vocab_size", "6", FB_ERR_FORMAT, "tensor 'model.embed_tokens.weight' has shape 5x8, expected 6x8");
    llama_refused("intermediate_size", "16777216", FB_ERR_FORMAT, "has shape 12x8");
}

static void test_meanings(void **state)
{
    (void)state;
    llama_refused("model_type", NULL, FB_ERR_FORMAT, "'model_type' is missing");
    llama_refused("model_type", "7", FB_ERR_FORMAT, "'model_type' must be a string");
    llama_refused("model_type", "\"lama\\u001b\"", FB_ERR_UNSUPPORTED, "architecture 'lama\\x1b' is not known; known are: llama, mistral3, mistral, mixtral");
    llama_refused("hidden_act", "\"mish\"", FB_ERR_UNSUPPORTED, "'hidden_act' is 'mish'");
    llama_refused("quantization_config", "{\"bits\":4}", FB_ERR_UNSUPPORTED, "quantization_config");
    llama_refused("text_config", "{}", FB_ERR_UNSUPPORTED, "text_config");
    llama_refused("sliding_window", "\"far\"", FB_ERR_FORMAT, "'sliding_window' must be one integer");
    FbModel *model; /* transformers does not look at it in a Llama */
    assert_int_equal(build(text_with(llama, "sliding_window", "2"), maker_llama, 16, &model), FB_OK);
    assert_int_equal(fb_language_info(model)->window, 0);
    fb_model_free(model);
    refused_text(NULL, maker_llama, FB_ERR_UNSUPPORTED, "config.json");
    refused_text("[]", maker_llama, FB_ERR_FORMAT, "config.json must be an object");
    refused_text("{", maker_llama, FB_ERR_FORMAT, "config.json: line 1");
    const Pair windowed[] = {{"model_type", "\"mistral\""}, {"num_hidden_layers", "1"}, {"hidden_size", "8"}, {"intermediate_size", "12"},
                             {"num_attention_heads", "2"},  {"num_key_value_heads", "1"}, {"vocab_size", "5"}, {"max_position_embeddings", "16"}, {NULL, NULL}};
    refused(windowed, maker_llama, "layer_types", "[]", FB_ERR_FORMAT, "'layer_types' must have one entry for each of 1 layers");
    refused(windowed, maker_llama, "layer_types", "[\"chunked_attention\"]", FB_ERR_UNSUPPORTED, "'layer_types' has 'chunked_attention'");
    refused(gpt2, maker_gpt2, "scale_attn_weights", "false", FB_ERR_UNSUPPORTED, "'scale_attn_weights' is false");
    refused(gpt2, maker_gpt2, "activation_function", "\"tanh\"", FB_ERR_UNSUPPORTED, "'activation_function'");
    refused(mixtral, maker_mixtral, "num_experts_per_tok", "3", FB_ERR_FORMAT, "'num_experts_per_tok' is 3");
    refused(mixtral, maker_mixtral, "num_local_experts", NULL, FB_ERR_FORMAT, "'num_local_experts' is missing");
    refused(mixtral, maker_mixtral, "num_local_experts", "0", FB_ERR_FORMAT, "'num_local_experts' is 0");
    refused(mixtral, maker_mixtral, "num_local_experts", "3", FB_ERR_FORMAT, "block_sparse_moe.gate.weight' has shape 2x8");
}

static void test_rotary(void **state)
{
    (void)state;
    static const struct { const char *value; FbStatus status; const char *says; } cases[] = {
        {"{\"rope_type\":\"spiral\",\"factor\":2}", FB_ERR_UNSUPPORTED, "'rope_type' is 'spiral'"},
        {"{\"rope_type\":7}", FB_ERR_FORMAT, "rope_type"},
        {"[1]", FB_ERR_FORMAT, "must be an object"},
        {"{\"rope_type\":\"linear\"}", FB_ERR_FORMAT, "factor"},
        {"{\"rope_type\":\"linear\",\"factor\":0}", FB_ERR_FORMAT, "factor"},
        {"{\"rope_type\":\"linear\",\"factor\":-2}", FB_ERR_FORMAT, "factor"},
        {"{\"rope_type\":\"llama3\",\"factor\":8}", FB_ERR_FORMAT, "original_max_position_embeddings"},
        {"{\"rope_type\":\"llama3\",\"factor\":8,\"original_max_position_embeddings\":0}", FB_ERR_FORMAT, "original_max_position_embeddings"},
        {"{\"rope_type\":\"llama3\",\"factor\":8,\"original_max_position_embeddings\":8,\"low_freq_factor\":4}", FB_ERR_FORMAT, "low_freq_factor"},
        {"{\"rope_type\":\"yarn\",\"factor\":8,\"original_max_position_embeddings\":8,\"beta_fast\":0}", FB_ERR_FORMAT, "beta_fast"},
        {"{\"rope_type\":\"longrope\",\"factor\":8,\"original_max_position_embeddings\":8}", FB_ERR_FORMAT, "'short_factor'"},
        {"{\"rope_type\":\"longrope\",\"factor\":8,\"original_max_position_embeddings\":8,\"short_factor\":[1]}", FB_ERR_FORMAT, "must have 2 numbers"},
        {"{\"rope_type\":\"longrope\",\"factor\":8,\"original_max_position_embeddings\":8,\"short_factor\":[1,0]}", FB_ERR_FORMAT, "positive"},
        {"{\"rope_type\":\"longrope\",\"factor\":8,\"original_max_position_embeddings\":8,\"short_factor\":[1,\"2\"]}", FB_ERR_FORMAT, "positive"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        llama_refused("rope_scaling", cases[i].value, cases[i].status, cases[i].says);
    }
    llama_refused("rope_theta", "0", FB_ERR_FORMAT, "base of the rotary embedding");
    llama_refused("partial_rotary_factor", "0", FB_ERR_FORMAT, "cannot be rotated");
    llama_refused("partial_rotary_factor", "1.5", FB_ERR_FORMAT, "cannot be rotated");
}

static void test_tensors(void **state)
{
    (void)state;
    const char *config = text_with(llama, NULL, NULL);
    MakerTensor tensors[sizeof maker_llama / sizeof *maker_llama + 1];
    size_t count = sizeof maker_llama / sizeof *maker_llama - 1;
    for (size_t skipped = 0; skipped < count; skipped++) { /* every tensor is needed, with its shape */
        memcpy(tensors, maker_llama, sizeof maker_llama);
        tensors[skipped] = tensors[count - 1];
        tensors[count - 1] = (MakerTensor){NULL, 0, {0}};
        refused_text(config, tensors, FB_ERR_FORMAT, maker_llama[skipped].name);
        memcpy(tensors, maker_llama, sizeof maker_llama);
        tensors[skipped].dims[0] += 1;
        refused_text(config, tensors, FB_ERR_FORMAT, maker_llama[skipped].name);
    }
    memcpy(tensors, maker_llama, sizeof maker_llama);
    tensors[count] = (MakerTensor){"model.layers.0.self_attn.q_proj.lora", 1, {8}};
    tensors[count + 1] = (MakerTensor){NULL, 0, {0}};
    refused_text(config, tensors, FB_ERR_UNSUPPORTED, "tensor 'model.layers.0.self_attn.q_proj.lora' has no place in architecture 'llama'");
    tensors[count].name = "model.layers.0.self_attn.q_proj.bias"; /* a bias that is there is used */
    FbModel *model;
    assert_int_equal(build(config, tensors, 0, &model), FB_OK);
    fb_model_free(model);
    tensors[count].dims[0] = 4;
    refused_text(config, tensors, FB_ERR_FORMAT, "q_proj.bias' has shape 4, expected 8");
}

static void test_types(void **state)
{
    (void)state;
    static const FbDtype refused_types[] = {FB_DTYPE_S64, FB_DTYPE_F64, FB_DTYPE_U8};
    const char *config = text_with(llama, NULL, NULL);
    FbCheckpoint *checkpoint;
    FbModel *model;
    for (size_t i = 0; i < sizeof refused_types / sizeof *refused_types; i++) {
        assert_int_equal(maker_checkpoint(context, config, strlen(config), maker_llama, &checkpoint, &err), FB_OK);
        fb_checkpoint_tensor(checkpoint, "lm_head.weight")->constant.dtype = refused_types[i];
        assert_int_equal(fb_language_build(context, checkpoint, NULL, &model, &err), FB_ERR_UNSUPPORTED);
        assert_non_null(strstr(err.message, "tensor 'lm_head.weight' has type"));
        fb_checkpoint_free(checkpoint);
    }
}

/* Every allocation fails once: an error that says so, and no leak. */
static void test_allocations(void **state)
{
    (void)state;
    static const struct { const Pair *config; const MakerTensor *tensors; } models[] = {{llama, maker_llama}, {mixtral, maker_mixtral}, {gpt2, maker_gpt2}};
    for (size_t m = 0; m < sizeof models / sizeof *models; m++) {
        char *config = text_with(models[m].config, NULL, NULL);
        uint64_t last = 1;
        for (uint64_t k = 0; k <= last; k++) { /* the first run counts */
            Faults faults = {.allocation_fails_at = k};
            FbContext *tight = NULL;
            FbCheckpoint *checkpoint = NULL;
            FbModel *model = NULL;
            err = (FbError){0};
            FbStatus status = faults_context(&faults, &tight, &err);
            status = status == FB_OK ? maker_checkpoint(tight, config, strlen(config), models[m].tensors, &checkpoint, &err) : status;
            status = status == FB_OK ? fb_language_build(tight, checkpoint, NULL, &model, &err) : status;
            fb_model_free(model);
            fb_checkpoint_free(checkpoint);
            fb_context_free(tight);
            last = k == 0 ? faults.allocations : last;
            assert_int_equal(faults.live_bytes, 0);
            if (status != (k == 0 ? FB_OK : FB_ERR_NO_MEMORY)) {
                fail_msg("%s: allocation %llu of %llu: status %d (%s)", models[m].config[0].value, (unsigned long long)k, (unsigned long long)last,
                         status, err.message);
            }
        }
    }
}

static void test_table(void **state)
{
    (void)state;
    const char *summary;
    size_t count = 0;
    while (fb_language_family(count, &summary) != NULL) {
        assert_true(summary[0] != '\0');
        count++;
    }
    assert_int_equal(count, 14);
    assert_null(fb_language_family(1000, &summary));
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_built),   cmocka_unit_test(test_positions), cmocka_unit_test(test_sizes),
                                       cmocka_unit_test(test_meanings), cmocka_unit_test(test_rotary),   cmocka_unit_test(test_tensors),
                                       cmocka_unit_test(test_types),    cmocka_unit_test(test_allocations), cmocka_unit_test(test_table)};
    return cmocka_run_group_tests(tests, context_setup, context_teardown);
}
