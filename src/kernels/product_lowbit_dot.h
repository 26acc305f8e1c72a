/* The low-bit product on instructions that multiply bytes and add four products to a lane of 32 bits; included after one of dot_lanes_*.h.
 * This file: blocks of 32, and what runs rows by panels; product_lowbit_dot_large.h: blocks of 256.
 *
 * A register of weights has four bytes of each column; what is signed in the file may come as codes that are DOT_SIGNED_ZERO larger. Codes that
 * are too large by `zero` are put right by the sum of A's codes. */
#ifndef FB_KERNELS_PRODUCT_LOWBIT_DOT_H
#define FB_KERNELS_PRODUCT_LOWBIT_DOT_H

#include "tensor/block_type.h"

enum { DOT_ROWS = 4, DOT_UNPACKED = 8 }; /* rows taken together; blocks unpacked for many rows */

typedef struct DotBlock {
    DotReals d, minimum;
    DotInts codes[8];
} DotBlock;

/* The bits of each byte from `shift` on that are in the mask; the mask has none that would come from the next byte. */
LOWBIT_INLINE DotInts dot_bits(DotInts x, int shift, int mask) { return dot_and(dot_right(x, shift), dot_set(mask * 0x01010101)); }
LOWBIT_INLINE DotInts dot_raised(DotInts x, int shift, int mask) { return dot_and(dot_left(x, shift), dot_set(mask * 0x01010101)); }
/* Signed bytes as the dot product wants them. */
LOWBIT_INLINE DotInts dot_from_signed(DotInts x) { return DOT_SIGNED_ZERO > 0 ? dot_xor(x, dot_set((int32_t)0x80808080u)) : x; }

/* Low nibbles are the first half, high nibbles the second. */
LOWBIT_INLINE void dot_nibbles(DotPanel w, size_t at, DotInts *codes)
{
    for (size_t i = 0; i < 4; i++) {
        const DotInts both = dot_load(w, at + 32 * i);
        codes[i] = dot_bits(both, 0, 15);
        codes[i + 4] = dot_bits(both, 4, 15);
    }
}

/* Bits 4 i .. 4 i + 3 of each lane become bit 4 of the four bytes of register i: a product puts a copy of them at each byte. */
LOWBIT_INLINE void dot_fifth_bits(DotInts bits, DotInts *codes)
{
    for (int i = 0; i < 8; i++) {
        const DotInts four = dot_and(i == 0 ? dot_left(bits, 4) : dot_right(bits, 4 * i - 4), dot_set(0xf0));
        codes[i] = dot_or(codes[i], dot_and(dot_mul(four, dot_set(0x00204081)), dot_set(0x10101010)));
    }
}

LOWBIT_INLINE void q4_0_unpack(DotPanel w, DotBlock *x)
{
    x->d = dot_halves(w, 0);
    dot_nibbles(w, 16, x->codes);
}
LOWBIT_INLINE void q4_1_unpack(DotPanel w, DotBlock *x)
{
    x->d = dot_halves(w, 0);
    x->minimum = dot_halves(w, 16);
    dot_nibbles(w, 32, x->codes);
}
LOWBIT_INLINE void q5_0_unpack(DotPanel w, DotBlock *x)
{
    x->d = dot_halves(w, 0);
    dot_nibbles(w, 48, x->codes);
    dot_fifth_bits(dot_load(w, 16), x->codes);
}
LOWBIT_INLINE void q5_1_unpack(DotPanel w, DotBlock *x)
{
    x->d = dot_halves(w, 0);
    x->minimum = dot_halves(w, 16);
    dot_nibbles(w, 64, x->codes);
    dot_fifth_bits(dot_load(w, 32), x->codes);
}
LOWBIT_INLINE void q8_0_unpack(DotPanel w, DotBlock *x)
{
    x->d = dot_halves(w, 0);
    for (size_t i = 0; i < 8; i++) {
        x->codes[i] = dot_from_signed(dot_load(w, 16 + 32 * i));
    }
}
LOWBIT_INLINE void dot_levels(DotInts table, DotInts *codes)
{
    for (int i = 0; i < 8; i++) {
        codes[i] = dot_look_up(table, codes[i]);
    }
}
LOWBIT_INLINE void iq4_nl_unpack(DotPanel w, DotBlock *x)
{
    x->d = dot_halves(w, 0);
    dot_nibbles(w, 16, x->codes);
    dot_levels(dot_from_signed(dot_table(fb_iq4_levels)), x->codes);
}
/* 2^(e - 128) as a product of two powers near its root: the smallest are denormal. Doubled values plus 16. */
LOWBIT_INLINE void mxfp4_unpack(DotPanel w, DotBlock *x)
{
    static const int8_t levels[16] = {16, 17, 18, 19, 20, 22, 24, 28, 16, 15, 14, 13, 12, 10, 8, 4};
    const DotInts e = dot_bytes(w, 0), half = dot_right(e, 1);
    const DotInts first = dot_add(half, dot_set(63)), second = dot_add(dot_sub(e, half), dot_set(63));
    x->d = dot_times(dot_as_reals(dot_left(first, 23)), dot_as_reals(dot_left(second, 23)));
    dot_nibbles(w, 8, x->codes);
    dot_levels(dot_table(levels), x->codes);
}

/* zero: 0, or a power of two from 8 on. */
LOWBIT_INLINE DotReals dot_row(const DotBlock *x, const FbCodes32 *a, DotReals c, const int zero, const bool minimum)
{
    DotInts sum = dot_16(dot_16(dot_set(0), x->codes, a->codes), x->codes + 4, a->codes + 16);
    if (zero > 0) {
        sum = dot_sub(sum, dot_left(dot_set(a->sum8), zero == 8 ? 0 : zero == 16 ? 1 : 4));
    }
    c = dot_fma(dot_times(x->d, dot_real(a->scale)), dot_to_reals(sum), c);
    return minimum ? dot_fma(x->minimum, dot_real(a->scaled_sum), c) : c;
}

/* ---- rows by panels ---- */

/* Panel i of a product, from `at` on; with the one behind it where registers have both. */
LOWBIT_INLINE DotPanel dot_panel(const FbProductLowbit *p, size_t i, size_t panel_bytes, size_t at)
{
    return (DotPanel){p->w + i * panel_bytes + at, i + 1 < p->panels ? panel_bytes : 0};
}
/* The same part of the panels that follow: it comes while rows pass by these. */
LOWBIT_INLINE void dot_fetch_next(const FbProductLowbit *p, size_t i, DotPanel w, size_t panel_bytes, size_t bytes)
{
    for (size_t side = DOT_PANELS; side < 2 * DOT_PANELS && i + side < p->panels; side++) {
        for (size_t at = 0; at < bytes; at += 64) {
            dot_fetch(w.w + side * panel_bytes + at);
        }
    }
}

/* Rows first .. first + 3, as far as there are; beyond that the first again, which nobody looks at. */
#define DOT_ROWS_OF(A, p, first, rows)                                                                          \
    const A *const a0 = (const A *)(const void *)((const char *)(p)->a + (first) * (p)->a_stride);              \
    const A *const a1 = (const A *)(const void *)((const char *)a0 + ((rows) > 1 ? (p)->a_stride : 0));         \
    const A *const a2 = (const A *)(const void *)((const char *)a0 + ((rows) > 2 ? 2 * (p)->a_stride : 0));     \
    const A *const a3 = (const A *)(const void *)((const char *)a0 + ((rows) > 3 ? 3 * (p)->a_stride : 0))
/* X(0), and X(1), X(2), X(3) when there are so many rows. */
#define DOT_EACH_ROW(X, rows) \
    X(0);                     \
    if ((rows) > 1) {         \
        X(1);                 \
    }                         \
    if ((rows) > 2) {         \
        X(2);                 \
    }                         \
    if ((rows) > 3) {         \
        X(3);                 \
    }
#define DOT_LOAD(r) s##r = dot_load_sums(c + (r) * p->c_stride, both)
#define DOT_STORE(r) dot_store_sums(c + (r) * p->c_stride, s##r, both)

/* Blocks [block, block + count), unpacked, with rows from `first` on. */
LOWBIT_INLINE void dot_some(const FbProductLowbit *p, const DotBlock *x, size_t block, size_t count, size_t first, float *c, bool both,
                         const size_t rows, const int zero, const bool minimum)
{
    DotReals s0 = dot_real(0), s1 = s0, s2 = s0, s3 = s0;
    DOT_ROWS_OF(FbCodes32, p, first, rows);
    if (block > 0) {
        DOT_EACH_ROW(DOT_LOAD, rows)
    }
    for (size_t b = 0; b < count; b++) {
#define DOT_ADD(r) s##r = dot_row(&x[b], a##r + block + b, s##r, zero, minimum)
        DOT_EACH_ROW(DOT_ADD, rows)
#undef DOT_ADD
    }
    DOT_EACH_ROW(DOT_STORE, rows)
}

LOWBIT_INLINE void dot_some_rows(const FbProductLowbit *p, const DotBlock *x, size_t block, size_t count, size_t first, float *c, bool both,
                              const int zero, const bool minimum)
{
    switch (p->rows - first) {
    case 1: dot_some(p, x, block, count, first, c, both, 1, zero, minimum); break;
    case 2: dot_some(p, x, block, count, first, c, both, 2, zero, minimum); break;
    case 3: dot_some(p, x, block, count, first, c, both, 3, zero, minimum); break;
    default: dot_some(p, x, block, count, first, c, both, DOT_ROWS, zero, minimum); break;
    }
}

/* One row passes by panels as they are. For more, some blocks of all panels and rows are done before the next, so that these parts of A stay in
 * the first cache; each is unpacked once, and C holds the chains in between. */
#define DOT_RUN(name)                                \
    static void name##_run(const FbProductLowbit *p) \
    {                                                \
        if (p->rows == 1) {                          \
            name##_one(p);                           \
        } else {                                     \
            name##_many(p);                          \
        }                                            \
    }

#define DOT_32(name, block_bytes, zero, minimum)                                                                \
    enum { name##_bytes = (block_bytes) * FB_LOWBIT_COLS };                                                     \
    static void name##_one(const FbProductLowbit *p)                                                            \
    {                                                                                                           \
        for (size_t i = 0; i < p->panels; i += DOT_PANELS) {                                                    \
            DotPanel w = dot_panel(p, i, p->blocks * name##_bytes, 0);                                          \
            DotReals sum = dot_real(0);                                                                         \
            for (size_t b = 0; b < p->blocks; b++, w.w += name##_bytes) {                                       \
                DotBlock x;                                                                                     \
                name##_unpack(w, &x);                                                                           \
                sum = dot_row(&x, (const FbCodes32 *)p->a + b, sum, zero, minimum);                             \
            }                                                                                                   \
            dot_store_sums(p->c + i * FB_LOWBIT_COLS, sum, w.gap > 0);                                          \
        }                                                                                                       \
    }                                                                                                           \
    static void name##_many(const FbProductLowbit *p)                                                           \
    {                                                                                                           \
        DotBlock x[DOT_UNPACKED];                                                                               \
        const size_t panel_bytes = p->blocks * name##_bytes;                                                    \
        for (size_t block = 0; block < p->blocks; block += DOT_UNPACKED) {                                      \
            const size_t count = p->blocks - block < DOT_UNPACKED ? p->blocks - block : DOT_UNPACKED;           \
            for (size_t i = 0; i < p->panels; i += DOT_PANELS) {                                                \
                DotPanel w = dot_panel(p, i, panel_bytes, block * name##_bytes);                                \
                dot_fetch_next(p, i, w, panel_bytes, count * name##_bytes);                                     \
                for (size_t b = 0; b < count; b++, w.w += name##_bytes) {                                       \
                    name##_unpack(w, &x[b]);                                                                    \
                }                                                                                               \
                for (size_t first = 0; first < p->rows; first += DOT_ROWS) {                                    \
                    float *c = p->c + i * FB_LOWBIT_COLS + first * p->c_stride;                                 \
                    dot_some_rows(p, x, block, count, first, c, w.gap > 0, zero, minimum);                      \
                }                                                                                               \
            }                                                                                                   \
        }                                                                                                       \
    }                                                                                                           \
    DOT_RUN(name)

DOT_32(q4_0, 18, 8, false)
DOT_32(q4_1, 20, 0, true)
DOT_32(q5_0, 22, 16, false)
DOT_32(q5_1, 24, 0, true)
DOT_32(q8_0, 34, DOT_SIGNED_ZERO, false)
DOT_32(iq4_nl, 18, DOT_SIGNED_ZERO, false)
DOT_32(mxfp4, 17, 16, false)

#include "kernels/product_lowbit_dot_large.h"

/* Of a row of the table, from q4_0 on. */
#define DOT_RUNS                                                                                                                      \
    q4_0_run, q4_1_run, q5_0_run, q5_1_run, q8_0_run, iq4_nl_run, mxfp4_run, q2_k_run, q3_k_run, q4_k_run, q5_k_run, q6_k_run, \
        iq4_xs_run, tq2_0_run

#endif
