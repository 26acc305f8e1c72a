/* Samples from lines of JSON: {"inputs": {"ids": [1, 2, 3], ...}, "label": 3, "position": 0}. Lines are found once and read one at a time. */
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/array.h"
#include "base/checked.h"
#include "base/file.h"
#include "base/json.h"
#include "base/text.h"
#include "data/dataset.h"
#include "tensor/dtype.h"

enum { LINE_BYTES_MAX = 16 << 20, STRIP_BYTES = 65536 };

typedef struct JsonLine {
    uint64_t offset;
    uint32_t bytes;
    uint32_t number; /* in the file, for messages */
} JsonLine;

typedef struct JsonlState {
    FbSource *source;
    FB_ARRAY(JsonLine) lines;
    char *buffer; /* the longest line */
} JsonlState;

static void jsonl_free(FbDataset *d)
{
    JsonlState *s = d->state;
    fb_source_release(s->source);
    fb_array_free(d->context, &s->lines);
    fb_free(d->context, s->buffer);
    fb_free(d->context, s);
}

/* Shape of nested arrays, read off the first element of each level; raggedness shows when they are walked. */
static FbStatus nested_shape(const char *where, const json_t *value, int *rank, int64_t dims[FB_RANK_MAX], FbError *err)
{
    *rank = 0;
    while (json_is_array(value)) {
        if (*rank == FB_RANK_MAX) {
            return fb_error_set(err, FB_ERR_FORMAT, "%s: arrays nested deeper than %d", where, FB_RANK_MAX);
        }
        dims[(*rank)++] = (int64_t)json_array_size(value);
        value = json_array_size(value) > 0 ? json_array_get(value, 0) : NULL;
    }
    return FB_OK;
}

static FbStatus store_number(const char *where, const json_t *value, FbTensor *out, int64_t index, FbError *err)
{
    FbDtypeKind kind = fb_dtype_info(out->dtype)->kind;
    void *to = (uint8_t *)out->data + (size_t)index * ((size_t)fb_dtype_bits(out->dtype) / 8);
    if (json_is_integer(value) || json_is_boolean(value)) {
        int64_t number = json_is_boolean(value) ? json_is_true(value) : (int64_t)json_integer_value(value);
        return fb_convert_elements(where, FB_DTYPE_S64, &number, out->dtype, to, 1, err);
    }
    if (json_is_real(value) && kind == FB_KIND_FLOAT) {
        double number = json_real_value(value);
        return fb_convert_elements(where, FB_DTYPE_F64, &number, out->dtype, to, 1, err);
    }
    return fb_error_set(err, FB_ERR_FORMAT, "%s: expected numbers of type %s", where, fb_dtype_name(out->dtype));
}

/* Walks the nested arrays in row-major order with an explicit stack: one index per level. */
static FbStatus store_nested(const char *where, const json_t *value, int rank, const int64_t *dims, FbTensor *out, FbError *err)
{
    const json_t *level[FB_RANK_MAX + 1];
    int64_t index[FB_RANK_MAX + 1] = {0}, written = 0;
    int depth = 0;
    level[0] = value;
    if (rank == 0) {
        return store_number(where, value, out, 0, err);
    }
    while (depth >= 0) {
        if (index[depth] == 0 && (!json_is_array(level[depth]) || (int64_t)json_array_size(level[depth]) != dims[depth])) {
            return fb_error_set(err, FB_ERR_FORMAT, "%s: rows of different lengths", where);
        }
        if (index[depth] == dims[depth]) {
            depth--;
            continue;
        }
        const json_t *item = json_array_get(level[depth], (size_t)index[depth]++);
        if (depth + 1 < rank) {
            depth++;
            level[depth] = item;
            index[depth] = 0;
        } else {
            FB_TRY(store_number(where, item, out, written++, err));
        }
    }
    return FB_OK;
}

static FbStatus read_input(FbDataset *d, const json_t *inputs, size_t port, const char *where, FbError *err)
{
    char place[200], shown[80];
    int rank = 0, lead = 0;
    int64_t dims[FB_RANK_MAX + 1] = {1};
    const char *name = fb_escape(d->ports[port].name, shown, sizeof shown);
    const json_t *value = json_object_get(inputs, d->ports[port].name);
    snprintf(place, sizeof place, "%s: input '%s'", where, name);
    if (value == NULL) {
        return fb_error_set(err, FB_ERR_FORMAT, "%s is missing", place);
    }
    FB_TRY(nested_shape(place, value, &rank, dims + 1, err));
    if (d->ports[port].rank == rank + 1) {
        lead = 1; /* the batch axis may be left out */
    }
    const int64_t *shape = dims + 1 - lead;
    FB_TRY(fb_dataset_check_shape(d, port, place, rank + lead, shape, err));
    int64_t elements = 0;
    if (!fb_product_dims(shape, rank + lead, &elements) || elements > LINE_BYTES_MAX || fb_dtype_bits(d->ports[port].dtype) < 8) {
        return fb_error_set(err, FB_ERR_FORMAT, "%s: no numbers of type %s can come from this line", place, fb_dtype_name(d->ports[port].dtype));
    }
    FB_TRY(fb_dataset_shape_input(d, port, d->ports[port].dtype, rank + lead, shape, err));
    return elements == 0 ? FB_OK : store_nested(place, value, rank, dims + 1, &d->inputs[port].tensor, err);
}

static FbStatus read_document(FbDataset *d, const json_t *document, const char *where, FbError *err)
{
    static const char *const keys[] = {"inputs", "label", "position"};
    if (!json_is_object(document)) {
        return fb_error_set(err, FB_ERR_FORMAT, "%s: expected an object", where);
    }
    if (json_object_get(document, "text") != NULL) {
        return fb_error_set(err, FB_ERR_UNSUPPORTED, "%s: text needs a tokenizer; give token ids: {\"inputs\": {...}}", where);
    }
    FB_TRY(fb_json_check_keys(document, keys, 3, where, err));
    const json_t *inputs = json_object_get(document, "inputs");
    if (!json_is_object(inputs)) {
        return fb_error_set(err, FB_ERR_FORMAT, "%s: \"inputs\" must be an object of arrays", where);
    }
    for (size_t i = 0; i < d->port_count; i++) {
        FB_TRY(read_input(d, inputs, i, where, err));
    }
    FB_TRY(fb_json_get_int(document, "label", where, 0, INT32_MAX, &d->sample.label, err));
    return fb_json_get_int(document, "position", where, 0, INT32_MAX, &d->sample.position, err);
}

static FbStatus jsonl_read(FbDataset *d, size_t index, FbError *err)
{
    JsonlState *s = d->state;
    const JsonLine *line = &s->lines.items[index];
    json_t *document = NULL;
    snprintf(d->name, sizeof d->name, "line %" PRIu32, line->number);
    d->sample.name = d->name;
    FB_TRY(fb_source_read(s->source, line->offset, s->buffer, line->bytes, err));
    FB_TRY(fb_json_parse(s->buffer, line->bytes, LINE_BYTES_MAX, d->name, &document, err));
    FbStatus status = read_document(d, document, d->name, err);
    json_decref(document);
    return status;
}

static const FbDatasetKind jsonl_kind = {"jsonl", "lines of JSON: inputs by name, label, position", jsonl_read, jsonl_free};

static FbStatus add_line(FbDataset *d, uint64_t offset, uint64_t bytes, size_t number, bool blank, FbError *err)
{
    JsonlState *s = d->state;
    if (blank) {
        return FB_OK;
    }
    if (bytes > LINE_BYTES_MAX || number > UINT32_MAX) {
        return fb_error_set(err, FB_ERR_BUDGET, "%s: line %zu is longer than %d bytes", d->folder, number, LINE_BYTES_MAX);
    }
    if (!fb_array_grow(d->context, &s->lines)) {
        return fb_error_memory(d->context, err, "list of lines", s->lines.count * sizeof(JsonLine));
    }
    s->lines.items[s->lines.count++] = (JsonLine){offset, (uint32_t)bytes, (uint32_t)number};
    return FB_OK;
}

/* Finds the line ends in strips; a line over the limit ends the scan at once. */
static FbStatus find_lines(FbDataset *d, FbError *err)
{
    JsonlState *s = d->state;
    char strip[STRIP_BYTES];
    uint64_t size = fb_source_bytes(s->source), start = 0;
    size_t number = 1;
    bool blank = true;
    for (uint64_t at = 0; at < size;) {
        size_t n = size - at < STRIP_BYTES ? (size_t)(size - at) : STRIP_BYTES;
        FB_TRY(fb_source_read(s->source, at, strip, n, err));
        FB_TRY(fb_check_cancel(d->context, err));
        for (size_t i = 0; i < n; i++) {
            if (strip[i] == '\n') {
                FB_TRY(add_line(d, start, at + i - start, number++, blank, err));
                start = at + i + 1;
                blank = true;
            } else if (strip[i] != ' ' && strip[i] != '\t' && strip[i] != '\r') {
                blank = false;
            }
        }
        at += n;
        if (at - start > LINE_BYTES_MAX) {
            return add_line(d, start, at - start, number, false, err);
        }
    }
    return add_line(d, start, size - start, number, blank, err);
}

FbStatus fb_dataset_open_jsonl(FbDataset *d, FbError *err)
{
    JsonlState *s = fb_alloc_zero(d->context, sizeof *s);
    if (s == NULL) {
        return fb_error_memory(d->context, err, "data set", sizeof *s);
    }
    d->kind = &jsonl_kind;
    d->state = s;
    FB_TRY(fb_source_open(d->context, d->folder, &s->source, err));
    FB_TRY(find_lines(d, err));
    size_t longest = 0;
    for (size_t i = 0; i < s->lines.count; i++) {
        longest = s->lines.items[i].bytes > longest ? s->lines.items[i].bytes : longest;
    }
    s->buffer = fb_alloc(d->context, longest + 1);
    if (s->buffer == NULL) {
        return fb_error_memory(d->context, err, "line", longest);
    }
    d->count = s->lines.count;
    if (d->count > 0) {
        /* The first line decides whether there are labels; each is checked when it is read. */
        d->sample.label = -1;
        FB_TRY(jsonl_read(d, 0, err));
        d->has_labels = d->sample.label >= 0;
    }
    return FB_OK;
}
