/* The blocks of a layer: attention and feed-forward. */
#include "io/huggingface/language_build.h"

/* ---- attention ---- */

static void separate(FbLanguageBuild *b, FbId x, FbId *qkv)
{
    const FbLanguageInfo *info = &b->spec->info;
    qkv[0] = fb_build_linear(b, FB_ROLE_Q, "q", x, info->q_heads * info->head_dim, info->hidden);
    qkv[1] = fb_build_linear(b, FB_ROLE_K, "k", x, info->kv_heads * info->head_dim, info->hidden);
    qkv[2] = fb_build_linear(b, FB_ROLE_V, "v", x, info->kv_heads * info->head_dim, info->hidden);
}

static void queries_keys_values(FbLanguageBuild *b, FbId x, FbId *qkv)
{
    static const char *const names[] = {"q", "k", "v"}, *const parts[] = {"q.parts", "k.parts", "v.parts"};
    const FbLanguageInfo *info = &b->spec->info;
    int64_t depth = info->head_dim, q = info->q_heads * depth, kv = info->kv_heads * depth, total = q + 2 * kv;
    const int64_t sizes[] = {q, kv, kv}, ones[] = {1, 1, 1};
    switch (b->spec->qkv) {
    case FB_QKV_SEPARATE:
        separate(b, x, qkv);
        break;
    case FB_QKV_ROWS:
        qkv[0] = fb_build_linear_rows(b, FB_ROLE_QKV, "q", x, total, 0, q, info->hidden);
        qkv[1] = fb_build_linear_rows(b, FB_ROLE_QKV, "k", x, total, q, kv, info->hidden);
        qkv[2] = fb_build_linear_rows(b, FB_ROLE_QKV, "v", x, total, q + kv, kv, info->hidden);
        break;
    case FB_QKV_COLUMNS:
        fb_build_split(b, names, fb_build_linear(b, FB_ROLE_QKV, "qkv", x, total, info->hidden), 1, sizes, 3, qkv);
        break;
    case FB_QKV_HEADS:
        x = fb_build_linear(b, FB_ROLE_QKV, "qkv", x, total, info->hidden);
        x = fb_build_reshape(b, "qkv.heads", x, (const int64_t[]){-1, info->q_heads, 3, depth}, 4);
        fb_build_split(b, parts, x, 2, ones, 3, qkv);
        for (int i = 0; i < 3; i++) {
            qkv[i] = fb_build_reshape(b, names[i], qkv[i], (const int64_t[]){-1, q}, 2);
        }
        break;
    }
}

/* Normalizes each head's numbers. */
static FbId head_norm(FbLanguageBuild *b, FbLanguageRole role, const char *const names[3], FbId x, int64_t heads)
{
    int64_t depth = b->spec->info.head_dim;
    x = fb_build_reshape(b, names[0], x, (const int64_t[]){-1, heads, depth}, 3);
    x = fb_build_norm(b, role, names[1], x, depth);
    return fb_build_reshape(b, names[2], x, (const int64_t[]){-1, heads * depth}, 2);
}

static FbId rotate(FbLanguageBuild *b, const char *const names[3], FbId x, int64_t heads, bool sliding)
{
    int64_t depth = b->spec->info.head_dim;
    const FbRotarySpec *rotary = &b->spec->rotary[sliding && b->spec->rotary[1].dims != 0];
    const int64_t zero = 0;
    FbId axis = fb_build_ints(b, "axis.0", &zero, 1);
    x = fb_build_2(b, "Unsqueeze", names[0], x, axis);
    x = fb_build_node(b, "", "RotaryEmbedding", names[1], (const FbId[]){x, b->cosines[sliding], b->sines[sliding], b->position_row}, 4);
    fb_build_int(b, "num_heads", heads);
    fb_build_int(b, "interleaved", b->spec->interleaved);
    if (rotary->dims != depth) {
        fb_build_int(b, "rotary_embedding_dim", rotary->dims);
    }
    return fb_build_2(b, "Squeeze", names[2], x, axis);
}

FbId fb_build_attention(FbLanguageBuild *b, FbId x)
{
    static const char *const q_norm[] = {"q.heads", "q.norm", "q.flat"}, *const k_norm[] = {"k.heads", "k.norm", "k.flat"};
    static const char *const q_rotary[] = {"q.row", "q.rotary", "q.rotated"}, *const k_rotary[] = {"k.row", "k.rotary", "k.rotated"};
    const FbLanguageSpec *spec = b->spec;
    const FbLanguageInfo *info = &spec->info;
    bool sliding = spec->sliding != NULL && spec->sliding[b->layer];
    FbId qkv[3] = {FB_NONE, FB_NONE, FB_NONE};
    queries_keys_values(b, x, qkv);
    if (spec->head_norms) {
        qkv[0] = head_norm(b, FB_ROLE_Q_NORM, q_norm, qkv[0], info->q_heads);
        qkv[1] = head_norm(b, FB_ROLE_K_NORM, k_norm, qkv[1], info->kv_heads);
    }
    if (spec->positions == FB_POSITIONS_ROTARY) {
        qkv[0] = rotate(b, q_rotary, qkv[0], info->q_heads, sliding);
        qkv[1] = rotate(b, k_rotary, qkv[1], info->kv_heads, sliding);
    }
    x = fb_build_node(b, "fewbit", "Attention", "attention", (const FbId[]){qkv[0], qkv[1], qkv[2], b->positions, b->sequences, b->slopes}, 6);
    fb_build_int(b, "q_num_heads", info->q_heads);
    fb_build_int(b, "kv_num_heads", info->kv_heads);
    fb_build_int(b, "layer", b->layer);
    fb_build_float(b, "scale", spec->attention_scale);
    if (spec->attention_softcap != 0.0) {
        fb_build_float(b, "softcap", spec->attention_softcap);
    }
    if (sliding) {
        fb_build_int(b, "window", info->window);
    }
    return fb_build_linear(b, FB_ROLE_ATTENTION_OUT, "attention.out", x, info->hidden, info->q_heads * info->head_dim);
}

/* ---- feed-forward ---- */

FbId fb_build_activation(FbLanguageBuild *b, const char *name, FbId x)
{
    switch (b->spec->activation) {
    case FB_LANGUAGE_SILU:
        return fb_build_2(b, "Mul", name, x, fb_build_1(b, "Sigmoid", "sigmoid", x));
    case FB_LANGUAGE_GELU_TANH:
        x = fb_build_1(b, "Gelu", name, x);
        fb_build_text(b, "approximate", "tanh");
        return x;
    case FB_LANGUAGE_GELU_ERF:
        return fb_build_1(b, "Gelu", name, x);
    case FB_LANGUAGE_RELU:
        break;
    }
    return fb_build_1(b, "Relu", name, x);
}

/* A mixture of experts: their matrices in one tensor of each kind, or one by one. */
static FbId mixture(FbLanguageBuild *b, FbId x)
{
    static const FbLanguageRole stacked[] = {FB_ROLE_EXPERTS_GATE, FB_ROLE_EXPERTS_UP, FB_ROLE_EXPERTS_DOWN};
    static const FbLanguageRole single[] = {FB_ROLE_EXPERT_GATE, FB_ROLE_EXPERT_UP, FB_ROLE_EXPERT_DOWN};
    const FbLanguageSpec *spec = b->spec;
    int64_t experts = spec->info.experts, hidden = spec->info.hidden, width = spec->expert_width;
    bool whole = b->gguf && fb_build_has(b, FB_ROLE_EXPERTS_GATE, 0, ".weight");
    size_t count = 2 + 3 * (whole ? 1 : (size_t)experts), used = 2;
    FbId *inputs = fb_arena_array(b->scratch, count, sizeof *inputs);
    if (inputs == NULL) {
        fb_build_fail(b, fb_error_memory(b->context, b->err, "experts", count * sizeof *inputs));
        return FB_NONE;
    }
    inputs[0] = x;
    inputs[1] = fb_build_linear(b, FB_ROLE_ROUTER, "router", x, experts, hidden);
    for (int kind = 0; kind < 3; kind++) {
        int64_t rows = kind == 2 ? hidden : width, columns = kind == 2 ? width : hidden;
        if (whole) {
            inputs[used++] = fb_build_stack(b, stacked[kind], experts, rows, columns);
        }
        for (int64_t e = 0; !whole && e < experts; e++) {
            inputs[used++] = fb_build_matrix(b, single[kind], e, rows, columns);
        }
    }
    x = fb_build_node(b, "fewbit", "Experts", "experts", inputs, count);
    fb_build_int(b, "top_k", spec->info.experts_used);
    fb_build_int(b, "normalize", spec->normalize_experts);
    fb_build_text(b, "activation", spec->activation == FB_LANGUAGE_SILU ? "silu" : "gelu_tanh");
    return x;
}

FbId fb_build_feed_forward(FbLanguageBuild *b, FbId x)
{
    const FbLanguageInfo *info = &b->spec->info;
    int64_t width = info->feed_forward, hidden = info->hidden;
    FbId up, gate;
    if (b->spec->mixture != NULL && b->spec->mixture[b->layer]) {
        return mixture(b, x);
    }
    if (!b->spec->gated) {
        up = fb_build_linear(b, FB_ROLE_UP, "up", x, width, hidden);
        return fb_build_linear(b, FB_ROLE_DOWN, "down", fb_build_activation(b, "active", up), hidden, width);
    }
    if (b->spec->fused_gate) {
        gate = fb_build_linear_rows(b, FB_ROLE_GATE_UP, "gate", x, 2 * width, 0, width, hidden);
        up = fb_build_linear_rows(b, FB_ROLE_GATE_UP, "up", x, 2 * width, width, width, hidden);
    } else {
        gate = fb_build_linear(b, FB_ROLE_GATE, "gate", x, width, hidden);
        up = fb_build_linear(b, FB_ROLE_UP, "up", x, width, hidden);
    }
    x = fb_build_2(b, "Mul", "gated", fb_build_activation(b, "active", gate), up);
    return fb_build_linear(b, FB_ROLE_DOWN, "down", x, hidden, width);
}
