/* Opening a Hugging Face folder as a GGUF file to be, see hf_model.h. */
#include "io/gguf/hf_model.h"

#include <string.h>

#include "base/file_error.h"
#include "base/text.h"
#include "io/safetensors/safetensors.h"

enum { SMALL_MAX = 4 << 20, CONFIG_MAX = 16 << 20, TOKENIZER_MAX = 96 << 20 };

/* ---- files of the folder ---- */

typedef struct FbHfListing {
    const char *wanted;
    bool found;
} FbHfListing;

static int compare_name(void *user, const char *name)
{
    FbHfListing *listing = user;
    listing->found = listing->found || strcmp(name, listing->wanted) == 0;
    return 0;
}

static FbStatus open_small(const FbHfModel *model, const char *name, FbSource **source, FbError *err)
{
    const FbFileHooks *files = fb_context_files(model->context);
    FbHfListing listing = {name, false};
    *source = NULL;
    int error = files->list(files->user, model->folder, compare_name, &listing);
    if (error != 0) {
        return fb_error_file(err, error, "list", model->folder);
    }
    return listing.found ? fb_source_open_beneath(model->context, model->folder, name, source, err) : FB_OK;
}

static FbStatus load_json(const FbHfModel *model, const char *name, uint64_t most, json_t **out, FbError *err)
{
    FbSource *source;
    *out = NULL;
    FB_TRY(open_small(model, name, &source, err));
    if (source == NULL) {
        return FB_OK;
    }
    uint64_t bytes = fb_source_bytes(source);
    FbStatus status = bytes <= most ? fb_safetensors_json(model->context, source, 0, bytes, name, out, err)
                                    : fb_error_set(err, FB_ERR_FORMAT, "%s has more than %llu bytes", name, (unsigned long long)most);
    fb_source_release(source);
    return status;
}

/* The whole file, a zero byte behind it; no data when there is none. */
static FbStatus read_small(FbHfModel *model, const char *name, int most, FbBytes *out, FbError *err)
{
    FbSource *source;
    *out = (FbBytes){0};
    FB_TRY(open_small(model, name, &source, err));
    if (source == NULL) {
        return FB_OK;
    }
    uint64_t bytes = fb_source_bytes(source);
    char *text = bytes <= (uint64_t)most ? fb_arena_alloc(model->arena, (size_t)bytes + 1) : NULL;
    FbStatus status = bytes > (uint64_t)most ? fb_error_set(err, FB_ERR_FORMAT, "%s has more than %d bytes", name, most)
                      : text == NULL         ? fb_error_memory(model->context, err, name, bytes)
                                             : fb_source_read(source, 0, text, (size_t)bytes, err);
    fb_source_release(source);
    if (status == FB_OK) {
        *out = (FbBytes){(const uint8_t *)text, (size_t)bytes};
    }
    return status;
}

/* tokenizer_config.json: of its numbers none is needed, and one may be beyond all integers. */
static FbStatus load_tokenizer_config(FbHfModel *model, FbError *err)
{
    FbBytes text;
    FB_TRY(read_small(model, "tokenizer_config.json", CONFIG_MAX, &text, err));
    return text.data == NULL ? FB_OK
                             : fb_json_parse_reals((const char *)text.data, text.count, CONFIG_MAX, "tokenizer_config.json", &model->tokenizer_config, err);
}

/* A model that is of an unknown kind is left out, as an unknown kind of tokenizer.json is. */
static FbStatus load_pieces(FbHfModel *model, const char *name, FbError *err)
{
    FbSource *source;
    FbError why = {0};
    FB_TRY(open_small(model, name, &source, err));
    if (source == NULL) {
        return FB_OK;
    }
    FbSentencePieceModel *pieces = fb_arena_alloc(model->arena, sizeof *pieces);
    FbStatus status = pieces != NULL ? fb_sentencepiece_read(model->arena, source, pieces, &why) : fb_error_memory(model->context, &why, name, 0);
    fb_source_release(source);
    if (status == FB_ERR_UNSUPPORTED) {
        fb_log(model->context, FB_LOG_WARNING, "no-tokenizer", "%s: %s", name, why.message);
        return FB_OK;
    }
    if (status != FB_OK) {
        return fb_error_set(err, status, "%s: %s", name, why.message);
    }
    model->pieces = pieces;
    return FB_OK;
}

/* The folder of a file, or the folder itself. */
static FbStatus find_folder(FbHfModel *model, const char *path, FbError *err)
{
    const FbFileHooks *files = fb_context_files(model->context);
    int kind = FB_FILE_OTHER;
    uint64_t bytes;
    int error = files->kind(files->user, path, &kind, &bytes);
    if (error != 0) {
        return fb_error_file(err, error, "open", path);
    }
    model->folder = fb_strdup(model->context, path);
    if (model->folder == NULL) {
        return fb_error_memory(model->context, err, "a folder's name", strlen(path));
    }
    char *slash = strrchr(model->folder, '/');
    if (kind != FB_FILE_FOLDER && slash != NULL) {
        slash[slash == model->folder] = '\0';
    } else if (kind != FB_FILE_FOLDER) { /* a file in the working folder; its name has a byte at least */
        memcpy(model->folder, ".", 2);
    }
    return FB_OK;
}

/* ---- look-ups ---- */

const json_t *fb_hf_find(const FbHfModel *model, const char *const *keys)
{
    for (; *keys != NULL; keys++) {
        const json_t *value = json_object_get(model->text, *keys);
        value = value == NULL ? json_object_get(model->config, *keys) : value;
        if (value != NULL && !json_is_null(value)) {
            return value;
        }
    }
    return NULL;
}

bool fb_hf_integer(const FbHfModel *model, const char *const *keys, int64_t *out)
{
    const json_t *value = fb_hf_find(model, keys);
    if (!json_is_integer(value) || json_integer_value(value) < 0 || json_integer_value(value) > UINT32_MAX) {
        return false;
    }
    *out = json_integer_value(value);
    return true;
}

bool fb_hf_number(const FbHfModel *model, const char *const *keys, double *out)
{
    const json_t *value = fb_hf_find(model, keys);
    *out = json_is_number(value) ? json_number_value(value) : *out;
    return json_is_number(value);
}

bool fb_hf_shares_heads(const FbHfModel *model) { return (model->family->flags & (FB_HF_CONV1D | FB_HF_QKV_HEADS)) == 0; }

const json_t *fb_hf_rope(const FbHfModel *model, const char *key)
{
    const json_t *rope = fb_hf_find(model, (const char *const[]){"rope_parameters", "rope_scaling", NULL});
    const json_t *full = json_object_get(rope, "full_attention");
    const json_t *value = json_object_get(full != NULL ? full : rope, key);
    return json_is_null(value) ? NULL : value;
}

/* ---- family and facts ---- */

static const FbHfFamily *family_of(const char *type)
{
    for (size_t i = 0; type != NULL && i < fb_hf_family_count; i++) {
        if (strcmp(fb_hf_families[i].type, type) == 0) {
            return &fb_hf_families[i];
        }
    }
    return NULL;
}

static FbStatus choose_family(FbHfModel *model, FbError *err)
{
    const char *type = json_string_value(json_object_get(model->config, "model_type"));
    bool mixed = model->part.larger == NULL && model->text != model->config; /* a larger model that is not known */
    const FbHfFamily *row = mixed ? NULL : family_of(type);
    row = row == NULL && model->part.larger != NULL ? family_of(model->part.type) : row;
    if (row != NULL) {
        model->family = row;
        model->known = true;
        return FB_OK;
    }
    FbHfFamily *family = fb_arena_alloc(model->arena, sizeof *family);
    char *architecture = fb_arena_strdup(model->arena, type != NULL && type[0] != '\0' ? type : "unknown");
    char shown[80];
    if (family == NULL || architecture == NULL) {
        return fb_error_memory(model->context, err, "a family", 0);
    }
    for (char *c = architecture; *c != '\0'; c++) { /* keys begin with it */
        bool plain = (*c >= 'a' && *c <= 'z') || (*c >= '0' && *c <= '9') || *c == '-';
        *c = plain ? *c : '-';
    }
    *family = (FbHfFamily){architecture, architecture, 0};
    model->family = family;
    fb_log(model->context, FB_LOG_WARNING, "unknown-architecture",
           "'%s' is no architecture whose GGUF form is known: names and keys are carried by the usual patterns, a runtime may refuse the file",
           fb_escape(type != NULL ? type : "", shown, sizeof shown));
    return FB_OK;
}

static void read_facts(FbHfModel *model)
{
    FbGgufFacts *facts = &model->facts;
    facts->architecture = model->family->architecture;
    fb_hf_integer(model, (const char *const[]){"num_hidden_layers", "n_layer", "n_layers", "num_layers", NULL}, &facts->layers);
    fb_hf_integer(model, (const char *const[]){"num_local_experts", "num_experts", "n_routed_experts", NULL}, &facts->experts);
    fb_hf_integer(model, (const char *const[]){"num_attention_heads", "n_head", "n_heads", NULL}, &facts->heads);
    facts->kv_heads = facts->heads;
    if (fb_hf_shares_heads(model)) {
        fb_hf_integer(model, (const char *const[]){"num_key_value_heads", "n_kv_heads", "n_head_kv", NULL}, &facts->kv_heads);
    }
    facts->experts = facts->experts <= 1 << 16 ? facts->experts : 0;
}

static FbStatus open_files(FbHfModel *model, FbError *err)
{
    FB_TRY(load_json(model, "config.json", SMALL_MAX, &model->config, err));
    if (model->config == NULL) {
        model->config = json_object();
        if (model->config == NULL) {
            return fb_error_memory(model->context, err, "a configuration", 0);
        }
    }
    FB_TRY(load_json(model, "generation_config.json", SMALL_MAX, &model->generation, err));
    FB_TRY(load_tokenizer_config(model, err));
    FB_TRY(load_json(model, "tokenizer.json", TOKENIZER_MAX, &model->tokenizer, err));
    for (int i = 0; i < 2 && model->tokenizer == NULL && model->pieces == NULL; i++) {
        FB_TRY(load_pieces(model, i == 0 ? "tokenizer.model" : "spiece.model", err));
    }
    if (model->pieces != NULL) {
        FB_TRY(load_json(model, "added_tokens.json", SMALL_MAX, &model->added_tokens, err));
    }
    return read_small(model, "chat_template.jinja", SMALL_MAX, &model->chat_template, err);
}

FbStatus fb_hf_prepare(FbHfModel *model, FbError *err)
{
    const json_t *text = json_object_get(model->config, "text_config");
    FbStatus status = fb_text_part_open(model->config, model->checkpoint, &model->part, err);
    if (status != FB_OK && status != FB_ERR_UNSUPPORTED) {
        return status;
    }
    model->text = status == FB_OK ? model->part.config : json_is_object(text) ? text : model->config;
    if (json_is_object(fb_hf_find(model, (const char *const[]){"quantization_config", NULL}))) { /* other names, and codes for weights */
        return fb_error_set(err, FB_ERR_UNSUPPORTED, "config.json: 'quantization_config': the weights are quantized already; take the checkpoint in floats");
    }
    FB_TRY(choose_family(model, err));
    FB_TRY(fb_hf_read_unigram(model, err));
    read_facts(model);
    FB_TRY(fb_hf_map_tensors(model, err));
    return fb_hf_add_rope_tensors(model, err);
}

FbStatus fb_hf_open(FbHfModel *model, FbContext *context, FbArena *arena, const FbCheckpoint *checkpoint, FbError *err)
{
    *model = (FbHfModel){.context = context, .arena = arena, .checkpoint = checkpoint};
    FbStatus status = find_folder(model, checkpoint->path, err);
    status = status == FB_OK ? open_files(model, err) : status;
    status = status == FB_OK ? fb_hf_prepare(model, err) : status;
    if (status != FB_OK) {
        fb_hf_close(model);
    }
    return status;
}

void fb_hf_close(FbHfModel *model)
{
    fb_text_part_close(&model->part);
    json_decref(model->config);
    json_decref(model->generation);
    json_decref(model->tokenizer);
    json_decref(model->tokenizer_config);
    json_decref(model->added_tokens);
    fb_free(model->context, model->tensors);
    fb_free(model->context, model->folder);
    *model = (FbHfModel){.context = model->context};
}
