/* Reading block-typed weights into panels of eight rows, and reading rows back. */
#include "ops/packed_blocks.h"

#include <pthread.h>
#include <string.h>

#include "base/checked.h"
#include "kernels/interleave.h"

enum { SPANS_MAX = 5, PANELS_AT_ONCE = 32, ELEMENT_BYTES_MAX = 2 };

_Static_assert((int)FB_PANEL_ROWS == (int)FB_INTERLEAVE_ROWS, "a panel is what is interleaved");

typedef struct BlockSpan { uint16_t offset, bytes, grain; } BlockSpan; /* `bytes` bytes of a block, in pieces of `grain` */
typedef struct BlockLayout { int number; BlockSpan spans[SPANS_MAX]; } BlockLayout;

/* The parts of a block in the order in which a panel has them; all bytes of the block, each once. */
static const BlockLayout layouts[] = {
    {1, {{0, 2, 2}}},                                             /* f16 */
    {30, {{0, 2, 2}}},                                            /* bf16 */
    {2, {{0, 2, 2}, {2, 16, 4}}},                                 /* q4_0: scale, codes */
    {3, {{0, 2, 2}, {2, 2, 2}, {4, 16, 4}}},                      /* q4_1: scale, minimum, codes */
    {6, {{0, 2, 2}, {2, 4, 4}, {6, 16, 4}}},                      /* q5_0: scale, fifth bits, codes */
    {7, {{0, 2, 2}, {2, 2, 2}, {4, 4, 4}, {8, 16, 4}}},           /* q5_1 */
    {8, {{0, 2, 2}, {2, 32, 4}}},                                 /* q8_0 */
    {10, {{80, 2, 2}, {82, 2, 2}, {0, 16, 4}, {16, 64, 4}}},      /* q2_K: d, dmin, scales and minima, codes */
    {11, {{108, 2, 2}, {96, 12, 4}, {0, 32, 4}, {32, 64, 4}}},    /* q3_K: d, scales, high bits, codes */
    {12, {{0, 2, 2}, {2, 2, 2}, {4, 12, 4}, {16, 128, 4}}},       /* q4_K: d, dmin, scales and minima, codes */
    {13, {{0, 2, 2}, {2, 2, 2}, {4, 12, 4}, {16, 32, 4}, {48, 128, 4}}}, /* q5_K: the same with fifth bits */
    {14, {{208, 2, 2}, {192, 16, 4}, {0, 128, 4}, {128, 64, 4}}}, /* q6_K: d, scales, low bits, high bits */
    {20, {{0, 2, 2}, {2, 16, 4}}},                                /* iq4_nl */
    {23, {{0, 2, 2}, {2, 2, 2}, {4, 4, 4}, {8, 128, 4}}},         /* iq4_xs: d, high scale bits, low ones, codes */
    {35, {{64, 2, 2}, {0, 64, 4}}},                               /* tq2_0: d, codes */
    {39, {{0, 1, 1}, {1, 16, 4}}},                                /* mxfp4: exponent, codes */
};

typedef struct PackedEntry {
    struct PackedEntry *next;
    struct PackedEntry *chain; /* of the same bucket, until the store is sealed */
    FbPlane plane;           /* whose bytes these are; holds references until the store is sealed */
    bool sealed;
    bool transposed;
    FbPackedBlocks packed;
} PackedEntry;

struct FbBlockStore {
    FbContext *context;
    PackedEntry *entries;
    PackedEntry **buckets;   /* of entries by plane: mixtures of experts have tens of thousands of weights */
    size_t bucket_count, used; /* a power of two; entries in buckets */
};

typedef struct BlockPacking { /* of one constant */
    const FbConst *constant;
    const FbPackedBlocks *packed;
    BlockLayout layout;
    bool transposed;
    uint8_t *scratch;        /* per slot */
    size_t scratch_bytes;
    pthread_mutex_t lock;
    FbStatus status;         /* the first failure */
    FbError err;
} BlockPacking;

static BlockLayout layout_of(const FbBlockType *type)
{
    for (size_t i = 0; i < sizeof layouts / sizeof *layouts; i++) {
        if (layouts[i].number == type->number) {
            return layouts[i];
        }
    }
    return (BlockLayout){type->number, {{0, (uint16_t)type->bytes, (uint16_t)type->bytes}}};
}

FbStatus fb_block_store_create(FbContext *context, FbBlockStore **store, FbError *err)
{
    *store = fb_alloc_zero(context, sizeof **store);
    if (*store == NULL) {
        return fb_error_memory(context, err, "packed weights", sizeof **store);
    }
    (*store)->context = context;
    return FB_OK;
}

static void free_entry(FbContext *context, PackedEntry *entry)
{
    fb_buffer_release(entry->plane.buffer);
    fb_source_release(entry->plane.source);
    fb_free(context, entry->packed.data);
    fb_free(context, entry);
}

void fb_block_store_free(FbBlockStore *store)
{
    while (store != NULL && store->entries != NULL) {
        PackedEntry *entry = store->entries;
        store->entries = entry->next;
        free_entry(store->context, entry);
    }
    if (store != NULL) {
        fb_free(store->context, store->buckets);
        fb_free(store->context, store);
    }
}

void fb_block_store_seal(FbBlockStore *store)
{
    for (PackedEntry *entry = store->entries; entry != NULL; entry = entry->next) {
        fb_buffer_release(entry->plane.buffer);
        fb_source_release(entry->plane.source);
        entry->plane = (FbPlane){0};
        entry->sealed = true;
    }
    fb_free(store->context, store->buckets);
    store->buckets = NULL;
    store->bucket_count = store->used = 0;
}

bool fb_packed_blocks_accepts(const FbConst *constant, bool transposed)
{
    if (constant == NULL || constant->encoding == NULL || constant->encoding->blocks == NULL || constant->dtype != FB_DTYPE_F32) {
        return false;
    }
    const FbBlockType *type = constant->encoding->blocks;
    const FbShape *shape = &constant->shape;
    return type->decode != NULL && fb_shape_elements(shape) > 0 && shape->rank >= 2 && shape->dims[shape->rank - 1] % type->elements == 0 &&
           (!transposed || (type->elements == 1 && type->bytes <= ELEMENT_BYTES_MAX && shape->rank == 2));
}

/* ---- one block column: the same block of eight rows ---- */

/* rows[r] + offset of each of eight blocks -> to. */
static void interleave(const BlockLayout *layout, const uint8_t *const *rows, size_t offset, uint8_t *to)
{
    for (int s = 0; s < SPANS_MAX && layout->spans[s].bytes > 0; s++) {
        const BlockSpan span = layout->spans[s];
        const size_t end = offset + span.offset + span.bytes;
        for (size_t at = offset + span.offset; at < end; at += span.grain) {
            for (size_t r = 0; r < FB_PANEL_ROWS; r++, to += span.grain) {
                if (span.grain == 4) { /* of a known size: a single move */
                    memcpy(to, rows[r] + at, 4);
                } else if (span.grain == 2) {
                    memcpy(to, rows[r] + at, 2);
                } else {
                    memcpy(to, rows[r] + at, span.grain);
                }
            }
        }
    }
}

/* Row r of eight interleaved blocks. */
static void extract(const BlockLayout *layout, const uint8_t *from, size_t r, uint8_t *to)
{
    for (int s = 0; s < SPANS_MAX && layout->spans[s].bytes > 0; s++) {
        const BlockSpan span = layout->spans[s];
        for (size_t at = 0; at < span.bytes; at += span.grain, from += (size_t)span.grain * FB_PANEL_ROWS) {
            memcpy(to + span.offset + at, from + r * span.grain, span.grain);
        }
    }
}

void fb_packed_blocks_decode(const FbPackedBlocks *packed, size_t matrix, size_t row, size_t first, size_t count, float *to)
{
    uint8_t raw[FB_BLOCK_BYTES_MAX * 2];
    const FbBlockType *type = packed->type;
    const BlockLayout layout = layout_of(type);
    const size_t bytes = (size_t)type->bytes, elements = (size_t)type->elements;
    const uint8_t *from = fb_packed_panel(packed, matrix, row / FB_PANEL_ROWS) + first * bytes * FB_PANEL_ROWS;
    const size_t most = sizeof raw / bytes;
    while (count > 0) {
        const size_t part = count < most ? count : most;
        for (size_t b = 0; b < part; b++, from += bytes * FB_PANEL_ROWS) {
            extract(&layout, from, row % FB_PANEL_ROWS, raw + b * bytes);
        }
        type->decode(raw, to, part);
        to += part * elements;
        count -= part;
    }
}

/* ---- a whole constant ---- */

static void note_failure(BlockPacking *p, FbStatus status, const FbError *err)
{
    pthread_mutex_lock(&p->lock);
    if (p->status == FB_OK) {
        p->status = status;
        p->err = *err;
    }
    pthread_mutex_unlock(&p->lock);
}

/* Eight rows as they lie in the file, one after the other. */
static FbStatus pack_panel(const BlockPacking *p, size_t matrix, size_t panel, uint8_t *scratch, FbError *err)
{
    const FbPackedBlocks *packed = p->packed;
    const size_t bytes = (size_t)packed->type->bytes, row_bytes = packed->row_blocks * bytes;
    const size_t row = panel * FB_PANEL_ROWS, rows = packed->rows - row < FB_PANEL_ROWS ? packed->rows - row : FB_PANEL_ROWS;
    const uint8_t *from[FB_PANEL_ROWS];
    uint8_t *to = packed->data + (matrix * packed->panels + panel) * packed->panel_bytes;
    memset(scratch + rows * row_bytes, 0, (FB_PANEL_ROWS - rows) * row_bytes);
    FB_TRY(fb_plane_read(&p->constant->planes[FB_PLANE_CODES], (matrix * packed->rows + row) * row_bytes, scratch, rows * row_bytes, err));
    for (size_t r = 0; r < FB_PANEL_ROWS; r++) {
        from[r] = scratch + r * row_bytes;
    }
    if (bytes == sizeof(uint16_t)) {
        fb_interleave_halves(from, packed->row_blocks, to);
        return FB_OK;
    }
    for (size_t b = 0; b < packed->row_blocks; b++, to += bytes * FB_PANEL_ROWS) {
        interleave(&p->layout, from, b * bytes, to);
    }
    return FB_OK;
}

/* Some panels of a matrix that has its depth outermost: each read takes a piece of a row for all of them. */
static FbStatus pack_panels_transposed(const BlockPacking *p, size_t first, FbError *err)
{
    uint8_t piece[PANELS_AT_ONCE * FB_PANEL_ROWS * ELEMENT_BYTES_MAX];
    const FbPackedBlocks *packed = p->packed;
    const size_t bytes = (size_t)packed->type->bytes, row = first * FB_PANEL_ROWS, group = bytes * FB_PANEL_ROWS;
    const size_t panels = packed->panels - first < PANELS_AT_ONCE ? packed->panels - first : PANELS_AT_ONCE;
    const size_t rows = packed->rows - row < panels * FB_PANEL_ROWS ? packed->rows - row : panels * FB_PANEL_ROWS;
    memset(piece, 0, sizeof piece);
    for (size_t k = 0; k < packed->depth; k++) {
        FB_TRY(fb_plane_read(&p->constant->planes[FB_PLANE_CODES], (k * packed->rows + row) * bytes, piece, rows * bytes, err));
        for (size_t i = 0; i < panels; i++) {
            memcpy(packed->data + (first + i) * packed->panel_bytes + k * group, piece + i * group, group);
        }
    }
    return FB_OK;
}

static void pack_panels(void *arg, size_t slot, size_t begin, size_t end)
{
    BlockPacking *p = arg;
    for (size_t unit = begin; unit < end; unit++) {
        FbError err = {0};
        const size_t matrix = unit / p->packed->panels, panel = unit % p->packed->panels;
        const FbStatus status = p->transposed ? pack_panels_transposed(p, unit * PANELS_AT_ONCE, &err)
                                              : pack_panel(p, matrix, panel, p->scratch + slot * p->scratch_bytes, &err);
        if (status != FB_OK) {
            note_failure(p, status, &err);
            return;
        }
    }
}

/* Sizes of a constant that fb_packed_blocks_accepts has accepted. */
static bool measure(const FbConst *constant, bool transposed, FbPackedBlocks *packed, size_t *bytes)
{
    const FbShape *shape = &constant->shape;
    const FbBlockType *type = constant->encoding->blocks;
    const int rank = shape->rank;
    const size_t total = (size_t)fb_shape_elements(shape);
    packed->type = type;
    packed->rows = (size_t)shape->dims[transposed ? rank - 1 : rank - 2];
    packed->depth = (size_t)shape->dims[transposed ? rank - 2 : rank - 1];
    packed->matrices = total / (packed->rows * packed->depth);
    packed->row_blocks = packed->depth / (size_t)type->elements;
    packed->panels = (packed->rows + FB_PANEL_ROWS - 1) / FB_PANEL_ROWS;
    return fb_mul_size(packed->row_blocks, (size_t)type->bytes * FB_PANEL_ROWS, &packed->panel_bytes) &&
           fb_mul_size(packed->panel_bytes, packed->panels, bytes) && fb_mul_size(*bytes, packed->matrices, bytes);
}

static FbStatus pack(FbContext *context, const FbConst *constant, bool transposed, FbPackedBlocks *packed, FbError *err)
{
    size_t bytes, scratch;
    const size_t slots = (size_t)fb_context_threads(context);
    if (!measure(constant, transposed, packed, &bytes) || !fb_mul_size(packed->panel_bytes, slots, &scratch)) {
        return fb_error_set(err, FB_ERR_UNSUPPORTED, "a weight that is too large");
    }
    BlockPacking p = {.constant = constant, .packed = packed, .layout = layout_of(packed->type), .transposed = transposed,
                      .scratch_bytes = packed->panel_bytes};
    packed->data = fb_alloc(context, bytes);
    p.scratch = fb_alloc(context, transposed ? 1 : scratch);
    if (packed->data == NULL || p.scratch == NULL) {
        fb_free(context, p.scratch);
        return fb_error_memory(context, err, "packed weights", bytes);
    }
    pthread_mutex_init(&p.lock, NULL);
    const size_t grain = packed->panel_bytes < 65536 ? 65536 / packed->panel_bytes + 1 : 1;
    if (transposed) {
        fb_parallel(context, pack_panels, &p, (packed->panels + PANELS_AT_ONCE - 1) / PANELS_AT_ONCE, 1);
    } else {
        fb_parallel(context, pack_panels, &p, packed->matrices * packed->panels, grain);
    }
    pthread_mutex_destroy(&p.lock);
    fb_free(context, p.scratch);
    if (p.status != FB_OK) {
        return fb_error_set(err, p.status, "%s", p.err.message);
    }
    return fb_check_cancel(context, err);
}

static bool same_plane(const FbPlane *a, const FbPlane *b)
{
    return a->source == b->source && a->buffer == b->buffer && a->offset == b->offset && a->bytes == b->bytes;
}

static PackedEntry **bucket_of(const FbBlockStore *store, const FbPlane *plane)
{
    uint64_t hash = ((uintptr_t)plane->source ^ (uintptr_t)plane->buffer) + plane->offset;
    hash = (hash ^ hash >> 31) * 0x9e3779b97f4a7c15u;
    return &store->buckets[(hash ^ hash >> 32) & (store->bucket_count - 1)];
}

/* Room for one more. */
static bool grow_buckets(FbBlockStore *store)
{
    const size_t count = store->bucket_count > 0 ? 2 * store->bucket_count : 64;
    if (store->used < store->bucket_count) {
        return true;
    }
    PackedEntry **buckets = fb_alloc_zero(store->context, count * sizeof(PackedEntry *));
    if (buckets == NULL) {
        return false;
    }
    fb_free(store->context, store->buckets);
    store->buckets = buckets;
    store->bucket_count = count;
    for (PackedEntry *entry = store->entries; entry != NULL; entry = entry->next) {
        if (!entry->sealed) {
            PackedEntry **bucket = bucket_of(store, &entry->plane);
            entry->chain = *bucket;
            *bucket = entry;
        }
    }
    return true;
}

FbStatus fb_block_store_get(FbBlockStore *store, const FbConst *constant, bool transposed, const FbPackedBlocks **packed, FbError *err)
{
    const FbPlane *plane = &constant->planes[FB_PLANE_CODES];
    FbPackedBlocks sizes = {0};
    size_t bytes;
    (void)measure(constant, transposed, &sizes, &bytes); /* an overflow is told by pack */
    if (!grow_buckets(store)) {
        return fb_error_memory(store->context, err, "packed weights", store->bucket_count * sizeof(PackedEntry *));
    }
    for (PackedEntry *entry = *bucket_of(store, plane); entry != NULL; entry = entry->chain) {
        const FbPackedBlocks *has = &entry->packed;
        if (same_plane(&entry->plane, plane) && entry->transposed == transposed && has->type == sizes.type && has->rows == sizes.rows &&
            has->depth == sizes.depth) {
            *packed = has;
            return FB_OK;
        }
    }
    PackedEntry *entry = fb_alloc_zero(store->context, sizeof *entry);
    if (entry == NULL) {
        return fb_error_memory(store->context, err, "packed weights", sizeof *entry);
    }
    entry->plane = *plane;
    entry->plane.buffer = fb_buffer_retain(plane->buffer);
    entry->plane.source = plane->source != NULL ? fb_source_retain(plane->source) : NULL;
    entry->transposed = transposed;
    FbStatus status = pack(store->context, constant, transposed, &entry->packed, err);
    if (status != FB_OK) {
        free_entry(store->context, entry);
        return status;
    }
    PackedEntry **bucket = bucket_of(store, plane);
    entry->chain = *bucket;
    *bucket = entry;
    entry->next = store->entries;
    store->entries = entry;
    store->used++;
    *packed = &entry->packed;
    return FB_OK;
}
