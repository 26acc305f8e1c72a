/* Rows of u8 codes; included once per instruction set. */
#include "kernels/codes.h"
#include "kernels/epilogue_math.h"

#define CODES_INLINE static inline __attribute__((always_inline))

static void codes_map_u8(const uint8_t *x, uint8_t *y, size_t count, const uint8_t table[256]) { fb_vb_map(x, y, count, table); }

/* Rows that are no multiple of 32 codes are taken two at a time. */
static void codes_map_rows(const uint8_t *x, size_t x_stride, uint8_t *y, size_t y_stride, size_t rows, size_t count, const uint8_t table[256])
{
    const size_t whole = count / 32 * 32, pair = count - whole >= FB_LANES ? FB_LANES : 0, rest = whole + pair;
    size_t r = 0;
    for (; r + 2 <= rows; r += 2, x += 2 * x_stride, y += 2 * y_stride) {
        fb_vb_map(x, y, whole, table);
        fb_vb_map(x + x_stride, y + y_stride, whole, table);
        if (pair) {
            fb_vb_map_pair(x + whole, y + whole, x + x_stride + whole, y + y_stride + whole, table);
        }
        for (size_t i = rest; i < count; i++) {
            y[i] = table[x[i]];
            y[y_stride + i] = table[x[x_stride + i]];
        }
    }
    if (r < rows) {
        fb_vb_map(x, y, count, table);
    }
}

static void codes_map_f32(const uint8_t *x, float *y, size_t count, const float table[256]) { fb_v_map(x, y, count, table); }

/* n in [1, 16] codes. */
CODES_INLINE FbVb codes_load(const uint8_t *x, size_t n) { return n == FB_LANES ? fb_vb_load(x) : fb_vb_load_n(x, n); }
CODES_INLINE FbVi codes_wide(const uint8_t *x, size_t n) { return n == FB_LANES ? fb_vi_load_bytes(x) : fb_vi_from_bytes(fb_vb_load_n(x, n)); }
CODES_INLINE void codes_keep(uint8_t *y, FbVb codes, size_t n)
{
    if (n == FB_LANES) {
        fb_vb_store(y, codes);
    } else {
        fb_vb_store_n(y, codes, n);
    }
}


/* What a store as codes needs, once per row. */
typedef struct CodesStore { FbVi zero; FbVb low, high; } CodesStore;

static inline CodesStore codes_store_of(const FbCodeGrid *grid)
{
    return (CodesStore){fb_vi_set(grid->zero), fb_vb_set((uint8_t)grid->low), fb_vb_set((uint8_t)grid->high)};
}
CODES_INLINE FbVb codes_of(FbV x, const CodesStore *store)
{
    return fb_vb_min(fb_vb_max(fb_vb_codes(x, store->zero), store->low), store->high);
}

static void codes_quantize(const float *x, uint8_t *y, size_t count, const FbCodeGrid *grid)
{
    const CodesStore store = codes_store_of(grid);
    const FbV scale = fb_v_set(grid->scale);
    size_t i = 0;
    for (; i + FB_LANES <= count; i += FB_LANES) {
        fb_vb_store(y + i, codes_of(fb_v_div(fb_v_load(x + i), scale), &store));
    }
    if (i < count) {
        fb_vb_store_n(y + i, codes_of(fb_v_div(fb_v_load_n(x + i, count - i), scale), &store), count - i);
    }
}

static void codes_dequantize(const uint8_t *x, float *y, size_t count, const FbCodeGrid *grid)
{
    const FbV scale = fb_v_set(grid->scale);
    const FbVi zero = fb_vi_set(grid->zero);
    size_t i = 0;
    for (; i + FB_LANES <= count; i += FB_LANES) {
        fb_v_store(y + i, fb_v_mul(fb_v_from_int(fb_vi_sub(fb_vi_load_bytes(x + i), zero)), scale));
    }
    if (i < count) {
        const FbVi codes = fb_vi_from_bytes(fb_vb_load_n(x + i, count - i));
        fb_v_store_n(y + i, fb_v_mul(fb_v_from_int(fb_vi_sub(codes, zero)), scale), count - i);
    }
}

/* ---- two operands ---- */

/* The kind of operand is a constant of the caller. */
typedef enum CodesForm { CODES_ROW, CODES_REALS, CODES_STILL } CodesForm;

static CodesForm codes_form(const FbCodesOperand *o) { return o->single ? CODES_STILL : o->codes ? CODES_ROW : CODES_REALS; }

/* What stands still over a row. */
typedef struct CodesPair {
    FbV a_still, b_still, a_scale, b_scale, scale;
    FbVi a_zero, b_zero;
    CodesStore store;
} CodesPair;

static float codes_still(const FbCodesOperand *o)
{
    return !o->single ? 0 : o->grid.scale * (o->codes ? (float)(o->codes[0] - o->grid.zero) : o->reals[0]);
}

static CodesPair codes_pair_of(const FbCodesBinary *r)
{
    return (CodesPair){.a_still = fb_v_set(codes_still(&r->a)), .b_still = fb_v_set(codes_still(&r->b)), .a_scale = fb_v_set(r->a.grid.scale),
                       .b_scale = fb_v_set(r->b.grid.scale), .scale = fb_v_set(r->after.grid.scale), .a_zero = fb_vi_set(r->a.grid.zero),
                       .b_zero = fb_vi_set(r->b.grid.zero), .store = codes_store_of(&r->after.grid)};
}

CODES_INLINE FbV codes_operand(const FbCodesOperand *o, CodesForm form, FbV still, FbV scale, FbVi zero, size_t i, size_t n)
{
    if (form == CODES_STILL) {
        return still;
    }
    if (form == CODES_REALS) {
        return fb_v_mul(n == FB_LANES ? fb_v_load(o->reals + i) : fb_v_load_n(o->reals + i, n), scale);
    }
    return fb_v_mul(fb_v_from_int(fb_vi_sub(codes_wide(o->codes + i, n), zero)), scale);
}

/* Elements [i, i + n) of the row; forms and flags are constants of the caller. */
CODES_INLINE void codes_pair(const FbCodesBinary *r, const CodesPair *p, CodesForm a, CodesForm b, bool multiply, bool plain, size_t i, size_t n)
{
    const FbV va = codes_operand(&r->a, a, p->a_still, p->a_scale, p->a_zero, i, n);
    const FbV vb = codes_operand(&r->b, b, p->b_still, p->b_scale, p->b_zero, i, n);
    FbV x = multiply ? fb_v_mul(va, vb) : fb_v_add(va, vb);
    if (!plain) {
        x = fb_epilogue_lanes(x, &r->after.real, 0, i, n);
    }
    if (r->after.codes) {
        codes_keep((uint8_t *)r->y + i, codes_of(fb_v_div(x, p->scale), &p->store), n);
    } else {
        fb_v_store_n((float *)r->y + i, x, n);
    }
}

#define CODES_PAIR_ROW(name, a, b, multiply, plain)                                      \
    static void name(const FbCodesBinary *r, const CodesPair *p)                         \
    {                                                                                    \
        size_t i = 0;                                                                    \
        for (; i + FB_LANES <= r->count; i += FB_LANES) {                                \
            codes_pair(r, p, a, b, multiply, plain, i, FB_LANES);                        \
        }                                                                                \
        if (i < r->count) {                                                              \
            codes_pair(r, p, a, b, multiply, plain, i, r->count - i);                    \
        }                                                                                \
    }
CODES_PAIR_ROW(codes_add_rows, CODES_ROW, CODES_ROW, false, true)
CODES_PAIR_ROW(codes_multiply_rows, CODES_ROW, CODES_ROW, true, true)
CODES_PAIR_ROW(codes_multiply_reals, CODES_ROW, CODES_REALS, true, true)
CODES_PAIR_ROW(codes_add_any, codes_form(&r->a), codes_form(&r->b), false, false)
CODES_PAIR_ROW(codes_multiply_any, codes_form(&r->a), codes_form(&r->b), true, false)
#undef CODES_PAIR_ROW

typedef void (*CodesPairRow)(const FbCodesBinary *r, const CodesPair *p);

static CodesPairRow codes_pair_row(const FbCodesBinary *r)
{
    const CodesForm a = codes_form(&r->a), b = codes_form(&r->b);
    const bool plain = r->after.codes && r->after.real.count == 0;
    if (plain && a == CODES_ROW && b == CODES_ROW) {
        return r->multiply ? codes_multiply_rows : codes_add_rows;
    }
    if (plain && r->multiply && a == CODES_ROW && b == CODES_REALS) {
        return codes_multiply_reals;
    }
    return r->multiply ? codes_multiply_any : codes_add_any;
}

/* An operand one row further on. */
CODES_INLINE void codes_next_row(FbCodesOperand *o)
{
    if (!o->single && o->codes) {
        o->codes += o->row_stride;
    } else if (!o->single) {
        o->reals += o->row_stride;
    }
}

static void codes_binary(const FbCodesBinary *r)
{
    const CodesPair pair = codes_pair_of(r);
    const CodesPairRow run = codes_pair_row(r);
    FbCodesBinary row = *r;
    for (size_t i = 0;;) {
        run(&row, &pair);
        if (++i >= r->rows) {
            break;
        }
        codes_next_row(&row.a);
        codes_next_row(&row.b);
        row.y = r->after.codes ? (void *)((uint8_t *)row.y + r->y_stride) : (void *)((float *)row.y + r->y_stride);
    }
    if (r->after.codes && r->after.table) {
        codes_map_rows(r->y, r->y_stride, r->y, r->y_stride, r->rows > 1 ? r->rows : 1, r->count, r->after.table);
    }
}

/* ---- pooling ---- */

/* Where the block of lanes that begins at c or, if it would pass the end, ends there, begins: recomputing a lane changes nothing. Rows of fewer
 * than sixteen channels have one short block. */
static inline size_t codes_block(size_t c, size_t channels, size_t *n)
{
    *n = channels < FB_LANES ? channels : FB_LANES;
    return channels - c < FB_LANES && channels >= FB_LANES ? channels - FB_LANES : c;
}

static void codes_max_pool(const FbCodesPool *p)
{
    for (size_t pixel = 0; pixel < p->pixels; pixel++) {
        const uint8_t *const *x = p->x + pixel * p->taps;
        uint8_t *y = (uint8_t *)p->y + pixel * p->y_stride;
        for (size_t begin = 0, n; begin < p->channels; begin += FB_LANES) {
            const size_t c = codes_block(begin, p->channels, &n);
            FbVb best = fb_vb_set(0);
            for (size_t t = 0; t < p->taps; t++) {
                if (x[t]) {
                    best = fb_vb_max(best, codes_load(x[t] + c, n));
                }
            }
            codes_keep(y + c, best, n);
        }
    }
}

static void codes_average_pool(const FbCodesPool *p)
{
    const CodesStore store = codes_store_of(&p->to);
    const FbV scale = fb_v_set(p->from.scale), unit = fb_v_set(p->to.scale);
    const FbVi zero = fb_vi_set(p->from.zero);
    for (size_t pixel = 0; pixel < p->pixels; pixel++) {
        const uint8_t *const *x = p->x + pixel * p->taps;
        const FbV divisor = fb_v_set((float)p->divisor[pixel]);
        for (size_t begin = 0, n; begin < p->channels; begin += FB_LANES) {
            const size_t c = codes_block(begin, p->channels, &n), at = pixel * p->y_stride + c;
            FbV sum = fb_v_set(0.0f);
            for (size_t t = 0; t < p->taps; t++) {
                if (x[t]) {
                    sum = fb_v_add(sum, fb_v_mul(fb_v_from_int(fb_vi_sub(codes_wide(x[t] + c, n), zero)), scale));
                }
            }
            const FbV mean = fb_v_div(sum, divisor);
            if (p->codes) {
                codes_keep((uint8_t *)p->y + at, codes_of(fb_v_div(mean, unit), &store), n);
            } else {
                fb_v_store_n((float *)p->y + at, mean, n);
            }
        }
    }
}

/* ---- memory orders ---- */

enum { CODES_SQUARE = 16 };

/* Sixteen times sixteen, in `a`. The bits of an element's place, row then column, turn left by one in each of four rounds. */
CODES_INLINE void codes_turn(FbVb a[CODES_SQUARE])
{
    FbVb b[CODES_SQUARE];
    for (int round = 0; round < 2; round++) {
        for (size_t i = 0; i < CODES_SQUARE / 2; i++) {
            b[2 * i] = fb_vb_zip_low(a[i], a[i + 8]);
            b[2 * i + 1] = fb_vb_zip_high(a[i], a[i + 8]);
        }
        for (size_t i = 0; i < CODES_SQUARE / 2; i++) {
            a[2 * i] = fb_vb_zip_low(b[i], b[i + 8]);
            a[2 * i + 1] = fb_vb_zip_high(b[i], b[i + 8]);
        }
    }
}

CODES_INLINE void codes_square(const uint8_t *x, size_t x_stride, uint8_t *y, size_t y_stride)
{
    FbVb a[CODES_SQUARE];
    for (size_t i = 0; i < CODES_SQUARE; i++) {
        a[i] = fb_vb_load(x + i * x_stride);
    }
    codes_turn(a);
    for (size_t i = 0; i < CODES_SQUARE; i++) {
        fb_vb_store(y + i * y_stride, a[i]);
    }
}

/* Where a square that begins at `at` must begin so as not to pass the end. */
CODES_INLINE size_t codes_inside(size_t at, size_t count) { return count - at < CODES_SQUARE ? count - CODES_SQUARE : at; }

/* Fewer than sixteen rows, columns side by side in y: each store runs into columns that are written after it. */
static void codes_transpose_few(const uint8_t *x, size_t x_stride, size_t rows, size_t cols, uint8_t *y)
{
    for (size_t c = 0; c < cols; c += CODES_SQUARE) {
        const size_t left = codes_inside(c, cols);
        FbVb a[CODES_SQUARE];
        for (size_t i = 0; i < CODES_SQUARE; i++) {
            a[i] = i < rows ? fb_vb_load(x + i * x_stride + left) : fb_vb_set(0);
        }
        codes_turn(a);
        for (size_t i = 0; i < CODES_SQUARE; i++) {
            if ((left + i) * rows + CODES_SQUARE <= cols * rows) {
                fb_vb_store(y + (left + i) * rows, a[i]);
            } else {
                fb_vb_store_n(y + (left + i) * rows, a[i], rows);
            }
        }
    }
}

static void codes_transpose(const uint8_t *x, size_t x_stride, size_t rows, size_t cols, uint8_t *y, size_t y_stride)
{
    if (rows < CODES_SQUARE && cols >= CODES_SQUARE && y_stride == rows) {
        codes_transpose_few(x, x_stride, rows, cols, y);
        return;
    }
    if (rows < CODES_SQUARE || cols < CODES_SQUARE) {
        for (size_t c = 0; c < cols; c++) {
            for (size_t r = 0; r < rows; r++) {
                y[c * y_stride + r] = x[r * x_stride + c];
            }
        }
        return;
    }
    for (size_t c = 0; c < cols; c += CODES_SQUARE) {
        const size_t left = codes_inside(c, cols);
        for (size_t r = 0; r < rows; r += CODES_SQUARE) {
            const size_t top = codes_inside(r, rows);
            codes_square(x + top * x_stride + left, x_stride, y + left * y_stride + top, y_stride);
        }
    }
}

const FbCodesKernel FB_ISA(fb_codes) = {FB_ISA_NAME,  FB_ISA_NEEDS,     codes_map_u8, codes_map_rows, codes_map_f32, codes_quantize, codes_dequantize,
                                        codes_binary, codes_max_pool, codes_average_pool, codes_transpose};
#undef CODES_INLINE
