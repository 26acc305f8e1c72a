/* Reading SentencePiece's model file, see sentencepiece.h. Source of field numbers and defaults: sentencepiece_model.proto. */
#include "io/sentencepiece/sentencepiece.h"

#include <math.h>
#include <string.h>

#include "base/text.h"
#include "io/protobuf/protobuf_reader.h"

enum { MODEL_PIECES = 1, MODEL_TRAINER = 2, MODEL_NORMALIZER = 3, MODEL_DENORMALIZER = 5 };
enum { PIECE_TEXT = 1, PIECE_SCORE = 2, PIECE_TYPE = 3 };
enum { TRAINER_KIND = 3, TRAINER_SPACE_BEHIND = 24, TRAINER_BYTES = 35, TRAINER_BOS = 46, TRAINER_EOS = 47, TRAINER_PAD = 48 };
enum { NORMALIZER_MAP = 2, NORMALIZER_PREFIX = 3, NORMALIZER_SQUEEZE = 4, NORMALIZER_ESCAPE = 5 };

typedef struct PieceScan {
    FbProtobufReader file;
    FbArena *arena;
    FbSentencePieceModel *model;
    size_t at;                 /* pieces read */
    int64_t kind;
    bool space_behind, denormalizes;
} PieceScan;

static FbStatus no_memory(PieceScan *scan, size_t bytes) { return fb_error_memory(scan->file.context, scan->file.err, "pieces of a tokenizer", bytes); }

static FbStatus read_flag(FbProtobufMessage *message, const FbProtobufField *field, bool *out)
{
    int64_t value;
    if (fb_protobuf_int(message, field, &value)) {
        *out = value != 0;
    }
    return message->status;
}

static FbStatus read_piece(PieceScan *scan, FbProtobufSpan span)
{
    FbProtobufMessage message;
    FbProtobufField field;
    FbSentencePiece *piece = &scan->model->pieces[scan->at];
    int64_t type = FB_SENTENCEPIECE_NORMAL;
    const char *text = "";
    char shown[80];
    *piece = (FbSentencePiece){.score = 0};
    fb_protobuf_open(&message, &scan->file, span, "SentencePiece");
    while (fb_protobuf_next(&message, &field)) {
        uint32_t bits = (uint32_t)field.value;
        if (field.tag == PIECE_TEXT) {
            fb_protobuf_name(&message, &field, scan->arena, &text);
        } else if (field.tag == PIECE_SCORE && fb_protobuf_expect(&message, &field, PB_WT_32BIT)) {
            memcpy(&piece->score, &bits, sizeof bits);
        } else if (field.tag == PIECE_TYPE) {
            fb_protobuf_int(&message, &field, &type);
        }
    }
    FB_TRY(message.status);
    piece->text = (FbBytes){(const uint8_t *)text, strlen(text)};
    if (piece->text.count == 0) {
        return fb_error_set(scan->file.err, FB_ERR_FORMAT, "piece %zu is empty", scan->at);
    }
    if (!isfinite(piece->score)) {
        return fb_error_set(scan->file.err, FB_ERR_FORMAT, "piece %zu ('%s') has a score that is no number", scan->at, fb_escape(text, shown, sizeof shown));
    }
    if (type < FB_SENTENCEPIECE_NORMAL || type > FB_SENTENCEPIECE_BYTE) {
        return fb_error_set(scan->file.err, FB_ERR_FORMAT, "piece %zu ('%s') has the type %lld, which is not known", scan->at,
                            fb_escape(text, shown, sizeof shown), (long long)type);
    }
    piece->type = (FbSentencePieceType)type;
    scan->at++;
    return FB_OK;
}

static FbStatus read_trainer(PieceScan *scan, FbProtobufSpan span)
{
    FbProtobufMessage message;
    FbProtobufField field;
    FbSentencePieceModel *model = scan->model;
    fb_protobuf_open(&message, &scan->file, span, "TrainerSpec");
    while (fb_protobuf_next(&message, &field)) {
        switch (field.tag) {
        case TRAINER_KIND:
            fb_protobuf_int(&message, &field, &scan->kind);
            break;
        case TRAINER_SPACE_BEHIND:
            FB_TRY(read_flag(&message, &field, &scan->space_behind));
            break;
        case TRAINER_BYTES:
            FB_TRY(read_flag(&message, &field, &model->byte_fallback));
            break;
        case TRAINER_BOS:
            fb_protobuf_name(&message, &field, scan->arena, &model->bos);
            break;
        case TRAINER_EOS:
            fb_protobuf_name(&message, &field, scan->arena, &model->eos);
            break;
        case TRAINER_PAD:
            fb_protobuf_name(&message, &field, scan->arena, &model->pad);
            break;
        default: /* how it was trained */
            break;
        }
    }
    return message.status;
}

static FbStatus read_normalizer(PieceScan *scan, FbProtobufSpan span)
{
    FbProtobufMessage message;
    FbProtobufField field;
    FbSentencePieceModel *model = scan->model;
    fb_protobuf_open(&message, &scan->file, span, "NormalizerSpec");
    while (fb_protobuf_next(&message, &field)) {
        if (field.tag == NORMALIZER_MAP && fb_protobuf_expect(&message, &field, PB_WT_STRING)) {
            FB_TRY(fb_protobuf_bytes(&scan->file, scan->arena, field.span, &model->charsmap));
        } else if (field.tag == NORMALIZER_PREFIX) {
            FB_TRY(read_flag(&message, &field, &model->dummy_prefix));
        } else if (field.tag == NORMALIZER_SQUEEZE) {
            FB_TRY(read_flag(&message, &field, &model->remove_extra_whitespaces));
        } else if (field.tag == NORMALIZER_ESCAPE) {
            FB_TRY(read_flag(&message, &field, &model->escape_whitespaces));
        }
    }
    return message.status;
}

static FbStatus read_denormalizer(PieceScan *scan, FbProtobufSpan span)
{
    FbProtobufMessage message;
    FbProtobufField field;
    fb_protobuf_open(&message, &scan->file, span, "NormalizerSpec");
    while (fb_protobuf_next(&message, &field)) {
        scan->denormalizes = scan->denormalizes || (field.tag == NORMALIZER_MAP && field.span.bytes > 0);
    }
    return message.status;
}

/* All fields; or only a count of the pieces, so that their table is made once. */
static FbStatus read_fields(PieceScan *scan, FbProtobufSpan span, bool count_only)
{
    FbProtobufMessage message;
    FbProtobufField field;
    fb_protobuf_open(&message, &scan->file, span, "ModelProto");
    while (fb_protobuf_next(&message, &field)) {
        bool known = field.tag <= MODEL_NORMALIZER || field.tag == MODEL_DENORMALIZER;
        if (known && !fb_protobuf_expect(&message, &field, PB_WT_STRING)) {
            break;
        }
        if (count_only) {
            scan->model->count += field.tag == MODEL_PIECES;
        } else if (field.tag == MODEL_PIECES) {
            FB_TRY(scan->at < scan->model->count ? read_piece(scan, field.span) : fb_protobuf_changed(&scan->file));
        } else if (field.tag == MODEL_TRAINER) {
            FB_TRY(read_trainer(scan, field.span));
        } else if (field.tag == MODEL_NORMALIZER) {
            FB_TRY(read_normalizer(scan, field.span));
        } else if (field.tag == MODEL_DENORMALIZER) {
            FB_TRY(read_denormalizer(scan, field.span));
        }
    }
    return message.status;
}

static FbStatus check_pieces(PieceScan *scan)
{
    FbSentencePieceModel *model = scan->model;
    size_t unknown = 0, bytes = 0;
    for (size_t i = 0; i < model->count; i++) {
        if (model->pieces[i].type == FB_SENTENCEPIECE_UNKNOWN) {
            model->unknown = (uint32_t)i;
            unknown++;
        }
        bytes += model->pieces[i].type == FB_SENTENCEPIECE_BYTE;
    }
    if (unknown != 1) {
        return fb_error_set(scan->file.err, FB_ERR_FORMAT, "%zu pieces are the unknown one, expected 1", unknown);
    }
    if (bytes != (model->byte_fallback ? 256 : 0)) {
        return fb_error_set(scan->file.err, FB_ERR_FORMAT, "%zu pieces stand for bytes, expected %d (byte_fallback is %s)", bytes,
                            model->byte_fallback ? 256 : 0, model->byte_fallback ? "true" : "false");
    }
    return FB_OK;
}

static FbStatus check_settings(PieceScan *scan)
{
    static const char *const kinds[] = {"unigram", "bpe", "word", "char"};
    if (scan->kind != FB_SENTENCEPIECE_UNIGRAM && scan->kind != FB_SENTENCEPIECE_BPE) {
        bool known = scan->kind > 0 && scan->kind <= 4;
        return fb_error_set(scan->file.err, known ? FB_ERR_UNSUPPORTED : FB_ERR_FORMAT, "the model type %lld%s%s%s is not supported: unigram and bpe are",
                            (long long)scan->kind, known ? " (" : "", known ? kinds[scan->kind - 1] : "", known ? ")" : "");
    }
    if (scan->space_behind) {
        return fb_error_set(scan->file.err, FB_ERR_UNSUPPORTED, "spaces behind words (treat_whitespace_as_suffix) are not supported");
    }
    if (scan->denormalizes) {
        return fb_error_set(scan->file.err, FB_ERR_UNSUPPORTED, "a map of characters for decoded text (denormalizer_spec) is not supported");
    }
    scan->model->kind = (FbSentencePieceKind)scan->kind;
    return FB_OK;
}

static FbStatus read_all(PieceScan *scan)
{
    FbSentencePieceModel *model = scan->model;
    FbProtobufSpan whole = {0, fb_source_bytes(scan->file.source)};
    if (whole.bytes > FB_SENTENCEPIECE_FILE_MAX) {
        return fb_error_set(scan->file.err, FB_ERR_BUDGET, "%llu bytes, at most %d are read", (unsigned long long)whole.bytes, FB_SENTENCEPIECE_FILE_MAX);
    }
    FB_TRY(read_fields(scan, whole, true));
    if (model->count == 0 || model->count > FB_SENTENCEPIECE_COUNT_MAX) {
        return fb_error_set(scan->file.err, model->count == 0 ? FB_ERR_FORMAT : FB_ERR_BUDGET, "%zu pieces, expected 1 to %d", model->count,
                            FB_SENTENCEPIECE_COUNT_MAX);
    }
    model->pieces = fb_arena_array(scan->arena, model->count, sizeof *model->pieces);
    if (model->pieces == NULL) {
        return no_memory(scan, model->count * sizeof *model->pieces);
    }
    FB_TRY(read_fields(scan, whole, false));
    if (scan->at != model->count) {
        return fb_protobuf_changed(&scan->file);
    }
    FB_TRY(check_settings(scan));
    return check_pieces(scan);
}

FbStatus fb_sentencepiece_read(FbArena *arena, FbSource *source, FbSentencePieceModel *model, FbError *err)
{
    FbError local; /* the reader always has somewhere to write */
    PieceScan scan = {.file = {.context = fb_arena_context(arena),
                               .source = source,
                               .err = err == NULL ? &local : err,
                               .format = "a SentencePiece model",
                               .kept_max = (uint64_t)FB_SENTENCEPIECE_FILE_MAX,
                               .kept_left = (uint64_t)FB_SENTENCEPIECE_FILE_MAX},
                      .arena = arena,
                      .model = model,
                      .kind = FB_SENTENCEPIECE_UNIGRAM};
    *model = (FbSentencePieceModel){.dummy_prefix = true,
                                    .remove_extra_whitespaces = true,
                                    .escape_whitespaces = true,
                                    .bos = "<s>",
                                    .eos = "</s>",
                                    .pad = "<pad>"};
    FbStatus status = read_all(&scan);
    fb_free(scan.file.context, scan.file.window);
    return status;
}

FbStatus fb_sentencepiece_load(FbArena *arena, const char *path, FbSentencePieceModel *model, FbError *err)
{
    FbSource *source;
    FB_TRY(fb_source_open(fb_arena_context(arena), path, &source, err));
    FbStatus status = fb_sentencepiece_read(arena, source, model, err);
    fb_source_release(source);
    return status;
}

/* A first piece of a few bytes ("<unk>", "<pad>") and its score. */
bool fb_sentencepiece_begins(const uint8_t *head, size_t bytes)
{
    if (bytes < 10 || head[0] != 0x0a || head[2] != 0x0a || head[3] == 0 || head[3] + 2u > head[1]) {
        return false;
    }
    size_t next = 4 + (size_t)head[3];
    return next < bytes && (head[next] == 0x15 || head[next] == 0x18);
}

int64_t fb_sentencepiece_control(const FbSentencePieceModel *model, const char *name)
{
    for (size_t i = 0; i < model->count; i++) {
        const FbSentencePiece *piece = &model->pieces[i];
        if (piece->type == FB_SENTENCEPIECE_CONTROL && strcmp((const char *)piece->text.data, name) == 0) {
            return (int64_t)i;
        }
    }
    return -1;
}
