/* The file of a baseline's log-probabilities: everything little-endian, sizes checked against the file before anything is allocated. */
#include "evaluate/logit_file.h"

#include <string.h>

#include "base/checked.h"
#include "base/sha256.h"

enum { HEADER_BYTES = 128, VERSION = 1, FIXED_BYTES = 8, KEPT_MIN = 256, VOCABULARY_MAX = 1 << 24, WINDOW_MAX = 1 << 24 };
static const char magic[8] = "fblogits";

static size_t id_bytes(const FbLogitHeader *header) { return header->vocabulary <= 1 << 16 ? 2 : 3; }

void fb_logit_header_size(FbLogitHeader *header, size_t wanted)
{
    size_t budget = header->vocabulary / 10, kept = wanted;
    if (kept == 0) {
        kept = budget > FIXED_BYTES ? (budget - FIXED_BYTES) / (id_bytes(header) + 2) : 0;
        kept = kept < KEPT_MIN ? KEPT_MIN : kept;
    }
    if (kept >= header->vocabulary) {
        header->top = header->vocabulary;
        header->samples = 0;
    } else {
        header->samples = kept < 4 ? 1 : (uint32_t)(kept / 4); /* one of each kind at least */
        header->top = kept < 2 ? 1 : (uint32_t)kept - header->samples;
    }
}

uint64_t fb_logit_row_bytes(const FbLogitHeader *header)
{
    return FIXED_BYTES + ((uint64_t)header->top + header->samples) * (id_bytes(header) + 2);
}

uint64_t fb_logit_file_bytes(const FbLogitHeader *header)
{
    uint64_t rows = 0, bytes = 0; /* the header's bounds keep both below 2^64 */
    return fb_mul_u64(header->windows, header->rows, &rows) && fb_mul_u64(rows, fb_logit_row_bytes(header), &bytes) &&
                   fb_add_u64(bytes, HEADER_BYTES, &bytes)
               ? bytes
               : UINT64_MAX;
}

static void put_u32(uint8_t *at, uint32_t value)
{
    for (int i = 0; i < 4; i++) {
        at[i] = (uint8_t)(value >> 8 * i);
    }
}

static uint32_t get_u32(const uint8_t *at) { return at[0] | (uint32_t)at[1] << 8 | (uint32_t)at[2] << 16 | (uint32_t)at[3] << 24; }

static void put_f32(uint8_t *at, float value)
{
    uint32_t bits;
    memcpy(&bits, &value, sizeof bits);
    put_u32(at, bits);
}

static float get_f32(const uint8_t *at)
{
    uint32_t bits = get_u32(at);
    float value;
    memcpy(&value, &bits, sizeof value);
    return value;
}

FbStatus fb_logit_hash(FbContext *context, const int32_t *ids, size_t count, char hex[65], FbError *err)
{
    uint8_t bytes[4096];
    FbSha256 *hash = fb_sha256_create(context);
    if (hash == NULL) {
        return fb_error_memory(context, err, "a digest of tokens", sizeof bytes);
    }
    for (size_t i = 0; i < count;) {
        size_t n = 0;
        for (; n < sizeof bytes && i < count; n += 4, i++) {
            put_u32(bytes + n, (uint32_t)ids[i]);
        }
        fb_sha256_add(hash, bytes, n);
    }
    fb_sha256_finish(hash, hex);
    return FB_OK;
}

FbStatus fb_logit_rows_init(FbLogitRows *rows, FbContext *context, const FbLogitHeader *header, size_t count, FbError *err)
{
    size_t kept = (size_t)header->top + header->samples, numbers = 0;
    *rows = (FbLogitRows){.context = context, .header = *header};
    if (!fb_mul_size(kept, count, &numbers)) {
        return fb_error_memory(context, err, "stored log-probabilities", UINT64_MAX);
    }
    rows->bytes = fb_alloc_array(context, count, (size_t)fb_logit_row_bytes(header));
    rows->rows = fb_alloc_array(context, count, sizeof *rows->rows);
    rows->ids = fb_alloc_array(context, numbers, sizeof *rows->ids);
    rows->codes = fb_alloc_array(context, numbers, sizeof *rows->codes);
    if (rows->bytes == NULL || rows->rows == NULL || rows->ids == NULL || rows->codes == NULL) {
        return fb_error_memory(context, err, "stored log-probabilities", count * fb_logit_row_bytes(header));
    }
    for (size_t i = 0; i < count; i++) {
        rows->rows[i] = (FbShortRow){.top = header->top, .samples = header->samples, .ids = rows->ids + i * kept, .codes = rows->codes + i * kept};
    }
    return FB_OK;
}

void fb_logit_rows_reset(FbLogitRows *rows)
{
    fb_free(rows->context, rows->bytes);
    fb_free(rows->context, rows->rows);
    fb_free(rows->context, rows->ids);
    fb_free(rows->context, rows->codes);
    memset(rows, 0, sizeof *rows);
}

void fb_logit_rows_encode(FbLogitRows *rows, size_t index)
{
    const FbShortRow *row = &rows->rows[index];
    size_t width = id_bytes(&rows->header), kept = row->top + row->samples;
    uint8_t *at = rows->bytes + index * fb_logit_row_bytes(&rows->header), *codes = at + FIXED_BYTES + kept * width;
    put_f32(at, row->target);
    put_f32(at + 4, row->rest);
    at += FIXED_BYTES;
    for (size_t i = 0; i < kept; i++) {
        for (size_t b = 0; b < width; b++) {
            *at++ = (uint8_t)(row->ids[i] >> 8 * b);
        }
        codes[2 * i] = (uint8_t)row->codes[i];
        codes[2 * i + 1] = (uint8_t)(row->codes[i] >> 8);
    }
}

bool fb_logit_rows_decode(FbLogitRows *rows, size_t index)
{
    FbShortRow *row = &rows->rows[index];
    size_t width = id_bytes(&rows->header), kept = row->top + row->samples;
    const uint8_t *at = rows->bytes + index * fb_logit_row_bytes(&rows->header), *codes = at + FIXED_BYTES + kept * width;
    row->target = get_f32(at);
    row->rest = get_f32(at + 4);
    at += FIXED_BYTES;
    for (size_t i = 0; i < kept; i++) {
        row->ids[i] = 0;
        for (size_t b = 0; b < width; b++) {
            row->ids[i] |= (uint32_t)*at++ << 8 * b;
        }
        row->codes[i] = (uint16_t)(codes[2 * i] | codes[2 * i + 1] << 8);
    }
    return fb_short_row_valid(row, rows->header.vocabulary);
}

static int hex_digit(char c) { return c <= '9' ? c - '0' : c - 'a' + 10; }

/* Header: magic, version, then the fields in the order of FbLogitHeader, zeros up to byte 64, the digest, zeros. */
FbStatus fb_logit_header_write(FbOutput *output, const FbLogitHeader *header, FbError *err)
{
    uint8_t bytes[HEADER_BYTES] = {0};
    const uint32_t fields[] = {VERSION, header->vocabulary, header->context, header->windows, header->rows, header->top, header->samples};
    memcpy(bytes, magic, sizeof magic);
    for (size_t i = 0; i < sizeof fields / sizeof fields[0]; i++) {
        put_u32(bytes + 8 + 4 * i, fields[i]);
    }
    for (size_t i = 0; i < 32; i++) {
        bytes[64 + i] = (uint8_t)(hex_digit(header->tokens[2 * i]) << 4 | hex_digit(header->tokens[2 * i + 1]));
    }
    return fb_output_write(output, bytes, sizeof bytes, err);
}

static FbStatus check_header(FbSource *source, const FbLogitHeader *header, uint32_t version, FbError *err)
{
    const char *path = fb_source_path(source);
    if (version != VERSION) {
        return fb_error_set(err, FB_ERR_UNSUPPORTED, "%s: stored log-probabilities of version %u, expected %d; save them anew", path, (unsigned)version,
                            VERSION);
    }
    bool sizes = header->vocabulary > 0 && header->vocabulary <= VOCABULARY_MAX && header->context >= 3 && header->context <= WINDOW_MAX &&
                 header->windows > 0 && header->rows == header->context - header->context / 2 - 1 && header->top > 0 &&
                 header->top <= header->vocabulary && header->samples <= header->vocabulary - header->top &&
                 (header->samples > 0 || header->top == header->vocabulary);
    if (!sizes) {
        return fb_error_set(err, FB_ERR_FORMAT, "%s: the header's numbers contradict each other: vocabulary %u, context %u, windows %u, rows %u, top %u, "
                            "samples %u", path, (unsigned)header->vocabulary, (unsigned)header->context, (unsigned)header->windows,
                            (unsigned)header->rows, (unsigned)header->top, (unsigned)header->samples);
    }
    uint64_t expected = fb_logit_file_bytes(header), found = fb_source_bytes(source);
    return expected == found ? FB_OK
                             : fb_error_set(err, FB_ERR_FORMAT, "%s: %llu bytes, but the header tells of %llu: the file is damaged or cut short", path,
                                            (unsigned long long)found, (unsigned long long)expected);
}

FbStatus fb_logit_header_read(FbSource *source, FbLogitHeader *header, FbError *err)
{
    uint8_t bytes[HEADER_BYTES];
    if (fb_source_bytes(source) < HEADER_BYTES) {
        return fb_error_set(err, FB_ERR_FORMAT, "%s: too small for stored log-probabilities (what evaluate --save-outputs wrote)", fb_source_path(source));
    }
    FB_TRY(fb_source_read(source, 0, bytes, sizeof bytes, err));
    if (memcmp(bytes, magic, sizeof magic) != 0) {
        return fb_error_set(err, FB_ERR_FORMAT, "%s: these are not stored log-probabilities (what evaluate --save-outputs wrote)", fb_source_path(source));
    }
    uint32_t *const fields[] = {&header->vocabulary, &header->context, &header->windows, &header->rows, &header->top, &header->samples};
    for (size_t i = 0; i < sizeof fields / sizeof fields[0]; i++) {
        *fields[i] = get_u32(bytes + 12 + 4 * i);
    }
    for (size_t i = 0; i < 32; i++) {
        header->tokens[2 * i] = "0123456789abcdef"[bytes[64 + i] >> 4];
        header->tokens[2 * i + 1] = "0123456789abcdef"[bytes[64 + i] & 15];
    }
    header->tokens[64] = '\0';
    for (size_t i = 36; i < HEADER_BYTES; i++) {
        if (bytes[i] != 0 && (i < 64 || i >= 96)) {
            return fb_error_set(err, FB_ERR_FORMAT, "%s: byte %zu of the header is not zero", fb_source_path(source), i);
        }
    }
    return check_header(source, header, get_u32(bytes + 8), err);
}

FbStatus fb_logit_rows_read(FbSource *source, FbLogitRows *rows, uint64_t first, size_t count, FbError *err)
{
    size_t row = (size_t)fb_logit_row_bytes(&rows->header);
    return fb_source_read(source, HEADER_BYTES + first * row, rows->bytes, count * row, err);
}
