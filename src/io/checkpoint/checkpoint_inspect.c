/* What is in a checkpoint, as the JSON document "fewbit.inspect/1": the keys that models have too, and key-values and files. */
#include <math.h>
#include <string.h>

#include "base/json.h"
#include "base/text.h"
#include "fewbit/language.h"
#include "graph/tensor_table.h"

enum { NUMBERS_SHOWN = 16 };

typedef struct Inspect {
    bool failed;     /* no memory */
    FbStatus status; /* of reading values */
    FbError *err;
} Inspect;

static void put(Inspect *inspect, json_t *object, const char *key, json_t *value)
{
    inspect->failed |= json_object_set_new(object, key, value) != 0;
}

static void append(Inspect *inspect, json_t *array, json_t *value)
{
    inspect->failed |= json_array_append_new(array, value) != 0;
}

/* Text comes from files: what is not UTF-8 is escaped, because JSON must be. */
static json_t *text_n(const char *text, size_t length)
{
    char shown[512];
    json_t *value = strlen(text) == length ? json_stringn(text, length) : NULL;
    return value != NULL ? value : json_string(fb_escape(text, shown, sizeof shown));
}

static json_t *text(const char *name) { return text_n(name, strlen(name)); }

/* JSON has no NaN and no infinity. */
static json_t *real(double value) { return isfinite(value) ? json_real(value) : json_null(); }

static json_t *number(double value) { return value == floor(value) && fabs(value) < 0x1p53 ? json_integer((json_int_t)value) : real(value); }

static const char *encoding_name(const FbConst *constant)
{
    return constant->encoding != NULL ? constant->encoding->code->name : fb_dtype_name(constant->dtype);
}

/* ---- tensors ---- */

static json_t *weight(Inspect *inspect, const FbCheckpoint *checkpoint, const FbTableTensor *tensor)
{
    const FbConst *constant = &tensor->constant;
    json_t *entry = json_object();
    json_t *shape = json_array();
    put(inspect, entry, "name", text(tensor->name));
    for (int i = 0; i < constant->shape.rank; i++) {
        append(inspect, shape, json_integer(constant->shape.dims[i]));
    }
    put(inspect, entry, "shape", shape);
    put(inspect, entry, "encoding", json_string(encoding_name(constant)));
    if (constant->encoding != NULL) {
        put(inspect, entry, "grain", json_string("block"));
        put(inspect, entry, "axis", json_integer(constant->encoding->axis));
        put(inspect, entry, "block", json_integer(constant->encoding->block));
    }
    put(inspect, entry, "bytes", json_integer((json_int_t)fb_const_stored_bytes(constant)));
    if (checkpoint->file_count > 1) {
        put(inspect, entry, "file", text(checkpoint->files[tensor->file].name));
    }
    return entry;
}

typedef struct Totals {
    int64_t parameters, quantized;
    uint64_t weight_bytes; /* of what counts as parameters */
} Totals;

static Totals add_weights(Inspect *inspect, const FbCheckpoint *checkpoint, json_t *weights, json_t *sizes)
{
    Totals totals = {0};
    for (size_t i = 0; i < checkpoint->tensor_count; i++) {
        const FbConst *constant = &checkpoint->tensors[i].constant;
        const char *name = encoding_name(constant);
        uint64_t bytes = fb_const_stored_bytes(constant);
        append(inspect, weights, weight(inspect, checkpoint, &checkpoint->tensors[i]));
        put(inspect, sizes, name, json_integer(json_integer_value(json_object_get(sizes, name)) + (json_int_t)bytes));
        if (fb_dtype_info(constant->dtype)->kind == FB_KIND_FLOAT) {
            totals.parameters += fb_shape_elements(&constant->shape);
            totals.weight_bytes += bytes;
        }
        totals.quantized += constant->encoding != NULL;
    }
    return totals;
}

/* ---- key-values ---- */

static json_t *array_value(Inspect *inspect, const FbMeta *meta)
{
    double numbers[NUMBERS_SHOWN];
    json_t *value;
    if (meta->type != FB_META_STRING && meta->count <= NUMBERS_SHOWN && inspect->status == FB_OK) {
        inspect->status = fb_meta_read_numbers(meta, 0, (size_t)meta->count, numbers, inspect->err);
        value = json_array();
        for (uint64_t i = 0; inspect->status == FB_OK && i < meta->count; i++) {
            append(inspect, value, number(numbers[i]));
        }
        return value;
    }
    value = json_object();
    put(inspect, value, "array", json_string(fb_meta_type_name(meta->type)));
    put(inspect, value, "count", json_integer((json_int_t)meta->count));
    return value;
}

static json_t *meta_value(Inspect *inspect, const FbMeta *meta)
{
    int64_t integer;
    double value;
    if (meta->is_array) {
        return array_value(inspect, meta);
    }
    if (meta->type == FB_META_STRING) {
        return text_n((const char *)meta->text.data, meta->text.count);
    }
    if (meta->type == FB_META_BOOL) {
        return json_boolean(meta->value.u != 0);
    }
    if (fb_meta_integer(meta, &integer)) {
        return json_integer(integer);
    }
    return fb_meta_number(meta, &value) ? real(value) : json_real((double)meta->value.u); /* a u64 beyond what JSON numbers hold here */
}

static json_t *metadata(Inspect *inspect, const FbCheckpoint *checkpoint)
{
    json_t *object = json_object();
    for (size_t i = 0; i < checkpoint->metadata_count; i++) {
        char key[512];
        put(inspect, object, fb_escape(checkpoint->metadata[i].key, key, sizeof key), meta_value(inspect, &checkpoint->metadata[i]));
    }
    return object;
}

static json_t *architecture(const FbCheckpoint *checkpoint)
{
    const char *name = fb_meta_text(fb_checkpoint_meta(checkpoint, "general.architecture"));
    name = name != NULL ? name : fb_meta_text(fb_checkpoint_meta(checkpoint, "config.model_type"));
    return name != NULL ? text(name) : json_null();
}

/* What a graph would be built from; null where fewbit builds none. */
static json_t *language(Inspect *inspect, FbContext *context, const FbCheckpoint *checkpoint)
{
    FbLanguageInfo info;
    FbError problem;
    FbStatus status = fb_language_describe(context, checkpoint, &info, &problem);
    if (status == FB_ERR_NO_MEMORY || status == FB_ERR_BUDGET || status == FB_ERR_IO) {
        inspect->status = fb_error_set(inspect->err, status, "%s", problem.message);
    }
    if (status != FB_OK) {
        return json_null();
    }
    const struct { const char *key; int64_t value; } numbers[] = {
        {"context_length", info.context_length}, {"layers", info.layers},     {"vocabulary", info.vocabulary}, {"hidden", info.hidden},
        {"feed_forward", info.feed_forward},     {"query_heads", info.q_heads}, {"key_heads", info.kv_heads},  {"head_dim", info.head_dim},
        {"window", info.window},                 {"experts", info.experts},   {"experts_used", info.experts_used}};
    json_t *object = json_object();
    put(inspect, object, "family", json_string(info.family));
    for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++) {
        put(inspect, object, numbers[i].key, json_integer(numbers[i].value));
    }
    return object;
}

/* ---- the document ---- */

static json_t *model_part(Inspect *inspect, const FbCheckpoint *checkpoint, const Totals *totals)
{
    json_t *part = json_object();
    put(inspect, part, "path", text(checkpoint->path));
    put(inspect, part, "bytes", json_integer((json_int_t)checkpoint->file_bytes));
    put(inspect, part, "parameters", json_integer(totals->parameters));
    put(inspect, part, "bits_per_parameter",
        totals->parameters > 0 ? json_real(8.0 * (double)totals->weight_bytes / (double)totals->parameters) : json_null());
    put(inspect, part, "tensors", json_integer((json_int_t)checkpoint->tensor_count));
    put(inspect, part, "format", json_string(checkpoint->format));
    put(inspect, part, "format_version", checkpoint->version != 0 ? json_integer(checkpoint->version) : json_null());
    put(inspect, part, "architecture", architecture(checkpoint));
    return part;
}

static json_t *document(Inspect *inspect, FbContext *context, const FbCheckpoint *checkpoint)
{
    json_t *root = json_object(), *weights = json_array(), *sizes = json_object(), *files = json_array(), *quantized = json_object();
    Totals totals = add_weights(inspect, checkpoint, weights, sizes);
    put(inspect, root, "schema", json_string("fewbit.inspect/1"));
    put(inspect, root, "version", json_string(fb_version()));
    put(inspect, root, "model", model_part(inspect, checkpoint, &totals));
    put(inspect, root, "language", language(inspect, context, checkpoint));
    put(inspect, root, "operators", json_object());
    put(inspect, root, "sizes_by_type", sizes);
    put(inspect, root, "weights", weights);
    put(inspect, quantized, "weights", json_integer(totals.quantized));
    put(inspect, quantized, "activations", json_integer(0));
    put(inspect, quantized, "float_nodes", json_array());
    put(inspect, root, "quantized", quantized);
    for (size_t i = 0; i < checkpoint->file_count; i++) {
        append(inspect, files, text(checkpoint->files[i].name));
    }
    put(inspect, root, "files", files);
    put(inspect, root, "metadata", metadata(inspect, checkpoint));
    return root;
}

FbStatus fb_checkpoint_inspect(FbContext *context, const FbCheckpoint *checkpoint, char **json, FbError *err)
{
    Inspect inspect = {.status = FB_OK, .err = err};
    *json = NULL;
    json_t *root = document(&inspect, context, checkpoint);
    FbStatus status = inspect.status;
    if (status == FB_OK) {
        status = inspect.failed || root == NULL ? fb_error_memory(context, err, "inspecting", 0) : fb_json_dump(context, root, true, json, err);
    }
    json_decref(root);
    return status;
}
