/* The types that presets of GGUF give, against those of llama-quantize (tests/golden/gguf_mix.tsv, made by bench/peers/gguf_plans.py). */
#define _POSIX_C_SOURCE 200809L /* strcasecmp */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include <cmocka.h>

#include "quantize/gguf_mix.h"

enum { TENSORS = 2048, LINE = 4096 };

/* As in gguf_plans.py. */
typedef struct MixCase {
    const char *name, *architecture;
    int layers, heads, kv_heads, experts, hidden, ffn;
    bool tied, fused;
} MixCase;

static const MixCase cases[] = {
    {"dense", "llama", 32, 4, 4, 0, 256, 512, false, false},  {"grouped", "llama", 17, 8, 2, 0, 256, 512, false, false},
    {"tied", "qwen2", 24, 4, 2, 0, 256, 512, true, false},    {"narrow", "llama", 30, 9, 3, 0, 576, 1536, true, false},
    {"odd", "llama", 6, 4, 2, 0, 272, 500, false, false},     {"eight", "llama", 32, 8, 2, 8, 256, 512, false, false},
    {"sixteen", "llama", 20, 4, 4, 16, 256, 512, false, false}, {"large", "llama", 80, 8, 1, 0, 256, 512, false, false},
    {"falcon", "falcon", 32, 8, 1, 0, 256, 1024, false, true}, {"phi", "phi3", 32, 4, 4, 0, 256, 512, false, true},
};

typedef struct MixTensor {
    char name[64];
    FbShape shape;
    uint32_t type;
} MixTensor;

static MixTensor tensors[TENSORS];
static size_t tensor_count;

static void add(const char *prefix, const char *name, int rank, int64_t a, int64_t b, int64_t c)
{
    MixTensor *tensor = &tensors[tensor_count++];
    snprintf(tensor->name, sizeof tensor->name, "%s%s", prefix, name);
    tensor->shape = (FbShape){rank, {a, b, c}};
}

static int by_order(const void *a, const void *b)
{
    return fb_gguf_name_order(((const MixTensor *)a)->name, ((const MixTensor *)b)->name);
}

static void build(const MixCase *c)
{
    int64_t kv = c->kv_heads * (c->hidden / c->heads);
    tensor_count = 0;
    add("", "token_embd.weight", 2, 512, c->hidden, 0);
    if (!c->tied) {
        add("", "output.weight", 2, 512, c->hidden, 0);
    }
    for (int i = 0; i < c->layers; i++) {
        char block[24];
        snprintf(block, sizeof block, "blk.%d.", i);
        add(block, "attn_norm.weight", 1, c->hidden, 0, 0);
        if (c->fused) {
            add(block, "attn_qkv.weight", 2, c->hidden + 2 * kv, c->hidden, 0);
        } else {
            add(block, "attn_q.weight", 2, c->hidden, c->hidden, 0);
            add(block, "attn_k.weight", 2, kv, c->hidden, 0);
            add(block, "attn_v.weight", 2, kv, c->hidden, 0);
        }
        add(block, "attn_output.weight", 2, c->hidden, c->hidden, 0);
        if (c->experts) {
            add(block, "ffn_gate_inp.weight", 2, c->experts, c->hidden, 0);
            add(block, "ffn_gate_exps.weight", 3, c->experts, c->ffn, c->hidden);
            add(block, "ffn_up_exps.weight", 3, c->experts, c->ffn, c->hidden);
            add(block, "ffn_down_exps.weight", 3, c->experts, c->hidden, c->ffn);
        } else {
            add(block, "ffn_gate.weight", 2, c->ffn, c->hidden, 0);
            add(block, "ffn_up.weight", 2, c->ffn, c->hidden, 0);
            add(block, "ffn_down.weight", 2, c->hidden, c->ffn, 0);
        }
    }
    qsort(tensors, tensor_count, sizeof tensors[0], by_order);
}

static void choose_types(const MixCase *c, const char *preset)
{
    FbGgufFacts facts = {c->architecture, c->layers, c->experts, c->heads, c->kv_heads};
    FbGgufMix mix;
    const FbGgufPreset *row = fb_gguf_preset_find(preset);
    assert_non_null(row);
    fb_gguf_mix_begin(&mix, row, &facts);
    for (size_t i = 0; i < tensor_count; i++) {
        fb_gguf_mix_count(&mix, tensors[i].name);
    }
    for (size_t i = 0; i < tensor_count; i++) {
        uint32_t wanted;
        tensors[i].type = tensors[i].shape.rank == 1 || strstr(tensors[i].name, "gate_inp") != NULL ? FB_GGML_F32 : FB_GGML_F16;
        if (fb_gguf_keep_reason(tensors[i].name, &tensors[i].shape) == NULL) {
            tensors[i].type = fb_gguf_mix_type(&mix, tensors[i].name, &tensors[i].shape, &wanted);
        }
    }
}

static const char *kind_of(const char *name)
{
    return strncmp(name, "blk.", 4) == 0 ? strchr(name + 4, '.') + 1 : name;
}

static uint32_t number_of(const char *text)
{
    uint32_t number = 0;
    while (number < 64 && strcasecmp(fb_ggml_type_name(number), text) != 0) {
        number++;
    }
    return number;
}

/* "q6_k*4,q4_k*2": the types of the tensors of one kind, in order. */
static void check_kind(const char *kind, size_t length, const char *runs, const char *where)
{
    size_t at = 0;
    const char *name = "";
    int left = 0;
    uint32_t type = 0;
    for (; at < tensor_count; at++) {
        const MixTensor *tensor = &tensors[at];
        const char *of = kind_of(tensor->name);
        if (strlen(of) != length || strncmp(of, kind, length) != 0) {
            continue;
        }
        if (left == 0) {
            char text[32];
            int used = 0;
            assert_int_equal(sscanf(runs, "%31[^*]*%d%n", text, &left, &used), 2);
            runs += used + (runs[used] == ',');
            type = number_of(text);
            name = fb_ggml_type_name(type);
        }
        left--;
        if (tensor->type != type) {
            fail_msg("%s: %s is %s, expected %s", where, tensor->name, fb_ggml_type_name(tensor->type), name);
        }
        tensors[at].name[0] = '\0'; /* done */
    }
    assert_int_equal(left, 0);
}

static void check_line(char *line)
{
    char *tab = strchr(line, '\t'), *second = strchr(tab + 1, '\t');
    char where[96], usual[32];
    *tab = *second = '\0';
    snprintf(where, sizeof where, "%.30s %.30s", line, tab + 1);
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        if (strcmp(cases[i].name, line) == 0) {
            build(&cases[i]);
            choose_types(&cases[i], tab + 1);
        }
    }
    char *word = strtok(second + 1, " \n");
    snprintf(usual, sizeof usual, "%.31s", word);
    while ((word = strtok(NULL, " \n")) != NULL) {
        char *equals = strchr(word, '=');
        check_kind(word, (size_t)(equals - word), equals + 1, where);
    }
    for (size_t i = 0; i < tensor_count; i++) {
        const char *name = fb_ggml_type_name(tensors[i].type);
        if (tensors[i].name[0] != '\0' && strstr(tensors[i].name, "_norm.weight") == NULL && strcasecmp(name, usual) != 0) {
            fail_msg("%s: %s is %s, expected %s", where, tensors[i].name, name, usual);
        }
    }
}

static void test_golden(void **state)
{
    (void)state;
    static char line[LINE];
    FILE *file = fopen(FB_SOURCE_DIR "/tests/golden/gguf_mix.tsv", "r");
    size_t lines = 0;
    assert_non_null(file);
    while (fgets(line, sizeof line, file) != NULL) {
        check_line(line);
        lines++;
    }
    fclose(file);
    assert_int_equal(lines, sizeof cases / sizeof cases[0] * fb_gguf_preset_count);
}

static void test_importance_changes_the_mix(void **state)
{
    (void)state;
    FbGgufFacts facts = {"llama", 16, 0, 4, 4};
    FbShape shape = {2, {256, 512}};
    static const struct {
        const char *preset;
        uint32_t with, without;
    } rows[] = {{"q4_0", FB_GGML_Q4_1, FB_GGML_Q4_0}, {"q5_0", FB_GGML_Q5_1, FB_GGML_Q5_0}, {"iq4_xs", FB_GGML_IQ4_XS, FB_GGML_Q5_K}};
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        for (int importance = 0; importance < 2; importance++) {
            FbGgufMix mix;
            uint32_t wanted;
            fb_gguf_mix_begin(&mix, fb_gguf_preset_find(rows[i].preset), &facts);
            mix.importance = importance != 0;
            assert_int_equal(fb_gguf_mix_type(&mix, "blk.0.ffn_down.weight", &shape, &wanted), importance ? rows[i].with : rows[i].without);
        }
    }
}

static void test_names(void **state)
{
    (void)state;
    assert_string_equal(fb_gguf_preset_find("Q4_K_M")->name, "q4_k_m");
    assert_string_equal(fb_gguf_preset_find("q4-k")->name, "q4_k_m");
    assert_null(fb_gguf_preset_find("q4_k_x"));
    assert_null(fb_gguf_preset_find(""));
    assert_null(fb_gguf_preset_find("a name that is much longer than any"));
    assert_string_equal(fb_gguf_preset_nearest("Q4_K_N"), "q4_k_s");
    assert_null(fb_gguf_preset_nearest("int8"));
    assert_true(fb_gguf_name_order("output.weight", "blk.0.a") < 0);
    assert_true(fb_gguf_name_order("blk.10.a", "blk.9.b") > 0);
    assert_true(fb_gguf_name_order("blk.1.a", "blk.1.b") < 0);
    assert_int_equal(fb_ggml_type_of_name("Q8_0"), FB_GGML_Q8_0);
    assert_int_equal(fb_ggml_type_of_name("bf16"), FB_GGML_BF16);
    assert_int_equal(fb_ggml_type_of_name("q9"), FB_GGML_NONE);
    assert_non_null(fb_gguf_keep_reason("blk.0.attn_q.bias", &(FbShape){1, {8}}));
    assert_non_null(fb_gguf_keep_reason("blk.0.x.weight", &(FbShape){2, {1, 8}}));
    assert_null(fb_gguf_keep_reason("blk.0.x.weight", &(FbShape){3, {1, 8, 8}}));
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_golden), cmocka_unit_test(test_importance_changes_the_mix), cmocka_unit_test(test_names)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
