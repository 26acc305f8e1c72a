/* SentencePiece's model files (tokenizer.model, spiece.model) as tokenizers, with what the files of a Hugging Face folder add to them. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "data/tokenizer_charsmap.h"
#include "data/tokenizer_json.h"
#include "io/sentencepiece/sentencepiece.h"

enum { PATH_BYTES = 4096, EXTRA_IDS = 100, EXTRA_IDS_MAX = 10000 };

/* Which models take the file's ids as they are, and what they put around a text unless their settings say otherwise. */
typedef struct FbPieceClass {
    const char *name;
    bool bos, eos;
    bool extra_ids;            /* T5's <extra_id_N> behind the pieces, the last one first */
} FbPieceClass;

static const FbPieceClass classes[] = {
    {"LlamaTokenizer", true, false, false},     {"CodeLlamaTokenizer", true, false, false}, {"GemmaTokenizer", true, false, false},
    {"InternLMTokenizer", true, false, false},  {"InternLM2Tokenizer", true, false, false}, {"BaichuanTokenizer", false, false, false},
    {"T5Tokenizer", false, true, true},
};

typedef struct PieceReader {
    FbTokenizer *tokenizer;
    const char *folder;        /* NULL: the file alone */
    FbSentencePieceModel model;
    FbPieceClass class;
    json_t *config, *added, *special; /* tokenizer_config.json, added_tokens.json, special_tokens_map.json; NULL: absent */
    FbError *err;
} PieceReader;

/* ---- which model it is of ---- */

static FbStatus find_class(PieceReader *reader)
{
    const char *name = json_string_value(json_object_get(reader->config, "tokenizer_class"));
    size_t length = name != NULL ? strlen(name) : 0;
    char shown[80];
    reader->class = (FbPieceClass){.bos = reader->model.kind == FB_SENTENCEPIECE_BPE, .eos = reader->model.kind == FB_SENTENCEPIECE_UNIGRAM};
    if (name == NULL) {
        return FB_OK;
    }
    length -= length > 4 && strcmp(name + length - 4, "Fast") == 0 ? 4 : 0;
    for (size_t i = 0; i < sizeof classes / sizeof *classes; i++) {
        if (strlen(classes[i].name) == length && memcmp(classes[i].name, name, length) == 0) {
            reader->class = classes[i];
            return FB_OK;
        }
    }
    return fb_error_set(reader->err, FB_ERR_UNSUPPORTED, "the SentencePiece model of a %s is not supported: make a tokenizer.json of it",
                        fb_escape(name, shown, sizeof shown));
}

/* ---- pieces ---- */

static FbStatus add_pieces(PieceReader *reader)
{
    static const uint8_t flags[] = {
        [FB_SENTENCEPIECE_NORMAL] = FB_PIECE_HERE | FB_PIECE_MODEL,    [FB_SENTENCEPIECE_UNKNOWN] = FB_PIECE_HERE | FB_PIECE_SPECIAL,
        [FB_SENTENCEPIECE_CONTROL] = FB_PIECE_HERE | FB_PIECE_SPECIAL, [FB_SENTENCEPIECE_USER] = FB_PIECE_HERE,
        [FB_SENTENCEPIECE_UNUSED] = FB_PIECE_HERE,                     [FB_SENTENCEPIECE_BYTE] = FB_PIECE_HERE | FB_PIECE_BYTE,
    };
    for (size_t i = 0; i < reader->model.count; i++) {
        const FbSentencePiece *piece = &reader->model.pieces[i];
        FB_TRY(fb_vocabulary_add(&reader->tokenizer->vocabulary, (uint32_t)i, (const char *)piece->text.data, piece->text.count, piece->score,
                                 flags[piece->type], reader->err));
    }
    return FB_OK;
}

/* "<s>" or {"content": "<s>"}. */
static bool names(const json_t *value, const char *content)
{
    const char *text = json_string_value(json_is_object(value) ? json_object_get(value, "content") : value);
    return text != NULL && strcmp(text, content) == 0;
}

static bool is_special(const json_t *settings, const char *content)
{
    static const char *const keys[] = {"bos_token", "eos_token", "unk_token", "sep_token", "pad_token", "cls_token", "mask_token"};
    const json_t *more = json_object_get(settings, "additional_special_tokens");
    bool found = false;
    for (size_t i = 0; i < sizeof keys / sizeof *keys; i++) {
        found = found || names(json_object_get(settings, keys[i]), content);
    }
    for (size_t i = 0; i < json_array_size(more); i++) {
        found = found || names(json_array_get(more, i), content);
    }
    return found;
}

/* added_tokens.json: {"<pad>": 32000}. */
static FbStatus add_plain(PieceReader *reader, const char *content, int64_t id, bool special)
{
    const FbVocabulary *vocabulary = &reader->tokenizer->vocabulary;
    if (id >= 0 && (uint64_t)id < vocabulary->pieces.count && (vocabulary->pieces.items[id].flags & FB_PIECE_ADDED) != 0) {
        return FB_OK; /* tokenizer_config.json has said it */
    }
    json_t *token = json_pack("{s:s, s:b}", "content", content, "special", (int)special);
    FbStatus status = token != NULL ? fb_json_added_token(reader->tokenizer, token, id, reader->err)
                                    : fb_error_memory(reader->tokenizer->context, reader->err, "added tokens", 0);
    json_decref(token);
    return status;
}

static FbStatus add_extra_ids(PieceReader *reader)
{
    const json_t *said = json_object_get(reader->config, "extra_ids");
    json_int_t count = json_is_integer(said) ? json_integer_value(said) : EXTRA_IDS;
    if (count < 0 || count > EXTRA_IDS_MAX) {
        return fb_error_set(reader->err, FB_ERR_FORMAT, "extra_ids is %lld, expected 0 to %d", (long long)count, EXTRA_IDS_MAX);
    }
    for (json_int_t i = 0; i < count; i++) {
        char content[40];
        snprintf(content, sizeof content, "<extra_id_%lld>", (long long)(count - 1 - i));
        FB_TRY(add_plain(reader, content, (int64_t)reader->model.count + i, true));
    }
    return FB_OK;
}

/* Tokens of the folder's files are looked for in the text as it is written. */
static FbStatus add_from_folder(PieceReader *reader)
{
    FbTokenizer *tokenizer = reader->tokenizer;
    FB_TRY(fb_json_added_decoder(tokenizer, reader->config, reader->err));
    for (void *at = json_object_iter(reader->added); at != NULL; at = json_object_iter_next(reader->added, at)) {
        const char *content = json_object_iter_key(at);
        const json_t *id = json_object_iter_value(at);
        FB_TRY(add_plain(reader, content, json_is_integer(id) ? json_integer_value(id) : -1,
                         is_special(reader->config, content) || is_special(reader->special, content)));
    }
    if (reader->class.extra_ids && reader->added == NULL && json_object_get(reader->config, "added_tokens_decoder") == NULL) {
        FB_TRY(add_extra_ids(reader));
    }
    for (size_t i = 0; i < tokenizer->added.items.count; i++) {
        tokenizer->added.items.items[i].normalized = false;
    }
    return FB_OK;
}

/* Control pieces are found where a text may have special tokens, the user's wherever they stand: BPE cuts the text there, for unigram they cost
 * nothing, whatever their score in the file. */
static FbStatus add_own_tokens(PieceReader *reader)
{
    FbTokenizer *tokenizer = reader->tokenizer;
    bool cuts = reader->model.kind == FB_SENTENCEPIECE_BPE;
    for (size_t i = 0; i < reader->model.count; i++) {
        FbSentencePieceType type = reader->model.pieces[i].type;
        bool user = type == FB_SENTENCEPIECE_USER, special = type == FB_SENTENCEPIECE_CONTROL || type == FB_SENTENCEPIECE_UNKNOWN;
        if ((user || special) && (tokenizer->vocabulary.pieces.items[i].flags & FB_PIECE_ADDED) == 0) {
            FbAddedToken token = {.id = (uint32_t)i, .special = special, .normalized = user && cuts, .exact = user};
            FbPiece *piece = &tokenizer->vocabulary.pieces.items[i];
            if (user && !cuts) {
                piece->score = 0;
                piece->flags |= FB_PIECE_MODEL;
            }
            FB_TRY(fb_tokenizer_add_token(tokenizer, token, reader->err));
        }
    }
    return FB_OK;
}

/* ---- steps and model ---- */

static FbStatus add_steps(PieceReader *reader)
{
    FbTokenizer *tokenizer = reader->tokenizer;
    const FbSentencePieceModel *model = &reader->model;
    const json_t *legacy = json_object_get(reader->config, "legacy");
    FbNormalStep step = {.kind = FB_NORMAL_PIECES,
                         .spaces = {.prefix = model->dummy_prefix,
                                    .prefix_first = json_is_false(legacy),
                                    .squeeze = model->remove_extra_whitespaces,
                                    .escape = model->escape_whitespaces}};
    if (model->charsmap.count > 0) {
        FB_TRY(fb_charsmap_read(tokenizer->arena, model->charsmap.data, model->charsmap.count, &step.charsmap, reader->err));
    }
    tokenizer->decode.mark = (FbBytes){(const uint8_t *)FB_MARK, sizeof FB_MARK - 1};
    tokenizer->decode.bytes = model->byte_fallback;
    if (model->escape_whitespaces) {
        tokenizer->decode.strip = model->remove_extra_whitespaces ? FB_STRIP_EACH : model->dummy_prefix ? FB_STRIP_ONE : FB_STRIP_NONE;
    }
    return fb_tokenizer_add_normal(tokenizer, step, reader->err);
}

static FbStatus build_model(PieceReader *reader)
{
    FbTokenizer *tokenizer = reader->tokenizer;
    float least = INFINITY;
    tokenizer->model.kind = reader->model.kind == FB_SENTENCEPIECE_BPE ? FB_MODEL_BPE : FB_MODEL_UNIGRAM;
    tokenizer->model.byte_fallback = reader->model.byte_fallback;
    tokenizer->model.fuse_unknown = true;
    tokenizer->model.unknown = (int32_t)reader->model.unknown;
    tokenizer->model.single_scores = true;
    for (size_t i = 0; i < reader->model.count; i++) {
        const FbSentencePiece *piece = &reader->model.pieces[i];
        least = piece->type == FB_SENTENCEPIECE_NORMAL && piece->score < least ? piece->score : least;
    }
    tokenizer->model.unknown_score = (double)((least < INFINITY ? least : 0.0f) - 10.0f);
    FB_TRY(fb_tokenizer_index(tokenizer, reader->err));
    if (tokenizer->model.kind == FB_MODEL_BPE) {
        FB_TRY(fb_tokenizer_merges_from_scores(tokenizer, reader->err));
        fb_tokenizer_find_cuts(tokenizer, tokenizer->decode.mark);
    }
    return FB_OK;
}

/* ---- special tokens ---- */

/* What the settings have named stays. */
static FbStatus set_special(PieceReader *reader)
{
    const FbSentencePieceModel *model = &reader->model;
    const struct { FbSpecialToken which; int64_t id; } rows[] = {
        {FB_TOKEN_UNK, model->unknown},
        {FB_TOKEN_BOS, fb_sentencepiece_control(model, model->bos)},
        {FB_TOKEN_EOS, fb_sentencepiece_control(model, model->eos)},
        {FB_TOKEN_PAD, fb_sentencepiece_control(model, model->pad)},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        if (rows[i].id >= 0 && reader->tokenizer->special[rows[i].which] < 0) {
            FB_TRY(fb_tokenizer_set_special(reader->tokenizer, rows[i].which, rows[i].id, "the model", reader->err));
        }
    }
    return FB_OK;
}

static FbStatus add_around(PieceReader *reader, bool before, const char *key, FbSpecialToken which, bool usual)
{
    const json_t *said = json_object_get(reader->config, key);
    int32_t id = reader->tokenizer->special[which];
    bool wanted = json_is_boolean(said) ? json_is_true(said) : usual;
    if (wanted && id < 0 && json_is_boolean(said)) {
        return fb_error_set(reader->err, FB_ERR_FORMAT, "%s is true, but there is no such token", key);
    }
    return wanted && id >= 0 ? fb_tokenizer_add_around(reader->tokenizer, before, id, reader->err) : FB_OK;
}

static FbStatus build(PieceReader *reader)
{
    FbTokenizer *tokenizer = reader->tokenizer;
    if (reader->folder != NULL) {
        FB_TRY(fb_tokenizer_load_setting(tokenizer, reader->folder, "tokenizer_config.json", &reader->config, reader->err));
        FB_TRY(fb_tokenizer_load_setting(tokenizer, reader->folder, "added_tokens.json", &reader->added, reader->err));
        FB_TRY(fb_tokenizer_load_setting(tokenizer, reader->folder, "special_tokens_map.json", &reader->special, reader->err));
    }
    FB_TRY(find_class(reader));
    FB_TRY(add_pieces(reader));
    FB_TRY(add_from_folder(reader));
    FB_TRY(add_own_tokens(reader));
    FB_TRY(add_steps(reader));
    FB_TRY(build_model(reader));
    if (reader->folder != NULL) {
        FB_TRY(fb_tokenizer_read_settings(tokenizer, reader->folder, reader->err));
    }
    FB_TRY(set_special(reader));
    FB_TRY(add_around(reader, true, "add_bos_token", FB_TOKEN_BOS, reader->class.bos));
    return add_around(reader, false, "add_eos_token", FB_TOKEN_EOS, reader->class.eos);
}

FbStatus fb_tokenizer_read_sentencepiece_source(FbTokenizer *tokenizer, FbSource *source, const char *folder, FbError *err)
{
    PieceReader reader = {.tokenizer = tokenizer, .folder = folder, .err = err};
    FbArena *arena = fb_arena_create(tokenizer->context);
    FbStatus status = arena != NULL ? fb_sentencepiece_read(arena, source, &reader.model, err)
                                    : fb_error_memory(tokenizer->context, err, "a vocabulary", 0);
    status = status == FB_OK ? build(&reader) : status;
    json_decref(reader.config);
    json_decref(reader.added);
    json_decref(reader.special);
    fb_arena_free(arena);
    return status;
}

FbStatus fb_tokenizer_read_sentencepiece(FbTokenizer *tokenizer, const char *path, FbError *err)
{
    char folder[PATH_BYTES];
    const char *slash = strrchr(path, '/'), *name = slash != NULL ? slash + 1 : path;
    bool of_folder = strcmp(name, "tokenizer.model") == 0 || strcmp(name, "spiece.model") == 0;
    FbSource *source;
    FB_TRY(fb_tokenizer_folder_of(path, folder, sizeof folder, err));
    FB_TRY(fb_source_open(tokenizer->context, path, &source, err));
    FbStatus status = fb_tokenizer_read_sentencepiece_source(tokenizer, source, of_folder ? folder : NULL, err);
    fb_source_release(source);
    return status;
}
