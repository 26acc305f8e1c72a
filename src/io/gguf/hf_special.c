/* Special tokens, whether they are added by themselves, and the chat template: what the files beside a checkpoint say of them. See hf_model.h. */
#include <stdio.h>
#include <string.h>

#include "base/text.h"
#include "io/gguf/hf_model.h"

typedef enum FbHfRole { ROLE_BOS, ROLE_EOS, ROLE_UNK, ROLE_SEP, ROLE_PAD, ROLE_CLS, ROLE_MASK, ROLE_COUNT } FbHfRole;

static const struct {
    const char *name, *key; /* "bos" of "bos_token"; GGUF's key (one is misspelt there) */
} roles[ROLE_COUNT] = {{"bos", "bos_token_id"}, {"eos", "eos_token_id"}, {"unk", "unknown_token_id"}, {"sep", "seperator_token_id"},
                       {"pad", "padding_token_id"}, {"cls", "cls_token_id"}, {"mask", "mask_token_id"}};

typedef struct FbHfSpecial {
    const FbHfModel *model;
    const char *texts[ROLE_COUNT];       /* NULL: not said */
    int64_t ids[ROLE_COUNT];             /* -1: none */
    int added[ROLE_COUNT];               /* -1: not said */
} FbHfSpecial;

static const char *text_of(const json_t *entry)
{
    return json_is_string(entry) ? json_string_value(entry) : json_string_value(json_object_get(entry, "content"));
}

/* Among the tokens that the files beside a SentencePiece model add, then among its pieces. */
static int64_t id_of_piece(const FbHfModel *model, const char *text)
{
    const char *key;
    const json_t *token;
    json_object_foreach(json_object_get(model->tokenizer_config, "added_tokens_decoder"), key, token)
    {
        const char *content = json_string_value(json_object_get(token, "content"));
        long long id;
        char rest;
        if (content != NULL && strcmp(content, text) == 0 && sscanf(key, "%9lld%c", &id, &rest) == 1) {
            return id;
        }
    }
    const json_t *added = json_object_get(model->added_tokens, text);
    for (size_t i = 0; !json_is_integer(added) && i < model->pieces->count; i++) {
        if (strcmp((const char *)model->pieces->pieces[i].text.data, text) == 0) {
            return (int64_t)i;
        }
    }
    return json_is_integer(added) ? json_integer_value(added) : -1;
}

/* What a SentencePiece model says of itself, where nothing else does. */
static int64_t role_of_piece(const FbSentencePieceModel *pieces, FbHfRole role)
{
    return role == ROLE_BOS   ? fb_sentencepiece_control(pieces, pieces->bos)
           : role == ROLE_EOS ? fb_sentencepiece_control(pieces, pieces->eos)
           : role == ROLE_PAD ? fb_sentencepiece_control(pieces, pieces->pad)
           : role == ROLE_UNK ? (int64_t)pieces->unknown
                              : -1;
}

static int64_t id_of(const FbHfModel *model, const char *text)
{
    size_t i;
    const json_t *token;
    json_array_foreach(json_object_get(model->tokenizer, "added_tokens"), i, token)
    {
        const char *content = json_string_value(json_object_get(token, "content"));
        const json_t *id = json_object_get(token, "id");
        if (content != NULL && strcmp(content, text) == 0 && json_is_integer(id)) {
            return json_integer_value(id);
        }
    }
    return model->pieces != NULL ? id_of_piece(model, text) : -1;
}

static const char *piece_name(const json_t *piece)
{
    return json_string_value(json_object_get(json_object_get(piece, "SpecialToken"), "id"));
}

static bool same(const char *a, const char *b) { return a != NULL && b != NULL && strcmp(a, b) == 0; }

/* What stands around one text. */
static void read_template(FbHfSpecial *special, const json_t *processor)
{
    const json_t *single = json_object_get(processor, "single");
    size_t count = json_array_size(single);
    if (count == 0) {
        return;
    }
    const char *first = piece_name(json_array_get(single, 0)), *last = count > 1 ? piece_name(json_array_get(single, count - 1)) : NULL;
    special->added[ROLE_BOS] = special->added[ROLE_BOS] < 0 ? 0 : special->added[ROLE_BOS]; /* what it does not name is not added */
    special->added[ROLE_EOS] = special->added[ROLE_EOS] < 0 ? 0 : special->added[ROLE_EOS];
    if (first != NULL) {
        bool known = same(first, special->texts[ROLE_BOS]) || same(first, special->texts[ROLE_CLS]);
        special->texts[ROLE_BOS] = special->texts[ROLE_BOS] == NULL ? first : special->texts[ROLE_BOS];
        special->added[ROLE_BOS] = known || same(first, special->texts[ROLE_BOS]);
    }
    if (last != NULL) {
        special->texts[ROLE_EOS] = last;
        special->added[ROLE_EOS] = true;
    }
}

static void read_processor(FbHfSpecial *special, const json_t *processor)
{
    const char *type = json_string_value(json_object_get(processor, "type"));
    if (same(type, "ByteLevel")) {
        special->added[ROLE_BOS] = special->added[ROLE_BOS] < 0 ? 0 : special->added[ROLE_BOS];
        special->added[ROLE_EOS] = special->added[ROLE_EOS] < 0 ? 0 : special->added[ROLE_EOS];
    } else if (same(type, "RobertaProcessing")) {
        special->added[ROLE_BOS] = special->added[ROLE_EOS] = special->added[ROLE_SEP] = 1;
    } else if (same(type, "TemplateProcessing")) {
        read_template(special, processor);
    }
}

static void read_special(FbHfSpecial *special)
{
    const FbHfModel *model = special->model;
    for (int i = 0; i < ROLE_COUNT; i++) {
        char key[32];
        snprintf(key, sizeof key, "%s_token", roles[i].name);
        special->texts[i] = text_of(json_object_get(model->tokenizer_config, key));
        special->ids[i] = special->added[i] = -1;
    }
    const json_t *processor = json_object_get(model->tokenizer, "post_processor");
    const json_t *list = json_object_get(processor, "processors");
    for (size_t i = 0; i < json_array_size(list); i++) {
        read_processor(special, json_array_get(list, i));
    }
    if (list == NULL && json_is_object(processor)) {
        read_processor(special, processor);
    }
    for (int i = 0; i < ROLE_COUNT; i++) {
        char key[32];
        snprintf(key, sizeof key, "add_%s_token", roles[i].name);
        const json_t *add = json_object_get(model->tokenizer_config, key);
        special->added[i] = special->added[i] < 0 && json_is_boolean(add) ? json_is_true(add) : special->added[i];
        special->ids[i] = special->texts[i] != NULL ? id_of(model, special->texts[i]) : -1;
        snprintf(key, sizeof key, "%s_token_id", roles[i].name);
        int64_t id;
        if (special->ids[i] < 0 && fb_hf_integer(model, (const char *const[]){key, NULL}, &id)) {
            special->ids[i] = id;
        }
        if (special->ids[i] < 0 && model->pieces != NULL) {
            special->ids[i] = role_of_piece(model->pieces, (FbHfRole)i);
        }
        special->ids[i] = special->ids[i] < model->vocabulary ? special->ids[i] : -1;
    }
}

/* Whether a space is put in front of a text; -1: it is not said. */
static int space_in_front(const FbHfModel *model)
{
    const json_t *said = json_object_get(model->tokenizer_config, "add_prefix_space");
    if (model->pieces != NULL) { /* with unigram pieces it has been said */
        return model->pieces->kind == FB_SENTENCEPIECE_BPE ? model->pieces->dummy_prefix : -1;
    }
    if (!json_is_true(json_object_get(json_object_get(model->tokenizer, "model"), "byte_fallback"))) {
        return json_is_boolean(said) ? json_is_true(said) : -1;
    }
    const json_t *normalizer = json_object_get(model->tokenizer, "normalizer"), *list = json_object_get(normalizer, "normalizers");
    bool prepends = same(json_string_value(json_object_get(normalizer, "type")), "Prepend");
    for (size_t i = 0; i < json_array_size(list); i++) {
        prepends = prepends || same(json_string_value(json_object_get(json_array_get(list, i), "type")), "Prepend");
    }
    const json_t *metaspace = json_object_get(model->tokenizer, "pre_tokenizer");
    if (same(json_string_value(json_object_get(metaspace, "type")), "Metaspace")) {
        const char *scheme = json_string_value(json_object_get(metaspace, "prepend_scheme"));
        prepends = prepends || (scheme != NULL ? strcmp(scheme, "never") != 0 : !json_is_false(json_object_get(metaspace, "add_prefix_space")));
    }
    return prepends;
}

FbStatus fb_hf_put_special_tokens(const FbHfModel *model, FbGgufWriter *writer, FbError *err)
{
    FbHfSpecial special = {.model = model};
    char key[64];
    read_special(&special);
    for (int i = 0; i < ROLE_COUNT; i++) {
        if (special.ids[i] >= 0) {
            snprintf(key, sizeof key, "tokenizer.ggml.%s", roles[i].key);
            FB_TRY(fb_gguf_put_u32(writer, key, (uint32_t)special.ids[i], err));
        }
    }
    for (int i = 0; i < ROLE_COUNT; i++) {
        bool used = i == ROLE_BOS || i == ROLE_EOS || i == ROLE_SEP;
        if (special.added[i] >= 0 && used) {
            snprintf(key, sizeof key, "tokenizer.ggml.add_%s_token", roles[i].name);
            FB_TRY(fb_gguf_put_bool(writer, key, special.added[i] != 0, err));
        }
    }
    int space = space_in_front(model);
    return space >= 0 ? fb_gguf_put_bool(writer, "tokenizer.ggml.add_space_prefix", space != 0, err) : FB_OK;
}

/* ---- chat templates ---- */

static FbStatus put_named(const json_t *list, FbGgufWriter *writer, FbArena *arena, FbError *err)
{
    size_t count = json_array_size(list), named = 0, i;
    const json_t *entry;
    FbBytes *names = fb_arena_array(arena, count + 1, sizeof *names);
    if (names == NULL) {
        return fb_error_memory(fb_arena_context(arena), err, "names of templates", count);
    }
    json_array_foreach(list, i, entry)
    {
        const char *name = json_string_value(json_object_get(entry, "name")), *text = json_string_value(json_object_get(entry, "template"));
        if (name == NULL || text == NULL) {
            continue;
        }
        if (strcmp(name, "default") == 0) {
            FB_TRY(fb_gguf_put_text(writer, "tokenizer.chat_template", text, err));
            continue;
        }
        char *key = fb_arena_printf(arena, "tokenizer.chat_template.%s", name);
        if (key == NULL) {
            return fb_error_memory(fb_arena_context(arena), err, "a key", 0);
        }
        for (char *c = key; *c != '\0'; c++) { /* keys are plain */
            *c = (*c >= 'a' && *c <= 'z') || (*c >= 'A' && *c <= 'Z') || (*c >= '0' && *c <= '9') || *c == '.' || *c == '_' ? *c : '_';
        }
        names[named++] = (FbBytes){(const uint8_t *)name, strlen(name)};
        FB_TRY(fb_gguf_put_text(writer, key, text, err));
    }
    return named > 0 ? fb_gguf_put_texts(writer, "tokenizer.chat_templates", names, named, err) : FB_OK;
}

FbStatus fb_hf_put_chat_template(const FbHfModel *model, FbGgufWriter *writer, FbError *err)
{
    const json_t *inside = json_object_get(model->tokenizer_config, "chat_template");
    if (json_is_string(inside)) {
        return fb_gguf_put_text(writer, "tokenizer.chat_template", json_string_value(inside), err);
    }
    if (json_is_array(inside)) {
        return put_named(inside, writer, model->arena, err);
    }
    if (model->chat_template.count > 0 && memchr(model->chat_template.data, '\0', model->chat_template.count) == NULL) {
        return fb_gguf_put_text(writer, "tokenizer.chat_template", (const char *)model->chat_template.data, err);
    }
    return FB_OK;
}
