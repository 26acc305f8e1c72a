/* The statistics file: little-endian, versioned, closed by the SHA-256 of everything before it. The reader trusts nothing.
 *
 *   "FBSTATS\0"  u32 version  u32 flags (0)
 *   model hash 64 hex digits  data hash 64 hex digits
 *   u32 selection  u32 bins per side  u64 seed  u64 rejected  u64 samples  u64 values
 *   samples: u64 index, 16 bytes digest
 *   values, ascending by name: u32 name bytes, name, u64 count, f32 low, f32 high, i32 exponent, u32 first bin, u32 bins,
 *           u64 per bin, then per sample f32 low, f32 high
 *   32 bytes SHA-256 */
#include <math.h>
#include <string.h>

#include "base/checked.h"
#include "base/file.h"
#include "base/sha256.h"
#include "base/text.h"
#include "calibrate/statistics.h"

static const char magic[8] = "FBSTATS";
enum { FILE_VERSION = 1, HEADER_BYTES = 8 + 4 + 4 + 64 + 64 + 4 + 4 + 8 * 4, VALUE_BYTES = 4 + 8 + 4 + 4 + 4 + 4 + 4, NAME_MAX_BYTES = 65536 };
#define FILE_BYTES_MAX ((size_t)1 << 32)

/* ---- writing ---- */

typedef struct Writer {
    uint8_t *at;
} Writer;

static void put(Writer *writer, const void *bytes, size_t count)
{
    memcpy(writer->at, bytes, count);
    writer->at += count;
}

static void put_u32(Writer *writer, uint32_t value)
{
    for (int i = 0; i < 4; i++) {
        *writer->at++ = (uint8_t)(value >> (8 * i));
    }
}

static void put_u64(Writer *writer, uint64_t value)
{
    for (int i = 0; i < 8; i++) {
        *writer->at++ = (uint8_t)(value >> (8 * i));
    }
}

static void put_f32(Writer *writer, float value)
{
    uint32_t bits;
    memcpy(&bits, &value, sizeof bits);
    put_u32(writer, bits);
}

static void digest_bytes(const char hex[65], uint8_t out[32])
{
    for (int i = 0; i < 32; i++) {
        int high = hex[2 * i] <= '9' ? hex[2 * i] - '0' : hex[2 * i] - 'a' + 10;
        int low = hex[2 * i + 1] <= '9' ? hex[2 * i + 1] - '0' : hex[2 * i + 1] - 'a' + 10;
        out[i] = (uint8_t)(high << 4 | low);
    }
}

static FbStatus checksum(FbContext *context, const uint8_t *bytes, size_t count, uint8_t out[32], FbError *err)
{
    char hex[65];
    FbSha256 *hash = fb_sha256_create(context);
    if (hash == NULL) {
        return fb_error_memory(context, err, "hash", 0);
    }
    fb_sha256_add(hash, bytes, count);
    fb_sha256_finish(hash, hex);
    digest_bytes(hex, out);
    return FB_OK;
}

static void put_value(Writer *writer, const FbValueStatistics *value, size_t samples)
{
    const FbRecord *record = value->record;
    size_t first = 0, end = 0;
    fb_record_span(record, &first, &end);
    size_t name_bytes = strlen(value->name);
    put_u32(writer, (uint32_t)name_bytes);
    put(writer, value->name, name_bytes);
    put_u64(writer, record->count);
    put_f32(writer, record->low);
    put_f32(writer, record->high);
    put_u32(writer, (uint32_t)record->exponent);
    put_u32(writer, (uint32_t)first);
    put_u32(writer, (uint32_t)(end - first));
    for (size_t i = first; i < end; i++) {
        put_u64(writer, record->bins[i]);
    }
    for (size_t i = 0; i < samples; i++) {
        put_f32(writer, value->ranges[i].low);
        put_f32(writer, value->ranges[i].high);
    }
}

FbStatus fb_statistics_encode(const FbStatistics *statistics, uint8_t **bytes, size_t *count, FbError *err)
{
    FbContext *context = statistics->context;
    size_t total = HEADER_BYTES + 32 + statistics->sample_count * (8 + FB_DIGEST_BYTES);
    for (size_t i = 0; i < statistics->value_count; i++) {
        const FbValueStatistics *value = &statistics->values[i];
        size_t first = 0, end = 0;
        fb_record_span(value->record, &first, &end);
        size_t name_bytes = strlen(value->name);
        if (name_bytes > NAME_MAX_BYTES) {
            return fb_error_set(err, FB_ERR_BUDGET, "the name of an activation is longer than %d bytes", NAME_MAX_BYTES);
        }
        total += VALUE_BYTES + name_bytes + (end - first) * 8 + statistics->sample_count * 8;
    }
    char data_hash[65];
    FB_TRY(fb_statistics_data_hash(statistics, data_hash, err));
    uint8_t *out = fb_alloc(context, total);
    if (out == NULL) {
        return fb_error_memory(context, err, "statistics file", total);
    }
    Writer writer = {out};
    put(&writer, magic, sizeof magic);
    put_u32(&writer, FILE_VERSION);
    put_u32(&writer, 0);
    put(&writer, statistics->model_hash, 64);
    put(&writer, data_hash, 64);
    put_u32(&writer, (uint32_t)statistics->selection);
    put_u32(&writer, FB_RECORD_HALF);
    put_u64(&writer, statistics->seed);
    put_u64(&writer, statistics->rejected);
    put_u64(&writer, statistics->sample_count);
    put_u64(&writer, statistics->value_count);
    for (size_t i = 0; i < statistics->sample_count; i++) {
        put_u64(&writer, statistics->samples[i].index);
        put(&writer, statistics->samples[i].digest, FB_DIGEST_BYTES);
    }
    for (size_t i = 0; i < statistics->value_count; i++) {
        put_value(&writer, &statistics->values[i], statistics->sample_count);
    }
    uint8_t digest[32];
    FbStatus status = checksum(context, out, total - 32, digest, err);
    if (status != FB_OK) {
        fb_free(context, out);
        return status;
    }
    put(&writer, digest, 32);
    *bytes = out;
    *count = total;
    return FB_OK;
}

/* ---- reading ---- */

typedef struct Reader {
    const uint8_t *at, *end;
    const char *what;
} Reader;

static size_t left(const Reader *reader)
{
    return (size_t)(reader->end - reader->at);
}

/* The next n bytes, which the caller has proved to be there. */
static uint64_t get(Reader *reader, int bytes)
{
    uint64_t value = 0;
    for (int i = 0; i < bytes; i++) {
        value |= (uint64_t)reader->at[i] << (8 * i);
    }
    reader->at += bytes;
    return value;
}

static float get_f32(Reader *reader)
{
    uint32_t bits = (uint32_t)get(reader, 4);
    float value;
    memcpy(&value, &bits, sizeof value);
    return value;
}

static FbStatus bad(const Reader *reader, FbError *err, const char *why)
{
    return fb_error_set(err, FB_ERR_FORMAT, "%s: not a valid statistics file: %s; calibrate again", reader->what, why);
}

static bool is_hex(const uint8_t *text)
{
    for (int i = 0; i < 64; i++) {
        if (!((text[i] >= '0' && text[i] <= '9') || (text[i] >= 'a' && text[i] <= 'f'))) {
            return false;
        }
    }
    return true;
}

/* Bins and extremes must tell the same story: sum, exponent and the outermost bins. */
static FbStatus get_bins(Reader *reader, FbRecord *record, FbError *err)
{
    record->count = get(reader, 8);
    record->low = get_f32(reader);
    record->high = get_f32(reader);
    int64_t exponent = (int32_t)(uint32_t)get(reader, 4);
    size_t first = (size_t)get(reader, 4), bins = (size_t)get(reader, 4), want_first = 0, want_end = 0;
    if (exponent < FB_RECORD_EXPONENT_MIN || exponent > FB_RECORD_EXPONENT_MAX) {
        return bad(reader, err, "a bin width out of range");
    }
    record->exponent = (int)exponent;
    if (record->count == 0) {
        bool empty = isinf(record->low) && record->low > 0 && isinf(record->high) && record->high < 0 &&
                     exponent == FB_RECORD_EXPONENT_MIN && first == FB_RECORD_HALF && bins == 0;
        return empty ? FB_OK : bad(reader, err, "an activation without values has a range");
    }
    if (!isfinite(record->low) || !isfinite(record->high) || record->low > record->high) {
        return bad(reader, err, "a range that is not finite or upside down");
    }
    float largest = -record->low > record->high ? -record->low : record->high;
    fb_record_span(record, &want_first, &want_end);
    if (fb_record_exponent(largest) != record->exponent || first != want_first || bins != want_end - want_first) {
        return bad(reader, err, "bins that do not fit the range");
    }
    if (left(reader) / 8 < bins) {
        return bad(reader, err, "it ends within the bins");
    }
    uint64_t sum = 0;
    for (size_t i = 0; i < bins; i++) {
        record->bins[first + i] = get(reader, 8);
        if (!fb_add_u64(sum, record->bins[first + i], &sum)) {
            return bad(reader, err, "counts that overflow");
        }
    }
    return sum == record->count ? FB_OK : bad(reader, err, "counts that do not add up");
}

static FbStatus get_ranges(Reader *reader, FbStatistics *made, FbValueStatistics *value, FbError *err)
{
    if (left(reader) / 8 < made->sample_count) {
        return bad(reader, err, "it ends within the ranges of samples");
    }
    value->ranges = fb_alloc_array(made->context, made->sample_count > 0 ? made->sample_count : 1, sizeof *value->ranges);
    if (value->ranges == NULL) {
        return fb_error_memory(made->context, err, "ranges of samples", made->sample_count * sizeof *value->ranges);
    }
    for (size_t i = 0; i < made->sample_count; i++) {
        FbSampleRange range;
        range.low = get_f32(reader);
        range.high = get_f32(reader);
        bool absent = isinf(range.low) && range.low > 0 && isinf(range.high) && range.high < 0;
        if (!absent && !(range.low <= range.high && range.low >= value->record->low && range.high <= value->record->high)) {
            return bad(reader, err, "the range of a sample lies outside the whole range");
        }
        value->ranges[i] = range;
    }
    return FB_OK;
}

static FbStatus get_value(Reader *reader, FbStatistics *made, FbError *err)
{
    if (left(reader) < VALUE_BYTES) {
        return bad(reader, err, "it ends within an activation");
    }
    FbValueStatistics *value = &made->values[made->value_count];
    size_t name_bytes = (size_t)get(reader, 4);
    if (name_bytes == 0 || name_bytes > NAME_MAX_BYTES || name_bytes + VALUE_BYTES - 4 > left(reader) ||
        memchr(reader->at, 0, name_bytes) != NULL) {
        return bad(reader, err, "the name of an activation");
    }
    made->value_count++; /* from here freed with the rest */
    value->name = fb_alloc(made->context, name_bytes + 1);
    value->record = fb_alloc(made->context, sizeof *value->record);
    if (value->name == NULL || value->record == NULL) {
        return fb_error_memory(made->context, err, "statistics of an activation", sizeof *value->record);
    }
    memcpy(value->name, reader->at, name_bytes);
    value->name[name_bytes] = '\0';
    reader->at += name_bytes;
    if (value > made->values && strcmp(value[-1].name, value->name) >= 0) {
        return bad(reader, err, "activations out of order");
    }
    fb_record_reset(value->record);
    FB_TRY(get_bins(reader, value->record, err));
    return get_ranges(reader, made, value, err);
}

static FbStatus get_samples(Reader *reader, FbStatistics *made, uint64_t count, FbError *err)
{
    enum { MARK = 8 + FB_DIGEST_BYTES };
    if (left(reader) / MARK < count) {
        return bad(reader, err, "it ends within the list of samples");
    }
    made->samples = fb_alloc_array(made->context, count > 0 ? (size_t)count : 1, sizeof *made->samples);
    if (made->samples == NULL) {
        return fb_error_memory(made->context, err, "list of samples", count * sizeof *made->samples);
    }
    for (size_t i = 0; i < count; i++) {
        made->samples[i].index = get(reader, 8);
        memcpy(made->samples[i].digest, reader->at, FB_DIGEST_BYTES);
        reader->at += FB_DIGEST_BYTES;
        if (i > 0 && fb_sample_mark_compare(&made->samples[i - 1], &made->samples[i]) >= 0) {
            return bad(reader, err, "samples out of order");
        }
    }
    made->sample_count = made->sample_capacity = (size_t)count;
    return FB_OK;
}

static FbStatus get_body(Reader *reader, FbStatistics *made, FbError *err)
{
    char data_hash[65] = {0}, computed[65];
    if (!is_hex(reader->at) || !is_hex(reader->at + 64)) {
        return bad(reader, err, "a hash");
    }
    memcpy(made->model_hash, reader->at, 64);
    memcpy(data_hash, reader->at + 64, 64);
    reader->at += 128;
    uint64_t selection = get(reader, 4), half = get(reader, 4);
    made->seed = get(reader, 8);
    made->rejected = get(reader, 8);
    uint64_t samples = get(reader, 8), values = get(reader, 8);
    if (selection > FB_SELECT_STRATIFIED || half != FB_RECORD_HALF) {
        return bad(reader, err, "a field out of range");
    }
    made->selection = (FbSelection)selection;
    FB_TRY(get_samples(reader, made, samples, err));
    if (left(reader) / VALUE_BYTES < values) {
        return bad(reader, err, "more activations than bytes");
    }
    made->values = fb_alloc_array(made->context, values > 0 ? (size_t)values : 1, sizeof *made->values);
    if (made->values == NULL) {
        return fb_error_memory(made->context, err, "statistics", values * sizeof *made->values);
    }
    memset(made->values, 0, (values > 0 ? (size_t)values : 1) * sizeof *made->values);
    for (uint64_t i = 0; i < values; i++) {
        FB_TRY(get_value(reader, made, err));
    }
    if (left(reader) != 0) {
        return bad(reader, err, "bytes after the last activation");
    }
    FB_TRY(fb_statistics_data_hash(made, computed, err));
    return strcmp(computed, data_hash) == 0 ? FB_OK : bad(reader, err, "the data hash is not that of its samples");
}

FbStatus fb_statistics_decode(FbContext *context, const uint8_t *bytes, size_t count, const char *what, FbStatistics **statistics,
                              FbError *err)
{
    *statistics = NULL;
    Reader reader = {.at = bytes, .end = bytes + count, .what = what};
    if (count < HEADER_BYTES + 32) {
        return bad(&reader, err, "it is too short");
    }
    if (memcmp(bytes, magic, sizeof magic) != 0) {
        return bad(&reader, err, "it does not begin with FBSTATS");
    }
    reader.at += sizeof magic;
    uint32_t version = (uint32_t)get(&reader, 4);
    if (version != FILE_VERSION || get(&reader, 4) != 0) {
        return fb_error_set(err, FB_ERR_UNSUPPORTED, "%s: statistics file of version %u, this program reads version %d; calibrate again",
                            what, version, FILE_VERSION);
    }
    uint8_t digest[32];
    FB_TRY(checksum(context, bytes, count - 32, digest, err));
    if (memcmp(digest, bytes + count - 32, 32) != 0) {
        return bad(&reader, err, "its checksum does not match (truncated or damaged)");
    }
    reader.end -= 32;
    FbStatistics *made = fb_alloc_zero(context, sizeof *made);
    if (made == NULL) {
        return fb_error_memory(context, err, "statistics", sizeof *made);
    }
    made->context = context;
    FbStatus status = get_body(&reader, made, err);
    if (status != FB_OK) {
        fb_statistics_free(made);
        return status;
    }
    *statistics = made;
    return FB_OK;
}

FbStatus fb_statistics_load(FbContext *context, const char *path, FbStatistics **statistics, FbError *err)
{
    char *bytes = NULL;
    size_t count = 0;
    *statistics = NULL;
    FB_TRY(fb_file_read_all(context, path, FILE_BYTES_MAX, &bytes, &count, err));
    char shown[200];
    FbStatus status = fb_statistics_decode(context, (const uint8_t *)bytes, count, fb_escape(path, shown, sizeof shown), statistics, err);
    fb_free(context, bytes);
    return status;
}

FbStatus fb_statistics_save(FbContext *context, const FbStatistics *statistics, const char *path, int overwrite, FbError *err)
{
    uint8_t *bytes = NULL;
    size_t count = 0;
    FB_TRY(fb_statistics_encode(statistics, &bytes, &count, err));
    FbOutput *output = NULL;
    FbStatus status = fb_output_create(context, path, overwrite != 0, &output, err);
    if (status == FB_OK) {
        status = fb_output_write(output, bytes, count, err);
        if (status == FB_OK) {
            status = fb_output_commit(output, NULL, err);
        } else {
            fb_output_abandon(output);
        }
    }
    fb_free(context, bytes);
    return status;
}
