/* Reads the files of llama2.c: a header of seven numbers, then float tensors, each kind for all layers together. */
#include "io/llama2c/llama2c.h"

#include <stdio.h>
#include <string.h>

#include "base/checked.h"
#include "base/file_error.h"

enum { HEADER_NUMBERS = 7, HEADER_BYTES = 4 * HEADER_NUMBERS, SIZE_MAX_HERE = 1 << 24, LAYERS_MAX = 4096, HEADS_MAX = 4096, KINDS = 14 };

typedef struct Header {
    int64_t hidden, feed_forward, layers, heads, kv_heads, vocabulary, context;
    bool own_head; /* the file says so by a negative vocabulary */
} Header;

/* A kind of tensor: one, or one for each layer. */
typedef struct Kind {
    const char *name;     /* '#' is the layer; NULL: tables that the configuration says, too */
    bool per_layer;
    int64_t rows, columns; /* rows 0: a vector */
} Kind;

static int64_t number_at(const uint8_t *at)
{
    return (int32_t)((uint32_t)at[0] | (uint32_t)at[1] << 8 | (uint32_t)at[2] << 16 | (uint32_t)at[3] << 24);
}

static bool within(int64_t value, int64_t most) { return value >= 1 && value <= most; }

/* *sensible: the numbers are those of a model. */
static FbStatus read_header(FbSource *source, Header *header, bool *sensible, FbError *err)
{
    uint8_t raw[HEADER_BYTES];
    *sensible = false;
    if (fb_source_bytes(source) < sizeof raw) {
        return FB_OK;
    }
    FB_TRY(fb_source_read(source, 0, raw, sizeof raw, err));
    int64_t vocabulary = number_at(raw + 20);
    *header = (Header){number_at(raw), number_at(raw + 4), number_at(raw + 8), number_at(raw + 12), number_at(raw + 16),
                       vocabulary < 0 ? -vocabulary : vocabulary, number_at(raw + 24), vocabulary < 0};
    *sensible = within(header->hidden, SIZE_MAX_HERE) && within(header->feed_forward, SIZE_MAX_HERE) && within(header->layers, LAYERS_MAX) &&
                within(header->heads, HEADS_MAX) && within(header->kv_heads, header->heads) && header->heads % header->kv_heads == 0 &&
                header->hidden % header->heads == 0 && header->hidden / header->heads % 2 == 0 && within(header->vocabulary, SIZE_MAX_HERE) &&
                within(header->context, SIZE_MAX_HERE);
    return FB_OK;
}

static size_t kinds_of(const Header *header, Kind *kinds)
{
    int64_t hidden = header->hidden, kv = hidden / header->heads * header->kv_heads, feed = header->feed_forward;
    int64_t half = hidden / header->heads / 2;
    const Kind all[KINDS] = {
        {"token_embd.weight", false, header->vocabulary, hidden}, {"blk.#.attn_norm.weight", true, 0, hidden},
        {"blk.#.attn_q.weight", true, hidden, hidden},            {"blk.#.attn_k.weight", true, kv, hidden},
        {"blk.#.attn_v.weight", true, kv, hidden},                {"blk.#.attn_output.weight", true, hidden, hidden},
        {"blk.#.ffn_norm.weight", true, 0, hidden},               {"blk.#.ffn_gate.weight", true, feed, hidden},
        {"blk.#.ffn_down.weight", true, hidden, feed},            {"blk.#.ffn_up.weight", true, feed, hidden},
        {"output_norm.weight", false, 0, hidden},                 {NULL, false, header->context, half},
        {NULL, false, header->context, half},                     {"output.weight", false, header->vocabulary, hidden},
    };
    memcpy(kinds, all, sizeof all);
    return header->own_head ? KINDS : KINDS - 1;
}

/* Sizes are products of numbers below 2^24, 2^24 and 2^12: no overflow. */
static uint64_t bytes_of(const Kind *kind)
{
    return 4 * (uint64_t)(kind->rows == 0 ? 1 : kind->rows) * (uint64_t)kind->columns;
}

static bool fits(FbSource *source, const Header *header)
{
    Kind kinds[KINDS];
    uint64_t total = HEADER_BYTES;
    size_t count = kinds_of(header, kinds);
    for (size_t i = 0; i < count; i++) {
        uint64_t bytes = bytes_of(&kinds[i]) * (uint64_t)(kinds[i].per_layer ? header->layers : 1);
        if (!fb_add_u64(total, bytes, &total)) {
            return false;
        }
    }
    return total == fb_source_bytes(source);
}

FbStatus fb_llama2c_recognize(FbSource *source, bool *recognized, FbError *err)
{
    Header header;
    FB_TRY(read_header(source, &header, recognized, err));
    *recognized = *recognized && fits(source, &header);
    return FB_OK;
}

/* ---- the table ---- */

static FbStatus add_number(FbCheckpoint *checkpoint, const char *key, int64_t value, FbError *err)
{
    FbMeta *meta;
    FB_TRY(fb_checkpoint_add_meta(checkpoint, key, strlen(key), &meta, err));
    meta->type = FB_META_U32;
    meta->value.u = (uint64_t)value;
    return FB_OK;
}

static FbStatus add_keys(FbCheckpoint *checkpoint, const Header *header, FbError *err)
{
    FbMeta *meta;
    FB_TRY(fb_checkpoint_add_meta(checkpoint, "general.architecture", 20, &meta, err));
    meta->type = FB_META_STRING;
    meta->text = (FbBytes){(const uint8_t *)"llama", 5};
    FB_TRY(add_number(checkpoint, "llama.block_count", header->layers, err));
    FB_TRY(add_number(checkpoint, "llama.context_length", header->context, err));
    FB_TRY(add_number(checkpoint, "llama.embedding_length", header->hidden, err));
    FB_TRY(add_number(checkpoint, "llama.feed_forward_length", header->feed_forward, err));
    FB_TRY(add_number(checkpoint, "llama.attention.head_count", header->heads, err));
    FB_TRY(add_number(checkpoint, "llama.attention.head_count_kv", header->kv_heads, err));
    FB_TRY(fb_checkpoint_add_meta(checkpoint, "llama.attention.layer_norm_rms_epsilon", 38, &meta, err));
    meta->type = FB_META_F32;
    meta->value.f = 1e-5; /* fixed in that project */
    return FB_OK;
}

static FbStatus add_tensor(FbCheckpoint *checkpoint, const Kind *kind, int64_t layer, uint32_t file, uint64_t offset, FbError *err)
{
    char name[64];
    FbTableTensor *tensor;
    const char *after = strchr(kind->name, '#');
    int length = after == NULL ? snprintf(name, sizeof name, "%s", kind->name)
                               : snprintf(name, sizeof name, "%.*s%lld%s", (int)(after - kind->name), kind->name, (long long)layer, after + 1);
    const int64_t dims[] = {kind->rows, kind->columns};
    FB_TRY(fb_checkpoint_add_tensor(checkpoint, name, (size_t)length, &tensor, err));
    tensor->file = file;
    tensor->constant.dtype = FB_DTYPE_F32;
    tensor->constant.shape = kind->rows == 0 ? fb_shape_make(1, dims + 1) : fb_shape_make(2, dims);
    tensor->constant.planes[FB_PLANE_CODES] =
        (FbPlane){.source = checkpoint->files[file].source, .offset = offset, .bytes = bytes_of(kind)};
    return FB_OK;
}

static FbStatus add_tensors(FbCheckpoint *checkpoint, const Header *header, uint32_t file, FbError *err)
{
    Kind kinds[KINDS];
    size_t count = kinds_of(header, kinds);
    uint64_t offset = HEADER_BYTES;
    for (size_t i = 0; i < count; i++) {
        for (int64_t layer = 0; layer < (kinds[i].per_layer ? header->layers : 1); layer++) {
            if (kinds[i].name != NULL) {
                FB_TRY(add_tensor(checkpoint, &kinds[i], layer, file, offset, err));
            }
            offset += bytes_of(&kinds[i]);
        }
    }
    return FB_OK;
}

FbStatus fb_llama2c_open_source(FbContext *context, FbSource *source, const char *path, FbCheckpoint **out, FbError *err)
{
    Header header;
    uint32_t file = 0;
    char shown[200];
    fb_path_shown(path, shown, sizeof shown);
    *out = NULL;
    bool sensible;
    FB_TRY(read_header(source, &header, &sensible, err));
    if (!sensible || !fits(source, &header)) {
        return fb_error_set(err, FB_ERR_FORMAT, "%s: the numbers at its start do not fit its size", shown);
    }
    FB_TRY(fb_checkpoint_create(context, path, "llama2.c", out, err));
    FbStatus status = fb_checkpoint_add_file(*out, fb_source_retain(source), path, &file, err);
    status = status == FB_OK ? add_keys(*out, &header, err) : status;
    status = status == FB_OK ? add_tensors(*out, &header, file, err) : status;
    if (status != FB_OK) {
        fb_checkpoint_free(*out);
        *out = NULL;
        return fb_error_context(err, status, "%s", shown);
    }
    return FB_OK;
}
