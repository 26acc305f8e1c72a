/* Strided copies: dimensions are merged where both sides allow it, then the innermost one is copied as bytes, as a blocked transpose or
 * element by element. */
#include "ops/strided_copy.h"

#include <string.h>

enum {
    BLOCK = 16,             /* rows and columns of a transpose block: 16 x 4 bytes is one cache line */
    CHUNK = 16384,          /* elements of the innermost dimension per piece of work */
    SHORT = 32,             /* an innermost dimension below this is done together with the next one */
    GRAIN_BYTES = 1 << 16   /* bytes per piece of parallel work */
};

typedef struct CopyPlan {
    FbStridedCopy copy;     /* merged; the last dimension is the innermost of `to` */
    size_t width;           /* bytes of one element */
    const char *from;
    char *to;
    int across;             /* >= 0: the dimension that is innermost in `from`, swapped with the last one by blocks */
    int outer[FB_COPY_RANK_MAX];
    int outer_rank;
    bool tall;              /* a piece is the last two dimensions; the last one is short */
    int64_t chunk, chunks;  /* the last dimension (tall: the one before it) is cut into chunks */
} CopyPlan;

void fb_row_major_strides(const int64_t *dims, int rank, int64_t *strides)
{
    int64_t stride = 1;
    for (int i = rank - 1; i >= 0; i--) {
        strides[i] = stride;
        stride *= dims[i];
    }
}

/* Drops dimensions of 1, orders by descending stride of `to`, joins neighbours that are contiguous on both sides. */
static void merge_dimensions(FbStridedCopy *copy)
{
    int rank = 0;
    for (int i = 0; i < copy->rank; i++) {
        if (copy->dims[i] == 1) {
            continue;
        }
        int64_t dim = copy->dims[i], from = copy->from_stride[i], to = copy->to_stride[i];
        int at = rank++;
        for (; at > 0 && copy->to_stride[at - 1] < to; at--) {
            copy->dims[at] = copy->dims[at - 1];
            copy->from_stride[at] = copy->from_stride[at - 1];
            copy->to_stride[at] = copy->to_stride[at - 1];
        }
        copy->dims[at] = dim;
        copy->from_stride[at] = from;
        copy->to_stride[at] = to;
    }
    int kept = 0;
    for (int i = 0; i < rank; i++) {
        bool joins = kept > 0 && copy->from_stride[kept - 1] == copy->from_stride[i] * copy->dims[i] &&
                     copy->to_stride[kept - 1] == copy->to_stride[i] * copy->dims[i];
        int at = joins ? kept - 1 : kept++;
        copy->dims[at] = joins ? copy->dims[at] * copy->dims[i] : copy->dims[i];
        copy->from_stride[at] = copy->from_stride[i];
        copy->to_stride[at] = copy->to_stride[i];
    }
    if (kept == 0) {
        copy->dims[0] = copy->from_stride[0] = copy->to_stride[0] = 1;
        kept = 1;
    }
    copy->rank = kept;
}

/* Inlined with a constant width, the memcpy becomes one move. */
static inline void copy_line(size_t width, const char *from, ptrdiff_t from_step, char *to, ptrdiff_t to_step, int64_t count)
{
    for (int64_t i = 0; i < count; i++) {
        memcpy(to + i * to_step, from + i * from_step, width);
    }
}

static void copy_line_any(size_t width, const char *from, ptrdiff_t from_step, char *to, ptrdiff_t to_step, int64_t count)
{
    switch (width) {
    case 1: copy_line(1, from, from_step, to, to_step, count); break;
    case 2: copy_line(2, from, from_step, to, to_step, count); break;
    case 4: copy_line(4, from, from_step, to, to_step, count); break;
    case 8: copy_line(8, from, from_step, to, to_step, count); break;
    default: copy_line(width, from, from_step, to, to_step, count); break;
    }
}

/* Rows of a few elements. */
static inline void copy_rows(size_t width, const FbStridedCopy *copy, const char *from, char *to, int64_t rows)
{
    int last = copy->rank - 1;
    ptrdiff_t bytes = (ptrdiff_t)width, from_step = (ptrdiff_t)copy->from_stride[last] * bytes, to_step = (ptrdiff_t)copy->to_stride[last] * bytes;
    ptrdiff_t from_row = (ptrdiff_t)copy->from_stride[last - 1] * bytes, to_row = (ptrdiff_t)copy->to_stride[last - 1] * bytes;
    int64_t count = copy->dims[last];
    for (int64_t r = 0; r < rows; r++) {
        for (int64_t c = 0; c < count; c++) {
            memcpy(to + r * to_row + c * to_step, from + r * from_row + c * from_step, width);
        }
    }
}

static void copy_rows_any(size_t width, const FbStridedCopy *copy, const char *from, char *to, int64_t rows)
{
    switch (width) {
    case 1: copy_rows(1, copy, from, to, rows); break;
    case 2: copy_rows(2, copy, from, to, rows); break;
    case 4: copy_rows(4, copy, from, to, rows); break;
    case 8: copy_rows(8, copy, from, to, rows); break;
    default: copy_rows(width, copy, from, to, rows); break;
    }
}

/* to[r][c] = from[c][r]: rows are contiguous in `to`, columns in `from`. */
static inline void transpose(size_t width, const char *from, ptrdiff_t from_step, char *to, ptrdiff_t to_step, int64_t rows, int64_t cols)
{
    for (int64_t r0 = 0; r0 < rows; r0 += BLOCK) {
        int64_t r1 = r0 + BLOCK < rows ? r0 + BLOCK : rows;
        for (int64_t c0 = 0; c0 < cols; c0 += BLOCK) {
            int64_t c1 = c0 + BLOCK < cols ? c0 + BLOCK : cols;
            for (int64_t r = r0; r < r1; r++) {
                for (int64_t c = c0; c < c1; c++) {
                    memcpy(to + r * to_step + c * (ptrdiff_t)width, from + c * from_step + r * (ptrdiff_t)width, width);
                }
            }
        }
    }
}

static void transpose_any(size_t width, const char *from, ptrdiff_t from_step, char *to, ptrdiff_t to_step, int64_t rows, int64_t cols)
{
    switch (width) {
    case 1: transpose(1, from, from_step, to, to_step, rows, cols); break;
    case 2: transpose(2, from, from_step, to, to_step, rows, cols); break;
    case 4: transpose(4, from, from_step, to, to_step, rows, cols); break;
    case 8: transpose(8, from, from_step, to, to_step, rows, cols); break;
    default: transpose(width, from, from_step, to, to_step, rows, cols); break;
    }
}

static void copy_piece(const CopyPlan *plan, const char *from, char *to, int64_t chunk)
{
    const FbStridedCopy *copy = &plan->copy;
    int last = copy->rank - 1;
    ptrdiff_t width = (ptrdiff_t)plan->width;
    if (plan->tall) {
        int64_t first = chunk * plan->chunk, rows = copy->dims[last - 1] - first;
        from += first * (ptrdiff_t)copy->from_stride[last - 1] * width;
        to += first * (ptrdiff_t)copy->to_stride[last - 1] * width;
        copy_rows_any(plan->width, copy, from, to, rows < plan->chunk ? rows : plan->chunk);
        return;
    }
    ptrdiff_t from_step = (ptrdiff_t)copy->from_stride[last] * width, to_step = (ptrdiff_t)copy->to_stride[last] * width;
    int64_t begin = chunk * plan->chunk;
    int64_t count = copy->dims[last] - begin < plan->chunk ? copy->dims[last] - begin : plan->chunk;
    from += begin * from_step;
    to += begin * to_step;
    if (plan->across >= 0) {
        transpose_any(plan->width, from, from_step, to, (ptrdiff_t)copy->to_stride[plan->across] * width, copy->dims[plan->across], count);
    } else if (from_step == width && to_step == width) {
        memcpy(to, from, (size_t)count * plan->width);
    } else {
        copy_line_any(plan->width, from, from_step, to, to_step, count);
    }
}

static void copy_task(void *arg, size_t slot, size_t begin, size_t end)
{
    (void)slot;
    const CopyPlan *plan = arg;
    const FbStridedCopy *copy = &plan->copy;
    int64_t index[FB_COPY_RANK_MAX] = {0};
    int64_t chunk = (int64_t)begin % plan->chunks, rest = (int64_t)begin / plan->chunks;
    int64_t from = 0, to = 0;
    for (int i = plan->outer_rank - 1; i >= 0; i--) {
        int d = plan->outer[i];
        index[i] = rest % copy->dims[d];
        rest /= copy->dims[d];
        from += index[i] * copy->from_stride[d];
        to += index[i] * copy->to_stride[d];
    }
    ptrdiff_t width = (ptrdiff_t)plan->width;
    for (size_t n = begin; n < end; n++) {
        copy_piece(plan, plan->from + from * width, plan->to + to * width, chunk);
        if (++chunk < plan->chunks) {
            continue;
        }
        chunk = 0;
        for (int i = plan->outer_rank - 1; i >= 0; i--) {
            int d = plan->outer[i];
            from += copy->from_stride[d];
            to += copy->to_stride[d];
            if (++index[i] < copy->dims[d]) {
                break;
            }
            from -= index[i] * copy->from_stride[d];
            to -= index[i] * copy->to_stride[d];
            index[i] = 0;
        }
    }
}

static unsigned get_bits(int bits, const uint8_t *data, int64_t i)
{
    int per_byte = 8 / bits;
    return ((unsigned)data[i / per_byte] >> (i % per_byte * bits)) & ((1U << bits) - 1U);
}

static void put_bits(int bits, uint8_t *data, int64_t i, unsigned code)
{
    int per_byte = 8 / bits, shift = (int)(i % per_byte) * bits;
    unsigned mask = ((1U << bits) - 1U) << shift;
    data[i / per_byte] = (uint8_t)(((unsigned)data[i / per_byte] & ~mask) | (code << shift));
}

/* Sub-byte elements share bytes, so one thread writes them all. */
static void copy_packed(const FbStridedCopy *copy, const uint8_t *from, int64_t from_at, uint8_t *to, int64_t to_at)
{
    int64_t index[FB_COPY_RANK_MAX] = {0};
    for (;;) {
        put_bits(copy->bits, to, to_at, get_bits(copy->bits, from, from_at));
        int d = copy->rank - 1;
        for (; d >= 0; d--) {
            from_at += copy->from_stride[d];
            to_at += copy->to_stride[d];
            if (++index[d] < copy->dims[d]) {
                break;
            }
            from_at -= index[d] * copy->from_stride[d];
            to_at -= index[d] * copy->to_stride[d];
            index[d] = 0;
        }
        if (d < 0) {
            return;
        }
    }
}

static void choose_loops(CopyPlan *plan)
{
    FbStridedCopy *copy = &plan->copy;
    int last = copy->rank - 1;
    plan->across = -1;
    if (copy->to_stride[last] == 1 && copy->from_stride[last] != 1) {
        for (int i = 0; i < last; i++) {
            if (copy->from_stride[i] == 1) {
                plan->across = i;
            }
        }
    }
    plan->tall = plan->across < 0 && last > 0 && copy->dims[last] < SHORT;
    plan->outer_rank = 0;
    for (int i = 0; i < (plan->tall ? last - 1 : last); i++) {
        if (i != plan->across) {
            plan->outer[plan->outer_rank++] = i;
        }
    }
    plan->chunk = plan->across >= 0 ? 256 : plan->tall ? CHUNK / SHORT : CHUNK;
    plan->chunks = (copy->dims[plan->tall ? last - 1 : last] + plan->chunk - 1) / plan->chunk;
}

void fb_strided_copy(FbContext *context, const FbStridedCopy *copy, const void *from, int64_t from_first, void *to, int64_t to_first)
{
    for (int i = 0; i < copy->rank; i++) {
        if (copy->dims[i] == 0) {
            return;
        }
    }
    CopyPlan plan = {.copy = *copy};
    merge_dimensions(&plan.copy);
    if (copy->bits < 8) {
        copy_packed(&plan.copy, from, from_first, to, to_first);
        return;
    }
    plan.width = (size_t)copy->bits / 8;
    plan.from = (const char *)from + from_first * (int64_t)plan.width;
    plan.to = (char *)to + to_first * (int64_t)plan.width;
    choose_loops(&plan);
    int64_t pieces = plan.chunks;
    for (int i = 0; i < plan.outer_rank; i++) {
        pieces *= plan.copy.dims[plan.outer[i]];
    }
    int64_t last = plan.copy.dims[plan.copy.rank - 1], cut = plan.tall ? plan.copy.dims[plan.copy.rank - 2] : last;
    int64_t piece_bytes = (cut < plan.chunk ? cut : plan.chunk) * (int64_t)plan.width;
    piece_bytes *= plan.across >= 0 ? plan.copy.dims[plan.across] : plan.tall ? last : 1;
    int64_t grain = GRAIN_BYTES / piece_bytes > 1 ? GRAIN_BYTES / piece_bytes : 1;
    if (pieces <= grain) {
        copy_task(&plan, 0, 0, (size_t)pieces);
    } else {
        fb_parallel(context, copy_task, &plan, (size_t)pieces, (size_t)grain);
    }
}

void fb_copy_elements(int bits, const void *from, int64_t from_first, void *to, int64_t to_first, int64_t count)
{
    if (bits >= 8) {
        size_t width = (size_t)bits / 8;
        memcpy((char *)to + (size_t)to_first * width, (const char *)from + (size_t)from_first * width, (size_t)count * width);
        return;
    }
    for (int64_t i = 0; i < count; i++) {
        put_bits(bits, to, to_first + i, get_bits(bits, from, from_first + i));
    }
}
