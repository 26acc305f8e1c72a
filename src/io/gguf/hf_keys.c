/* Key-values of a GGUF file from config.json, see hf_model.h. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/text.h"
#include "io/gguf/hf_model.h"

enum { KEY_ROOM = 128, KEYS_MAX = 6 };

typedef enum FbHfKeyKind { FB_HF_COUNT, FB_HF_REAL } FbHfKeyKind;

typedef struct FbHfKeyRow {
    const char *key;              /* after "ARCHITECTURE." */
    FbHfKeyKind kind;
    const char *names[KEYS_MAX];  /* in config.json, the first that is there; NULL-terminated */
    const char *architecture;     /* only for this one; NULL: all */
    double otherwise;             /* where config.json says nothing; NAN: the key is left out */
} FbHfKeyRow;

/* Defaults are those of transformers, for files that leave out what equals them. */
static const FbHfKeyRow key_rows[] = {
    {"block_count", FB_HF_COUNT, {"num_hidden_layers", "n_layer", "n_layers", "num_layers"}, NULL, NAN},
    {"context_length", FB_HF_COUNT, {"max_position_embeddings"}, "gemma3", 131072},
    {"context_length", FB_HF_COUNT, {"seq_length"}, "bloom", 2048},
    {"context_length", FB_HF_COUNT, {"max_position_embeddings", "n_ctx", "n_positions", "seq_length"}, NULL, NAN},
    {"embedding_length", FB_HF_COUNT, {"hidden_size", "n_embd", "n_embed", "dim"}, NULL, NAN},
    {"feed_forward_length", FB_HF_COUNT, {"n_inner"}, "gpt2", NAN},
    {"feed_forward_length", FB_HF_COUNT, {"n_inner"}, "bloom", NAN},
    {"feed_forward_length", FB_HF_COUNT, {"intermediate_size", "n_inner", "hidden_dim"}, NULL, NAN},
    {"attention.head_count", FB_HF_COUNT, {"num_attention_heads"}, "gemma3", 8},
    {"attention.head_count", FB_HF_COUNT, {"num_attention_heads", "n_head", "n_heads"}, NULL, NAN},
    {"attention.head_count_kv", FB_HF_COUNT, {"num_key_value_heads"}, "gemma3", 4},
    {"attention.head_count_kv", FB_HF_COUNT, {"num_key_value_heads", "n_kv_heads", "n_head_kv"}, NULL, NAN},
    {"attention.layer_norm_rms_epsilon", FB_HF_REAL, {"rms_norm_eps", "norm_eps"}, "gemma3", 1e-6},
    {"attention.layer_norm_rms_epsilon", FB_HF_REAL, {"rms_norm_eps", "norm_eps"}, NULL, NAN},
    {"attention.layer_norm_epsilon", FB_HF_REAL, {NULL}, "olmo", 1e-5},
    {"attention.layer_norm_epsilon", FB_HF_REAL, {"layer_norm_eps", "layer_norm_epsilon", "norm_epsilon"}, NULL, NAN},
    {"expert_count", FB_HF_COUNT, {"num_local_experts", "num_experts", "n_routed_experts"}, NULL, NAN},
    {"expert_used_count", FB_HF_COUNT, {"num_experts_per_tok", "num_experts_per_token", "top_k_experts"}, NULL, NAN},
    {"expert_feed_forward_length", FB_HF_COUNT, {"intermediate_size"}, "gpt-oss", NAN},
    {"expert_feed_forward_length", FB_HF_COUNT, {"moe_intermediate_size"}, NULL, NAN},
    {"expert_shared_feed_forward_length", FB_HF_COUNT, {"shared_expert_intermediate_size"}, NULL, NAN},
    {"attention.key_length", FB_HF_COUNT, {"head_dim"}, "gemma3", 256},
    {"attention.key_length", FB_HF_COUNT, {"head_dim"}, NULL, NAN},
    {"attention.value_length", FB_HF_COUNT, {"head_dim"}, "gemma3", 256},
    {"attention.value_length", FB_HF_COUNT, {"head_dim"}, NULL, NAN},
    {"attn_logit_softcapping", FB_HF_REAL, {"attn_logit_softcapping"}, "gemma2", 50},
    {"final_logit_softcapping", FB_HF_REAL, {"final_logit_softcapping"}, "gemma2", 30},
    {"final_logit_softcapping", FB_HF_REAL, {"final_logit_softcapping"}, "gemma3", NAN},
    {"attention.sliding_window", FB_HF_COUNT, {"sliding_window"}, "gemma2", 4096},
    {"attention.sliding_window", FB_HF_COUNT, {"sliding_window"}, "gemma3", 4096},
    {"attention.sliding_window", FB_HF_COUNT, {"sliding_window"}, "phi3", 0},
    {"attention.sliding_window", FB_HF_COUNT, {"sliding_window"}, "gpt-oss", 128},
    {"attention.clamp_kqv", FB_HF_REAL, {"clip_qkv"}, "olmo", NAN},
    {"attention.scale", FB_HF_REAL, {"attention_multiplier"}, "granite", 1},
    {"attention.scale", FB_HF_REAL, {"attention_multiplier"}, "granitemoe", 1},
    {"embedding_scale", FB_HF_REAL, {"embedding_multiplier"}, "granite", 1},
    {"embedding_scale", FB_HF_REAL, {"embedding_multiplier"}, "granitemoe", 1},
    {"residual_scale", FB_HF_REAL, {"residual_multiplier"}, "granite", 1},
    {"residual_scale", FB_HF_REAL, {"residual_multiplier"}, "granitemoe", 1},
    {"logit_scale", FB_HF_REAL, {"logits_scaling"}, "granite", 1},
    {"logit_scale", FB_HF_REAL, {"logits_scaling"}, "granitemoe", 1},
    {"attention.sliding_window", FB_HF_COUNT, {"sliding_window"}, "llama", NAN}, /* Mistral's; llama.cpp does not ask for it */
    {"attention.sliding_window", FB_HF_COUNT, {"sliding_window"}, "mistral3", NAN},
};

static const char *key_of(const FbHfModel *model, const char *suffix, char *out)
{
    char shown[64];
    snprintf(out, KEY_ROOM, "%s.%s", fb_escape(model->family->architecture, shown, sizeof shown), suffix);
    return out;
}

static FbStatus put_count(const FbHfModel *model, FbGgufWriter *writer, const char *suffix, int64_t value, FbError *err)
{
    char key[KEY_ROOM];
    if (value < 0 || value > UINT32_MAX) {
        return fb_error_set(err, FB_ERR_FORMAT, "config.json: '%s' would be %lld", suffix, (long long)value);
    }
    return fb_gguf_put_u32(writer, key_of(model, suffix, key), (uint32_t)value, err);
}

static FbStatus put_real(const FbHfModel *model, FbGgufWriter *writer, const char *suffix, double value, FbError *err)
{
    char key[KEY_ROOM];
    return fb_gguf_put_f32(writer, key_of(model, suffix, key), (float)value, err);
}

static FbStatus put_row(const FbHfModel *model, FbGgufWriter *writer, const FbHfKeyRow *row, FbError *err)
{
    int64_t count = (int64_t)(isnan(row->otherwise) ? -1.0 : row->otherwise);
    double number = row->otherwise;
    if (row->kind == FB_HF_COUNT) {
        fb_hf_integer(model, row->names, &count);
        return count >= 0 ? put_count(model, writer, row->key, count, err) : FB_OK;
    }
    fb_hf_number(model, row->names, &number);
    return isfinite(number) ? put_real(model, writer, row->key, number, err) : FB_OK;
}

static bool is_llama(const FbHfModel *model)
{
    return strcmp(model->family->architecture, "llama") == 0 || strcmp(model->family->architecture, "mistral3") == 0;
}

/* Keys that the family ignores. */
static bool is_ignored_key(const FbHfModel *model, const char *key)
{
    bool heads = strcmp(key, "attention.head_count_kv") == 0 && !fb_hf_shares_heads(model);
    return heads || (strcmp(key, "attention.sliding_window") == 0 && strcmp(model->family->type, "llama") == 0);
}

/* A row for this architecture counts before one for all. */
static FbStatus put_rows(const FbHfModel *model, FbGgufWriter *writer, FbError *err)
{
    const char *last = "";
    for (size_t i = 0; i < sizeof key_rows / sizeof key_rows[0]; i++) {
        const FbHfKeyRow *row = &key_rows[i];
        bool other = row->architecture != NULL && strcmp(row->architecture, model->family->architecture) != 0;
        if (!other && !is_ignored_key(model, row->key) && strcmp(last, row->key) != 0) {
            last = row->key;
            FB_TRY(put_row(model, writer, row, err));
        }
    }
    return FB_OK;
}

/* llama.cpp counts tokens by the vocabulary; where there is none, by this. Files of Llama always have it. */
static FbStatus put_vocabulary_size(const FbHfModel *model, FbGgufWriter *writer, FbError *err)
{
    int64_t count = 0;
    if (!fb_hf_carries_tokenizer(model)) {
        count = model->vocabulary;
    } else if (is_llama(model) || strncmp(model->family->architecture, "granite", 7) == 0) {
        fb_hf_integer(model, (const char *const[]){"vocab_size", NULL}, &count);
    }
    return count > 0 && count <= UINT32_MAX ? put_count(model, writer, "vocab_size", count, err) : FB_OK;
}

/* ---- rotary embedding ---- */

static double rope_number(const FbHfModel *model, const char *key, double otherwise)
{
    const json_t *value = fb_hf_rope(model, key);
    return json_is_number(value) ? json_number_value(value) : otherwise;
}

static const char *rope_type(const FbHfModel *model)
{
    const json_t *type = fb_hf_rope(model, "rope_type");
    type = type != NULL ? type : fb_hf_rope(model, "type");
    return json_is_string(type) ? json_string_value(type) : "default";
}

static int64_t head_size(const FbHfModel *model)
{
    int64_t size = 0, hidden = 0;
    if (fb_hf_integer(model, (const char *const[]){"head_dim", NULL}, &size)) {
        return size;
    }
    fb_hf_integer(model, (const char *const[]){"hidden_size", "n_embd", "n_embed", NULL}, &hidden);
    return model->facts.heads > 0 ? hidden / model->facts.heads : 0;
}

static double partial_factor(const FbHfModel *model)
{
    double factor = 1.0;
    fb_hf_number(model, (const char *const[]){"partial_rotary_factor", "rotary_pct", "rope_pct", "rope_percent", NULL}, &factor);
    return rope_number(model, "partial_rotary_factor", factor);
}

static FbStatus put_scaling(const FbHfModel *model, FbGgufWriter *writer, FbError *err)
{
    static const struct {
        const char *from, *to;
    } yarn[] = {{"extrapolation_factor", "rope.scaling.yarn_ext_factor"}, {"attention_factor", "rope.scaling.yarn_attn_factor"},
                {"beta_fast", "rope.scaling.yarn_beta_fast"}, {"beta_slow", "rope.scaling.yarn_beta_slow"}};
    char key[KEY_ROOM], shown[64];
    const char *type = rope_type(model);
    bool linear = strcmp(type, "linear") == 0, is_yarn = strcmp(type, "yarn") == 0;
    bool longrope = strcmp(type, "longrope") == 0 || strcmp(type, "su") == 0;
    if (longrope && strcmp(model->family->architecture, "phi3") != 0) {
        return fb_gguf_put_text(writer, key_of(model, "rope.scaling.type", key), "longrope", err);
    }
    if (!linear && !is_yarn) {
        bool known = longrope || strcmp(type, "default") == 0 || strcmp(type, "llama3") == 0 || strcmp(type, "mrope") == 0;
        if (!known) {
            fb_log(model->context, FB_LOG_WARNING, "rope-type", "rotary scaling '%s' has no form in GGUF and is left out", fb_escape(type, shown, sizeof shown));
        }
        return FB_OK;
    }
    FB_TRY(fb_gguf_put_text(writer, key_of(model, "rope.scaling.type", key), type, err));
    FB_TRY(put_real(model, writer, "rope.scaling.factor", rope_number(model, "factor", 1.0), err));
    double original = rope_number(model, "original_max_position_embeddings", 0.0);
    if (is_yarn && original > 0.0 && original <= 4294967295.0) {
        FB_TRY(put_count(model, writer, "rope.scaling.original_context_length", (int64_t)original, err));
    }
    for (size_t i = 0; is_yarn && i < sizeof yarn / sizeof yarn[0]; i++) {
        double value = rope_number(model, yarn[i].from, NAN);
        if (isfinite(value)) {
            FB_TRY(put_real(model, writer, yarn[i].to, value, err));
        }
    }
    return FB_OK;
}

/* Qwen2-VL and later: how many pairs of a head turn with time, height and width. */
static FbStatus put_sections(const FbHfModel *model, FbGgufWriter *writer, FbError *err)
{
    enum { SECTIONS = 4 };
    const json_t *list = fb_hf_rope(model, "mrope_section");
    int32_t sections[SECTIONS] = {0};
    char key[KEY_ROOM];
    if (list == NULL) {
        return FB_OK;
    }
    bool good = json_is_array(list) && json_array_size(list) <= SECTIONS;
    for (size_t i = 0; good && i < json_array_size(list); i++) {
        json_int_t pairs = json_integer_value(json_array_get(list, i));
        good = json_is_integer(json_array_get(list, i)) && pairs >= 0 && pairs <= INT32_MAX;
        sections[i] = good ? (int32_t)pairs : 0;
    }
    if (!good) {
        return fb_error_set(err, FB_ERR_FORMAT, "config.json: 'mrope_section' must be a list of at most %d counts", SECTIONS);
    }
    return fb_gguf_put_numbers(writer, key_of(model, "rope.dimension_sections", key), FB_META_S32, sections, SECTIONS, err);
}

/* Qwen3-VL: into how many layers pictures are added; three where config.json says nothing. */
static FbStatus put_deepstack(const FbHfModel *model, FbGgufWriter *writer, FbError *err)
{
    const json_t *layers = json_object_get(json_object_get(model->config, "vision_config"), "deepstack_visual_indexes");
    if (strcmp(model->family->architecture, "qwen3vl") != 0) {
        return FB_OK;
    }
    return put_count(model, writer, "n_deepstack_layers", json_is_array(layers) ? (int64_t)json_array_size(layers) : 3, err);
}

static FbStatus put_bases(const FbHfModel *model, FbGgufWriter *writer, FbError *err)
{
    bool gemma3 = strcmp(model->family->architecture, "gemma3") == 0;
    double base = gemma3 ? 1e6 : NAN, local = gemma3 ? 1e4 : NAN;
    fb_hf_number(model, (const char *const[]){"rope_theta", "rotary_emb_base", NULL}, &base);
    base = rope_number(model, "rope_theta", base);
    fb_hf_number(model, (const char *const[]){"rope_local_base_freq", "local_rope_theta", NULL}, &local);
    const json_t *sliding = json_object_get(fb_hf_find(model, (const char *const[]){"rope_parameters", NULL}), "sliding_attention");
    const json_t *theta = json_object_get(sliding, "rope_theta");
    local = json_is_number(theta) ? json_number_value(theta) : local;
    if (isfinite(base)) {
        FB_TRY(put_real(model, writer, "rope.freq_base", base, err));
    }
    return isfinite(local) ? put_real(model, writer, "rope.freq_base_swa", local, err) : FB_OK;
}

static FbStatus put_rope(const FbHfModel *model, FbGgufWriter *writer, FbError *err)
{
    const char *architecture = model->family->architecture;
    bool phi3 = strcmp(architecture, "phi3") == 0, llama = is_llama(model), neox = strcmp(architecture, "gptneox") == 0;
    FB_TRY(put_scaling(model, writer, err));
    FB_TRY(put_sections(model, writer, err));
    FB_TRY(put_bases(model, writer, err));
    if (phi3) {
        int64_t context = 0, original = 0;
        fb_hf_integer(model, (const char *const[]){"max_position_embeddings", NULL}, &context);
        original = context;
        fb_hf_integer(model, (const char *const[]){"original_max_position_embeddings", NULL}, &original);
        double within = rope_number(model, "original_max_position_embeddings", (double)original);
        original = within >= 0.0 && within <= UINT32_MAX ? (int64_t)within : original;
        FB_TRY(put_count(model, writer, "rope.scaling.original_context_length", original, err));
        if (json_is_array(fb_hf_rope(model, "long_factor"))) {
            double scale = original > 1 ? (double)context / (double)original : 1.0;
            double factor = scale > 1.0 ? sqrt(1.0 + log(scale) / log((double)original)) : 1.0;
            FB_TRY(put_real(model, writer, "rope.scaling.attn_factor", factor, err));
        }
    }
    int64_t size = head_size(model);
    bool granite = strncmp(architecture, "granite", 7) == 0;
    double part = llama ? 1.0 : partial_factor(model);
    if ((phi3 || llama || granite || neox || part != 1.0) && size > 0) {
        if (!(part > 0.0 && part <= 1.0)) {
            return fb_error_set(err, FB_ERR_FORMAT, "config.json: %g of a head's dimensions cannot be rotated", part);
        }
        FB_TRY(put_count(model, writer, "rope.dimension_count", (int64_t)(part * (double)size), err));
    }
    return FB_OK;
}

static bool is_divisor(float value) { return value > 0.0f && isfinite(value); }

/* Divisors of the rotary frequencies: 1 for short waves, the factor for long ones, a blend between. Source: transformers, llama3 scaling. Every step is
 * rounded to float, so that the converter's file has the same numbers. */
static FbStatus add_llama3(FbHfModel *model, FbError *err)
{
    int64_t size = head_size(model);
    double base = 10000.0;
    fb_hf_number(model, (const char *const[]){"rope_theta", NULL}, &base);
    base = rope_number(model, "rope_theta", base);
    double factor = rope_number(model, "factor", 8.0), low = rope_number(model, "low_freq_factor", 1.0);
    double high = rope_number(model, "high_freq_factor", 4.0), original = rope_number(model, "original_max_position_embeddings", 8192.0);
    if (size < 2 || size % 2 != 0 || size > 65536 || low == high) {
        return fb_error_set(err, FB_ERR_FORMAT, "config.json: the rotary scaling 'llama3' needs an even head size and two different frequency factors");
    }
    FbGgufTensor *tensor = fb_hf_add_tensor(model, "rope_freqs.weight");
    float *values = fb_arena_array(model->arena, (size_t)(size / 2), sizeof *values);
    if (tensor == NULL || values == NULL) {
        return fb_error_memory(model->context, err, "rotary factors", (uint64_t)size * sizeof *values);
    }
    for (int64_t i = 0; i < size / 2; i++) {
        float frequency = 1.0f / (float)pow(base, (double)((float)(2 * i) / (float)size));
        float wave = (float)(2.0 * 3.14159265358979323846) / frequency;
        float smooth = ((float)original / wave - (float)low) / (float)(high - low);
        values[i] = (double)wave < original / high  ? 1.0f
                    : (double)wave > original / low ? (float)factor
                                                    : 1.0f / ((1.0f - smooth) / (float)factor + smooth);
        if (!is_divisor(values[i])) {
            return fb_error_set(err, FB_ERR_FORMAT, "config.json: the rotary scaling 'llama3' divides a frequency by %g", (double)values[i]);
        }
    }
    tensor->shape = (FbShape){1, {size / 2}};
    tensor->values = values;
    return FB_OK;
}

static FbStatus add_factors(FbHfModel *model, const char *from, const char *name, FbError *err)
{
    const json_t *list = fb_hf_rope(model, from);
    size_t count = json_array_size(list);
    if (count == 0 || count > 65536) {
        return fb_error_set(err, FB_ERR_FORMAT, "config.json: '%s' of the rotary scaling must be a list of numbers", from);
    }
    FbGgufTensor *tensor = fb_hf_add_tensor(model, name);
    float *values = fb_arena_array(model->arena, count, sizeof *values);
    if (tensor == NULL || values == NULL) {
        return fb_error_memory(model->context, err, "rotary factors", count * sizeof *values);
    }
    for (size_t i = 0; i < count; i++) {
        values[i] = (float)json_number_value(json_array_get(list, i));
        if (!is_divisor(values[i])) {
            return fb_error_set(err, FB_ERR_FORMAT, "config.json: '%s' of the rotary scaling must hold positive numbers", from);
        }
    }
    tensor->shape = (FbShape){1, {(int64_t)count}};
    tensor->values = values;
    return FB_OK;
}

FbStatus fb_hf_add_rope_tensors(FbHfModel *model, FbError *err)
{
    if (is_llama(model) && strcmp(rope_type(model), "llama3") == 0) {
        return add_llama3(model, err);
    }
    if (json_is_array(fb_hf_rope(model, "long_factor")) && strcmp(model->family->architecture, "phi3") == 0) {
        FB_TRY(add_factors(model, "long_factor", "rope_factors_long.weight", err));
        return add_factors(model, "short_factor", "rope_factors_short.weight", err);
    }
    return FB_OK;
}

/* ---- general.* ---- */

/* "135M", "8x7.0B": parameters with two digits at least. */
static void size_label(const FbHfModel *model, char *out, size_t bytes)
{
    double shared = 0.0, expert = 0.0;
    int64_t experts = 0;
    for (size_t i = 0; i < model->tensor_count; i++) {
        const FbGgufTensor *tensor = &model->tensors[i];
        double elements = (double)fb_gguf_rows(tensor) * (double)fb_gguf_columns(tensor);
        bool stacked = tensor->shape.rank == 3 && strstr(tensor->name, "_exps.") != NULL;
        experts = stacked ? tensor->shape.dims[0] : experts;
        shared += stacked ? 0.0 : elements;
        expert += stacked ? elements / (double)tensor->shape.dims[0] : 0.0;
    }
    double count = shared + expert;
    double unit = count > 1e12 ? 1e12 : count > 1e9 ? 1e9 : count > 1e6 ? 1e6 : 1e3;
    char letter = count > 1e12 ? 'T' : count > 1e9 ? 'B' : count > 1e6 ? 'M' : 'K';
    int digits = nearbyint(count / unit) >= 10.0 ? 0 : nearbyint(count / unit) >= 1.0 ? 1 : 2;
    char prefix[32] = "";
    if (experts > 0) {
        snprintf(prefix, sizeof prefix, "%lldx", (long long)experts);
    }
    snprintf(out, bytes, "%s%.*f%c", prefix, digits, count / unit, letter);
}

static FbStatus put_general(const FbHfModel *model, FbGgufWriter *writer, FbError *err)
{
    static const struct {
        const char *from, *to;
        bool count;
    } sampling[] = {{"top_k", "general.sampling.top_k", true}, {"top_p", "general.sampling.top_p", false}, {"min_p", "general.sampling.min_p", false},
                    {"temperature", "general.sampling.temp", false}, {"repetition_penalty", "general.sampling.penalty_repeat", false}};
    char label[64], folder[200];
    FB_TRY(fb_gguf_put_text(writer, "general.architecture", model->family->architecture, err));
    FB_TRY(fb_gguf_put_text(writer, "general.type", "model", err));
    for (size_t i = 0; i < sizeof sampling / sizeof sampling[0]; i++) {
        const json_t *value = json_object_get(model->generation, sampling[i].from);
        if (sampling[i].count && json_is_integer(value)) {
            json_int_t count = json_integer_value(value) > INT32_MAX ? INT32_MAX : json_integer_value(value);
            FB_TRY(fb_gguf_put_s32(writer, sampling[i].to, (int32_t)(count > 0 ? count : 0), err));
        } else if (!sampling[i].count && json_is_number(value)) {
            FB_TRY(fb_gguf_put_f32(writer, sampling[i].to, (float)json_number_value(value), err));
        }
    }
    size_t length = strlen(model->folder);
    while (length > 0 && model->folder[length - 1] == '/') {
        model->folder[--length] = '\0';
    }
    const char *slash = strrchr(model->folder, '/');
    const char *name = slash != NULL ? slash + 1 : model->folder;
    if (name[0] != '\0' && strcmp(name, ".") != 0) {
        FB_TRY(fb_gguf_put_text(writer, "general.name", fb_escape(name, folder, sizeof folder), err));
    }
    size_label(model, label, sizeof label);
    return fb_gguf_put_text(writer, "general.size_label", label, err);
}

FbStatus fb_hf_put_keys(const FbHfModel *model, FbGgufWriter *writer, FbError *err)
{
    char key[KEY_ROOM];
    int64_t hidden = 0, width;
    FB_TRY(put_general(model, writer, err));
    FB_TRY(put_rows(model, writer, err));
    FB_TRY(put_vocabulary_size(model, writer, err));
    fb_hf_integer(model, (const char *const[]){"hidden_size", "n_embd", "n_embed", NULL}, &hidden);
    if ((model->family->flags & FB_HF_WIDE_FEED) != 0 && !fb_hf_integer(model, (const char *const[]){"n_inner", NULL}, &width)) {
        FB_TRY(put_count(model, writer, "feed_forward_length", 4 * hidden, err));
    }
    if (strcmp(model->family->architecture, "bloom") == 0) {
        FB_TRY(put_count(model, writer, "attention.head_count_kv", model->facts.heads, err));
    }
    bool neox = strcmp(model->family->architecture, "gptneox") == 0;
    if (neox || strcmp(model->family->architecture, "stablelm") == 0) {
        const json_t *said = json_object_get(model->text, "use_parallel_residual");
        bool parallel = neox ? !json_is_false(said) : json_is_true(said);
        FB_TRY(fb_gguf_put_bool(writer, key_of(model, "use_parallel_residual", key), parallel, err));
    }
    FB_TRY(put_rope(model, writer, err));
    FB_TRY(put_deepstack(model, writer, err));
    FB_TRY(fb_hf_put_tokenizer(model, writer, err));
    return fb_hf_put_chat_template(model, writer, err);
}
