/* Which larger models have a part for text that is a model of a known kind, see text_part.h. */
#include "io/safetensors/text_part.h"

#include <stdio.h>
#include <string.h>

#include "base/text.h"

/* A row is only here after its logits for text alone were compared with those of transformers. */
typedef struct FbLargerModel {
    const char *type, *text; /* of the whole; of its part for text where that does not say */
    bool flat;               /* config.json may have the part's settings among those of the whole */
    bool tied;               /* the head is the embedding where nothing is said */
} FbLargerModel;

static const FbLargerModel larger_models[] = {
    {"gemma3", "gemma3_text", false, true},
    {"mistral3", "mistral", false, true},
    {"llava", "llama", false, false},
    {"llava_next", "llama", false, false},
    {"llava_onevision", "qwen2", false, false},
    {"internvl", "qwen2", false, true},
    {"idefics3", "llama", false, false},
    {"smolvlm", "llama", false, false},
    {"qwen2_vl", "qwen2_vl_text", true, false},
    {"qwen2_5_vl", "qwen2_5_vl_text", true, false},
    {"qwen3_vl", "qwen3_vl_text", false, false},
};

/* Settings that a part's configuration leaves out have the values of its class in transformers, whatever the family's own files say. */
enum { COUNT_KEYS = 10 };
static const char *const count_keys[COUNT_KEYS] = {"vocab_size",          "hidden_size", "intermediate_size",       "num_hidden_layers", "num_attention_heads",
                                                   "num_key_value_heads", "head_dim",    "max_position_embeddings", "max_window_layers",
                                                   "sliding_window"};

typedef struct FbTextClass {
    const char *type;
    int64_t counts[COUNT_KEYS]; /* 0: follows from others */
    double epsilon, theta;      /* theta 0: the family says it */
} FbTextClass;

static const FbTextClass text_classes[] = {
    {"gemma3_text", {262208, 2304, 9216, 26, 8, 4, 256, 131072, 0, 4096}, 1e-6, 0.0},
    {"llama", {32000, 4096, 11008, 32, 32, 0, 0, 2048, 0, 0}, 1e-6, 1e4},
    {"mistral", {32000, 4096, 14336, 32, 32, 8, 0, 131072, 0, 4096}, 1e-6, 1e4},
    {"qwen2", {151936, 4096, 22016, 32, 32, 32, 0, 32768, 28, 0}, 1e-6, 1e4},
    {"qwen3", {151936, 4096, 22016, 32, 32, 32, 128, 32768, 28, 0}, 1e-6, 1e4},
    {"qwen2_vl_text", {152064, 8192, 29568, 80, 64, 8, 0, 32768, 80, 0}, 1e-5, 1e6},
    {"qwen2_5_vl_text", {152064, 8192, 29568, 80, 64, 8, 0, 32768, 80, 0}, 1e-5, 1e6},
    {"qwen3_vl_text", {151936, 4096, 22016, 32, 32, 32, 128, 128000, 0, 0}, 1e-6, 5e5},
};

/* How names of tensors begin, the first that occurs; the last is that of Qwen2-VL's own files, whose part for text has the names of a whole model. */
static const struct { const char *body, *head; } namings[] = {
    {"model.language_model.", ""},
    {"language_model.model.", "language_model."},
    {"model.text_model.", ""},
    {"model.", ""},
};

static const char *const other_parts[] = {"vision_tower", "multi_modal_projector", "visual", "vision_model", "connector", "image_newline"};
enum { OTHER_PARTS = sizeof other_parts / sizeof other_parts[0] };

/* ---- settings ---- */

static const FbTextClass *class_of(const char *type)
{
    for (size_t i = 0; i < sizeof text_classes / sizeof text_classes[0]; i++) {
        if (strcmp(text_classes[i].type, type) == 0) {
            return &text_classes[i];
        }
    }
    return NULL;
}

static void set_missing(json_t *object, const char *key, json_t *value, bool *failed)
{
    if (json_object_get(object, key) != NULL) { /* null is a value, too */
        json_decref(value);
    } else {
        *failed |= json_object_set_new(object, key, value) != 0;
    }
}

/* Transformers ties when either of them says so. */
static bool is_tied(const json_t *whole, const json_t *text, const FbLargerModel *row)
{
    const json_t *outer = json_object_get(whole, "tie_word_embeddings"), *inner = json_object_get(text, "tie_word_embeddings");
    return json_is_true(outer) || json_is_true(inner) || (!json_is_boolean(outer) && !json_is_boolean(inner) && row->tied);
}

static json_t *filled(const json_t *whole, const json_t *text, const FbLargerModel *row, const FbTextClass *class)
{
    json_t *object = json_copy((json_t *)(uintptr_t)text);
    bool failed = object == NULL;
    for (size_t i = 0; i < COUNT_KEYS && !failed; i++) {
        if (class->counts[i] != 0) {
            set_missing(object, count_keys[i], json_integer(class->counts[i]), &failed);
        }
    }
    if (!failed) {
        set_missing(object, "rms_norm_eps", json_real(class->epsilon), &failed);
    }
    if (!failed && class->theta != 0.0) {
        set_missing(object, "rope_theta", json_real(class->theta), &failed);
    }
    failed = failed || json_object_set_new(object, "tie_word_embeddings", json_boolean(is_tied(whole, text, row))) != 0;
    if (failed) {
        json_decref(object);
    }
    return failed ? NULL : object;
}

/* ---- names ---- */

static bool starts(const char *text, const char *with) { return strncmp(text, with, strlen(with)) == 0; }

static void find_naming(const FbCheckpoint *checkpoint, FbTextPart *part)
{
    for (size_t i = 0; i < sizeof namings / sizeof namings[0]; i++) {
        part->body = namings[i].body;
        part->head = namings[i].head;
        for (size_t j = 0; j < checkpoint->tensor_count; j++) {
            if (starts(checkpoint->tensors[j].name, namings[i].body)) {
                return;
            }
        }
    }
}

const char *fb_text_part_plain_name(const FbTextPart *part, const char *name, char out[FB_TEXT_PART_NAME])
{
    FbOtherParts unused = {0};
    bool inside = starts(name, part->body) && !fb_text_part_is_other(name, &unused);
    bool head = starts(name, part->head) && starts(name + strlen(part->head), "lm_head.");
    int length = inside ? snprintf(out, FB_TEXT_PART_NAME, "model.%s", name + strlen(part->body))
                        : snprintf(out, FB_TEXT_PART_NAME, "%s", head ? name + strlen(part->head) : "");
    return (inside || head) && length > 0 && length < FB_TEXT_PART_NAME ? out : NULL;
}

bool fb_text_part_is_other(const char *name, FbOtherParts *others)
{
    name += starts(name, "model.") ? strlen("model.") : 0;
    for (size_t i = 0; i < OTHER_PARTS; i++) {
        size_t length = strlen(other_parts[i]);
        if (starts(name, other_parts[i]) && (name[length] == '.' || name[length] == '\0')) {
            others->count++;
            others->seen |= (uint32_t)1 << i;
            return true;
        }
    }
    return false;
}

void fb_text_part_note(FbContext *context, const FbTextPart *part, const FbOtherParts *others)
{
    char names[128] = "";
    size_t used = 0;
    if (part->larger == NULL || others->count == 0) {
        return;
    }
    for (size_t i = 0; i < OTHER_PARTS; i++) {
        if ((others->seen & (uint32_t)1 << i) != 0) {
            used += (size_t)snprintf(names + used, sizeof names - used, "%s%s", used > 0 ? ", " : "", other_parts[i]);
        }
    }
    fb_log(context, FB_LOG_NOTE, "text-part", "the text part of %s; %zu tensor%s of %s %s not used", part->larger, others->count,
           others->count == 1 ? "" : "s", names, others->count == 1 ? "is" : "are");
}

/* ---- opening ---- */

static FbStatus unknown(FbContext *context, const char *what, const char *type, bool whole, FbError *err)
{
    FbText known;
    char shown[64];
    size_t count = whole ? sizeof larger_models / sizeof larger_models[0] : sizeof text_classes / sizeof text_classes[0];
    fb_text_init(&known, context);
    for (size_t i = 0; i < count; i++) {
        fb_text_printf(&known, "%s%s", i > 0 ? ", " : "", whole ? larger_models[i].type : text_classes[i].type);
    }
    FbStatus status = known.failed ? fb_error_memory(context, err, "a list of models", 0)
                                   : fb_error_set(err, FB_ERR_UNSUPPORTED, "config.json: '%s' is '%s', %s; known are: %s", what,
                                                  fb_escape(type, shown, sizeof shown),
                                                  whole ? "a larger model ('text_config') whose text part is not known" : "a kind of text part that is not known",
                                                  known.data);
    fb_text_reset(&known);
    return status;
}

static const FbLargerModel *row_of(const char *type)
{
    for (size_t i = 0; type != NULL && i < sizeof larger_models / sizeof larger_models[0]; i++) {
        if (strcmp(larger_models[i].type, type) == 0) {
            return &larger_models[i];
        }
    }
    return NULL;
}

FbStatus fb_text_part_open(const json_t *config, const FbCheckpoint *checkpoint, FbTextPart *part, FbError *err)
{
    const char *larger = json_string_value(json_object_get(config, "model_type"));
    const json_t *text = json_object_get(config, "text_config");
    const FbLargerModel *row = row_of(larger);
    bool inside = text != NULL && !json_is_null(text);
    *part = (FbTextPart){.body = "model.", .head = ""};
    if (row == NULL && !inside) {
        part->config = json_incref((json_t *)(uintptr_t)config);
        return FB_OK;
    }
    if (row == NULL) {
        return unknown(checkpoint->context, "model_type", larger != NULL ? larger : "", true, err);
    }
    if (inside ? !json_is_object(text) : !row->flat) {
        return fb_error_set(err, FB_ERR_FORMAT, "config.json: 'text_config' of '%s' %s", row->type, inside ? "must be an object" : "is missing");
    }
    const json_t *named = inside ? json_object_get(text, "model_type") : NULL;
    const char *type = json_is_string(named) ? json_string_value(named) : row->text;
    const FbTextClass *class = class_of(type);
    if (class == NULL) {
        return unknown(checkpoint->context, "text_config.model_type", type, false, err);
    }
    part->larger = row->type;
    part->type = class->type;
    part->config = filled(config, inside ? text : config, row, class);
    find_naming(checkpoint, part);
    return part->config != NULL ? FB_OK : fb_error_memory(checkpoint->context, err, "a configuration", 0);
}

void fb_text_part_close(FbTextPart *part)
{
    json_decref(part->config);
    *part = (FbTextPart){.larger = NULL};
}
