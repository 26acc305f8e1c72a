/* Planning a GGUF file, see gguf_plan.h. */
#include "quantize/gguf_plan.h"

#include <stdlib.h>
#include <string.h>

#include "base/text.h"
#include "io/gguf/gguf_write.h"
#include "tensor/block_type.h"

/* ---- what is there ---- */

/* A count under "ARCHITECTURE.key"; of an array, its first element. */
static FbStatus read_fact(const FbGgufPlan *plan, const FbCheckpoint *checkpoint, const char *key, int64_t *out, FbError *err)
{
    double number = 0.0;
    char *name = fb_arena_printf(plan->arena, "%s.%s", plan->facts.architecture, key);
    if (name == NULL) {
        return fb_error_memory(plan->context, err, "a key", 0);
    }
    const FbMeta *meta = fb_checkpoint_meta(checkpoint, name);
    if (meta != NULL && meta->is_array && meta->count > 0 && meta->type != FB_META_STRING) {
        FB_TRY(fb_meta_read_numbers(meta, 0, 1, &number, err));
    } else if (meta == NULL || !fb_meta_number(meta, &number)) {
        return FB_OK;
    }
    *out = number >= 0.0 && number <= 1e9 ? (int64_t)number : 0;
    return FB_OK;
}

FbStatus fb_gguf_plan_facts(FbGgufPlan *plan, const FbCheckpoint *checkpoint, FbError *err)
{
    FbGgufFacts *facts = &plan->facts;
    const char *architecture = fb_meta_text(fb_checkpoint_meta(checkpoint, "general.architecture"));
    facts->architecture = architecture != NULL ? fb_arena_strdup(plan->arena, architecture) : "";
    if (facts->architecture == NULL) {
        return fb_error_memory(plan->context, err, "a name", 0);
    }
    FB_TRY(read_fact(plan, checkpoint, "block_count", &facts->layers, err));
    FB_TRY(read_fact(plan, checkpoint, "expert_count", &facts->experts, err));
    FB_TRY(read_fact(plan, checkpoint, "attention.head_count", &facts->heads, err));
    facts->kv_heads = facts->heads;
    return read_fact(plan, checkpoint, "attention.head_count_kv", &facts->kv_heads, err);
}

FbStatus fb_gguf_plan_tensors(FbGgufPlan *plan, const FbCheckpoint *checkpoint, FbError *err)
{
    plan->count = checkpoint->tensor_count;
    plan->choices = fb_arena_array(plan->arena, plan->count, sizeof *plan->choices);
    const FbConst **pieces = fb_arena_array(plan->arena, plan->count, sizeof *pieces);
    if (plan->choices == NULL || pieces == NULL) {
        return fb_error_memory(plan->context, err, "a plan", plan->count * sizeof *plan->choices);
    }
    for (size_t i = 0; i < plan->count; i++) {
        const FbTableTensor *row = &checkpoint->tensors[i];
        FbGgufTensor *tensor = &plan->choices[i].tensor;
        pieces[i] = &row->constant;
        *tensor = (FbGgufTensor){.name = row->name, .shape = row->constant.shape, .pieces = &pieces[i], .piece_count = 1};
        if (!fb_gguf_number_of_constant(&row->constant, &tensor->number)) {
            char shown[200];
            return fb_error_set(err, FB_ERR_UNSUPPORTED, "%s has elements that GGUF does not have",
                                fb_checkpoint_shown(checkpoint, row->name, shown, sizeof shown));
        }
    }
    return FB_OK;
}

FbStatus fb_gguf_plan_mapped(FbGgufPlan *plan, const FbGgufTensor *tensors, size_t count, FbError *err)
{
    plan->floats_kept = true;
    plan->count = count;
    plan->choices = fb_arena_array(plan->arena, count + 1, sizeof *plan->choices);
    if (plan->choices == NULL) {
        return fb_error_memory(plan->context, err, "a plan", count * sizeof *plan->choices);
    }
    for (size_t i = 0; i < count; i++) {
        plan->choices[i].tensor = tensors[i];
    }
    return FB_OK;
}

/* ---- types ---- */

typedef struct FbGgufOverride {
    char *pattern;
    const char *text; /* as given */
    uint32_t type;
    bool used;
} FbGgufOverride;

static FbStatus parse_override(const FbGgufPlan *plan, const char *text, FbGgufOverride *out, FbError *err)
{
    char shown[120], names[512] = "";
    const char *equals = strrchr(text, '=');
    if (equals == NULL || equals == text) {
        return fb_error_set(err, FB_ERR_ARGUMENT, "'%s': expected PATTERN=TYPE, as in 'blk.*.ffn_down.weight=q6_k'",
                            fb_escape(text, shown, sizeof shown));
    }
    out->type = fb_ggml_type_of_name(equals + 1);
    if (out->type == FB_GGML_NONE) {
        size_t length = 0;
        for (size_t i = 0; i < fb_block_type_count; i++) {
            if (fb_block_types[i].encode != NULL && length + 16 < sizeof names) {
                memcpy(names + length, ", ", 2);
                length += 2 + strlen(strcpy(names + length + 2, fb_block_types[i].code.name));
            }
        }
        return fb_error_set(err, FB_ERR_ARGUMENT, "'%s': no type that can be written: f32%s", fb_escape(text, shown, sizeof shown), names);
    }
    out->text = text;
    out->pattern = fb_arena_strndup(plan->arena, text, (size_t)(equals - text));
    return out->pattern != NULL ? FB_OK : fb_error_memory(plan->context, err, "a pattern", 0);
}

static FbStatus parse_overrides(const FbGgufPlan *plan, const FbGgufOptions *options, FbGgufOverride **out, FbError *err)
{
    FbGgufOverride *overrides = fb_arena_array(plan->arena, options->override_count + options->excluded_count + 1, sizeof *overrides);
    if (overrides == NULL) {
        return fb_error_memory(plan->context, err, "patterns", 0);
    }
    for (size_t i = 0; i < options->override_count; i++) {
        FB_TRY(parse_override(plan, options->overrides[i], &overrides[i], err));
    }
    for (size_t i = 0; i < options->excluded_count; i++) {
        FbGgufOverride *row = &overrides[options->override_count + i];
        row->text = options->excluded[i];
        row->pattern = fb_arena_strdup(plan->arena, row->text);
        row->type = FB_GGML_NONE;
        if (row->pattern == NULL) {
            return fb_error_memory(plan->context, err, "a pattern", 0);
        }
    }
    *out = overrides;
    return FB_OK;
}

static FbGgufOverride *override_of(FbGgufOverride *overrides, size_t count, const char *name)
{
    FbGgufOverride *found = NULL;
    for (size_t i = 0; i < count; i++) {
        if (fb_glob_match(overrides[i].pattern, name)) {
            overrides[i].used = true;
            found = found == NULL ? &overrides[i] : found;
        }
    }
    return found;
}

/* A pattern that matches nothing is a mistake; the nearest name helps to see which. */
static FbStatus check_used(const FbGgufPlan *plan, const FbGgufOverride *overrides, size_t count, FbError *err)
{
    for (size_t i = 0; i < count; i++) {
        if (overrides[i].used) {
            continue;
        }
        char shown[120], near_shown[80];
        const char **names = fb_arena_array(plan->arena, plan->count + 1, sizeof *names);
        for (size_t j = 0; j < plan->count && names != NULL; j++) {
            names[j] = plan->choices[j].tensor.name;
        }
        const char *nearest = names != NULL ? fb_nearest_name(overrides[i].pattern, names, plan->count) : NULL;
        return fb_error_set(err, FB_ERR_ARGUMENT, "'%s' matches the name of no tensor%s%s", fb_escape(overrides[i].text, shown, sizeof shown),
                            nearest != NULL ? "; near to it is " : ", such as ",
                            fb_escape(nearest != NULL ? nearest : plan->count > 0 ? plan->choices[0].tensor.name : "", near_shown, sizeof near_shown));
    }
    return FB_OK;
}

static FbStatus choose(const FbGgufPlan *plan, FbGgufMix *mix, FbGgufChoice *choice, const FbGgufOverride *override, FbError *err)
{
    const FbGgufTensor *tensor = &choice->tensor;
    const char *keep = fb_gguf_keep_reason(tensor->name, &tensor->shape);
    uint32_t wanted;
    bool integers = fb_gguf_plain_dtype(tensor->number) != FB_DTYPE_NONE && tensor->number != FB_GGML_F32 && tensor->number != FB_GGML_F16 &&
                    tensor->number != FB_GGML_BF16 && tensor->number != 28; /* F64 */
    keep = keep == NULL && integers ? "not of a float type" : keep;
    choice->type = tensor->number;
    if (override != NULL && override->type == FB_GGML_NONE) {
        choice->reason = "excluded";
        return FB_OK;
    }
    if (override != NULL) {
        choice->type = override->type;
        choice->reason = "as asked for";
        if (fb_gguf_columns(tensor) % fb_ggml_type_block(override->type) != 0) {
            char shown[120];
            return fb_error_set(err, FB_ERR_ARGUMENT, "tensor '%s' has rows of %lld elements, which are no whole blocks of %s",
                                fb_escape(tensor->name, shown, sizeof shown), (long long)fb_gguf_columns(tensor), fb_ggml_type_name(override->type));
        }
        return FB_OK;
    }
    if (keep != NULL) {
        choice->reason = keep;
        choice->type = plan->floats_kept && !integers ? FB_GGML_F32 : choice->type;
        return FB_OK;
    }
    choice->type = fb_gguf_mix_type(mix, tensor->name, &tensor->shape, &wanted);
    if (choice->type != wanted) {
        choice->reason = fb_arena_printf(plan->arena, "rows of %lld elements are no whole blocks of %s", (long long)fb_gguf_columns(tensor),
                                         fb_ggml_type_name(wanted));
        if (choice->reason == NULL) {
            return fb_error_memory(plan->context, err, "a reason", 0);
        }
    }
    return FB_OK;
}

static int by_name(const void *a, const void *b)
{
    return fb_gguf_name_order(((const FbGgufChoice *)a)->tensor.name, ((const FbGgufChoice *)b)->tensor.name);
}

/* Sizes, and whether the types can be made. */
static FbStatus check_choice(const FbGgufPlan *plan, FbGgufChoice *choice, bool dry_run, FbError *err)
{
    char shown[120], dims[128];
    const FbBlockType *type = fb_gguf_plain_dtype(choice->type) == FB_DTYPE_NONE ? fb_block_type_of_number(choice->type) : NULL;
    const FbBlockType *from = fb_gguf_plain_dtype(choice->tensor.number) == FB_DTYPE_NONE ? fb_block_type_of_number(choice->tensor.number) : NULL;
    fb_escape(choice->tensor.name, shown, sizeof shown);
    if (!fb_gguf_tensor_bytes(choice->type, &choice->tensor.shape, &choice->bytes_after) ||
        !fb_gguf_tensor_bytes(choice->tensor.number, &choice->tensor.shape, &choice->bytes_before)) {
        fb_shape_text(&choice->tensor.shape, dims, sizeof dims);
        return fb_error_set(err, FB_ERR_UNSUPPORTED, "tensor '%s': a shape of %s cannot be stored as %s", shown, dims, fb_ggml_type_name(choice->type));
    }
    if (choice->type == choice->tensor.number && fb_gguf_rows_stored(&choice->tensor)) {
        return FB_OK;
    }
    if (type != NULL && type->encode == NULL && !dry_run) {
        return fb_error_set(err, FB_ERR_UNSUPPORTED, "tensor '%s': %s can be read, not written", shown, type->code.name);
    }
    if (from != NULL && from->decode == NULL) {
        return fb_error_set(err, FB_ERR_UNSUPPORTED, "tensor '%s': elements of type %s cannot be read", shown, from->code.name);
    }
    if (from != NULL) {
        fb_log(plan->context, FB_LOG_WARNING, "requantized", "tensors in blocks already are quantized once more: what was lost stays lost; a float file is better");
    }
    return FB_OK;
}

FbStatus fb_gguf_plan_types(FbGgufPlan *plan, const FbGgufOptions *options, FbError *err)
{
    FbGgufMix mix;
    FbGgufOverride *overrides = NULL;
    size_t override_count = options->override_count + options->excluded_count;
    FB_TRY(parse_overrides(plan, options, &overrides, err));
    if (plan->count > 1) {
        qsort(plan->choices, plan->count, sizeof *plan->choices, by_name);
    }
    fb_gguf_mix_begin(&mix, plan->preset, &plan->facts);
    mix.pure = options->pure != 0;
    mix.importance = options->importance != NULL;
    for (size_t i = 0; i < plan->count; i++) {
        fb_gguf_mix_count(&mix, plan->choices[i].tensor.name);
    }
    for (size_t i = 0; i < plan->count; i++) {
        FbGgufChoice *choice = &plan->choices[i];
        FB_TRY(choose(plan, &mix, choice, override_of(overrides, override_count, choice->tensor.name), err));
        if (options->importance == NULL && !options->dry_run && fb_gguf_needs_importance(plan->preset, choice->type, choice->tensor.name)) {
            return fb_error_set(err, FB_ERR_ARGUMENT, "%s needs an importance matrix: --imatrix FILE; without one take q2_k", plan->preset->name);
        }
    }
    for (size_t i = 0; i < plan->count; i++) {
        FB_TRY(check_choice(plan, &plan->choices[i], options->dry_run != 0, err));
    }
    return check_used(plan, overrides, override_count, err);
}
