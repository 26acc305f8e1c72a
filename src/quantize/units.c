/* Units of encoding: the hash key, equal keys share their codes, rounding in parallel by ranges of the source. */
#include "quantize/units.h"

#include <stdio.h>

#include "base/sha256.h"
#include "quantize/weights.h"

enum { CHUNK = 1 << 18, PIECE = 1 << 14, GROUP = 1024 };

typedef struct Run {
    FbContext *context;
    float *buffer;   /* CHUNK elements */
    uint64_t done;   /* bytes of sources, each counted for the key and for the codes */
} Run;

FbStatus fb_units_push(FbContext *context, FbUnits *units, const char *name, const FbConst *from, FbConst *to, bool symmetric, FbError *err)
{
    if (!fb_array_grow(context, units)) {
        return fb_error_memory(context, err, "the queue of weights", sizeof(FbUnit));
    }
    units->items[units->count++] = (FbUnit){.name = name, .from = from, .to = to, .symmetric = symmetric};
    return FB_OK;
}

static uint64_t elements_of(const FbUnit *unit)
{
    return (uint64_t)fb_shape_elements(&unit->to->shape); /* fb_weight_prepare checked it */
}

static FbStatus read_chunk(Run *run, const FbUnit *unit, uint64_t first, size_t *count, FbError *err)
{
    uint64_t left = elements_of(unit) - first;
    *count = left < CHUNK ? (size_t)left : CHUNK;
    FB_TRY(fb_check_cancel(run->context, err));
    FB_TRY(fb_const_read_f32(run->context, unit->from, first, *count, run->buffer, err));
    run->done += *count * sizeof(float);
    fb_progress_step(run->context, run->done);
    return FB_OK;
}

/* ---- keys ---- */

static void add_plane(FbSha256 *hash, const FbPlane *plane)
{
    uint64_t bytes = plane->buffer != NULL ? plane->bytes : 0;
    fb_sha256_add(hash, &bytes, sizeof bytes);
    if (bytes > 0) {
        fb_sha256_add(hash, fb_buffer_data(plane->buffer), (size_t)bytes);
    }
}

static FbStatus add_elements(Run *run, const FbUnit *unit, FbSha256 *hash, FbError *err)
{
    size_t count = 0;
    for (uint64_t first = 0; first < elements_of(unit); first += count) {
        FB_TRY(read_chunk(run, unit, first, &count, err));
        fb_sha256_add(hash, run->buffer, count * sizeof(float));
    }
    return FB_OK;
}

static FbStatus make_key(Run *run, const FbUnit *unit, char key[65], FbError *err)
{
    const FbEncoding *encoding = unit->to->encoding;
    const FbShape *shape = &unit->to->shape;
    char head[160];
    int length = snprintf(head, sizeof head, "fewbit unit 1 " FB_UNIT_METHOD " %s grain %d axis %d block %lld symmetric %d rank %d",
                          encoding->code->name, (int)encoding->grain, encoding->axis, (long long)encoding->block, unit->symmetric, shape->rank);
    FbSha256 *hash = fb_sha256_create(run->context);
    if (hash == NULL) {
        return fb_error_memory(run->context, err, "a hash", 0);
    }
    fb_sha256_add(hash, head, (size_t)length + 1);
    fb_sha256_add(hash, shape->dims, (size_t)shape->rank * sizeof shape->dims[0]);
    add_plane(hash, &unit->to->planes[FB_PLANE_SCALE]);
    add_plane(hash, &unit->to->planes[FB_PLANE_ZERO]);
    FbStatus status = add_elements(run, unit, hash, err);
    if (status != FB_OK) {
        fb_sha256_drop(hash);
        return status;
    }
    fb_sha256_finish(hash, key);
    return FB_OK;
}

static FbStatus begin_run(FbContext *context, Run *run, FbError *err)
{
    *run = (Run){.context = context, .buffer = fb_alloc_array(context, CHUNK, sizeof *run->buffer)};
    return run->buffer != NULL ? FB_OK : fb_error_memory(context, err, "weights", CHUNK * sizeof *run->buffer);
}

FbStatus fb_unit_key(FbContext *context, const FbUnit *unit, char key[65], FbError *err)
{
    Run run;
    FB_TRY(begin_run(context, &run, err));
    FbStatus status = make_key(&run, unit, key, err);
    fb_free(context, run.buffer);
    return status;
}

/* ---- codes ---- */

typedef struct Encode { /* of one chunk */
    const FbConst *to;
    const float *scale, *x;
    const int32_t *zero; /* NULL: none */
    uint64_t first;
    uint8_t *codes;      /* of the whole constant */
} Encode;

/* Pieces begin at multiples of PIECE, so that no two threads share a byte of packed codes. */
static void encode_piece(void *arg, size_t slot, size_t begin, size_t end)
{
    const Encode *encode = arg;
    const FbEncoding *encoding = encode->to->encoding;
    int32_t codes[GROUP];
    (void)slot;
    for (size_t i = begin; i < end; i += GROUP) {
        size_t count = end - i < GROUP ? end - i : GROUP;
        fb_encoding_quantize(encoding, &encode->to->shape, encode->scale, encode->zero, encode->x + i, encode->first + i, count, codes);
        fb_weight_store_codes(encoding->code->storage, codes, encode->codes, encode->first + i, count);
    }
}

static FbStatus load_zeros(FbContext *context, const FbConst *to, int32_t **zeros, FbError *err)
{
    FbDtype storage = to->encoding->code->storage;
    FbShape shape = fb_encoding_scale_shape(to->encoding, &to->shape);
    size_t count = (size_t)fb_shape_elements(&shape);
    bool is_unsigned = fb_dtype_info(storage)->kind == FB_KIND_UNSIGNED;
    *zeros = NULL;
    if (!to->encoding->has_zero) {
        return FB_OK;
    }
    *zeros = fb_alloc_array(context, count, sizeof **zeros);
    if (*zeros == NULL) {
        return fb_error_memory(context, err, "zero points", count * sizeof **zeros);
    }
    int8_t narrow[GROUP];
    for (size_t first = 0; first < count; first += GROUP) {
        size_t part = count - first < GROUP ? count - first : GROUP;
        fb_unpack_codes(storage, fb_buffer_data(to->planes[FB_PLANE_ZERO].buffer), first, narrow, part);
        for (size_t i = 0; i < part; i++) {
            (*zeros)[first + i] = is_unsigned ? (int32_t)(uint8_t)narrow[i] : (int32_t)narrow[i];
        }
    }
    return FB_OK;
}

static FbStatus encode_unit(Run *run, const FbUnit *unit, FbError *err)
{
    FbPlane *plane = &unit->to->planes[FB_PLANE_CODES];
    FbBuffer *buffer = plane->bytes <= SIZE_MAX ? fb_buffer_create(run->context, (size_t)plane->bytes) : NULL;
    int32_t *zeros = NULL;
    if (buffer == NULL) {
        return fb_error_memory(run->context, err, "quantized weights", plane->bytes);
    }
    fb_buffer_release(plane->buffer); /* of a run that failed */
    plane->buffer = buffer;
    FB_TRY(load_zeros(run->context, unit->to, &zeros, err));
    Encode encode = {.to = unit->to, .scale = fb_buffer_data(unit->to->planes[FB_PLANE_SCALE].buffer), .x = run->buffer, .zero = zeros,
                     .codes = fb_buffer_data(buffer)};
    FbStatus status = FB_OK;
    size_t count = 0;
    for (; status == FB_OK && encode.first < elements_of(unit); encode.first += count) {
        status = read_chunk(run, unit, encode.first, &count, err);
        if (status == FB_OK) {
            fb_parallel(run->context, encode_piece, &encode, count, PIECE);
        }
    }
    fb_free(run->context, zeros);
    return status;
}

/* ---- the queue ---- */

static bool is_due(const FbUnit *unit, const bool *used)
{
    return unit->key[0] == '\0' && (used == NULL || used[unit->to->index]);
}

static const FbUnit *find_key(const FbUnits *units, const char *key)
{
    for (size_t i = 0; i < units->count; i++) {
        if (memcmp(units->items[i].key, key, sizeof units->items[i].key) == 0) {
            return &units->items[i];
        }
    }
    return NULL;
}

static FbStatus run_unit(Run *run, const FbUnits *units, FbUnit *unit, FbError *err)
{
    char key[65];
    FB_TRY(make_key(run, unit, key, err));
    const FbUnit *twin = find_key(units, key);
    if (twin != NULL) {
        unit->to->planes[FB_PLANE_CODES].buffer = fb_buffer_retain(twin->to->planes[FB_PLANE_CODES].buffer);
        run->done += elements_of(unit) * sizeof(float);
        fb_progress_step(run->context, run->done);
    } else {
        FB_TRY(encode_unit(run, unit, err));
    }
    memcpy(unit->key, key, sizeof key);
    return FB_OK;
}

FbStatus fb_units_run(FbContext *context, FbUnits *units, const bool *used, FbError *err)
{
    uint64_t total = 0;
    bool any = false;
    for (size_t i = 0; i < units->count; i++) {
        if (is_due(&units->items[i], used)) {
            total += 2 * elements_of(&units->items[i]) * sizeof(float);
            any = true;
        }
    }
    if (!any) {
        return FB_OK;
    }
    Run run;
    FB_TRY(begin_run(context, &run, err));
    FbStatus status = FB_OK;
    fb_progress_begin(context, "quantize", total);
    for (size_t i = 0; status == FB_OK && i < units->count; i++) {
        if (is_due(&units->items[i], used)) {
            status = run_unit(&run, units, &units->items[i], err);
        }
    }
    fb_progress_end(context);
    fb_free(context, run.buffer);
    return status;
}
