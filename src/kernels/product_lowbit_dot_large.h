/* The low-bit product of product_lowbit_dot.h: blocks of 256, with small scales by runs of 32 or 16, which multiply the sums of their runs. A
 * block goes by chunks, each of which is unpacked in parts of 32 elements. */
#ifndef FB_KERNELS_PRODUCT_LOWBIT_DOT_LARGE_H
#define FB_KERNELS_PRODUCT_LOWBIT_DOT_LARGE_H

typedef struct DotLarge {
    DotReals d, dmin;
    DotInts scales[16];  /* of runs */
    DotPairs pairs[8];   /* of runs: minima, or scales where codes are too large; the sums of A's codes are multiplied with them */
} DotLarge;

/* What the sums of A's codes are for. */
typedef enum DotSums { DOT_NO_SUMS = 0, DOT_MINIMA, DOT_ZERO } DotSums;

typedef struct DotForm { /* known to the compiler */
    int runs;            /* with a scale each, in a block: 8, 16, or 0: no scales */
    DotSums sums;
    int zero_bits;       /* DOT_ZERO: codes are 2^zero_bits too large */
} DotForm;

/* ---- heads: scales and minima; parts: codes of 32 elements, `chunk` and `part` of them ---- */

LOWBIT_INLINE void dot_scale_pairs(DotLarge *h, int count)
{
    for (int i = 0; i < count; i++) {
        h->pairs[i] = dot_pair(h->scales[2 * i], h->scales[2 * i + 1]);
    }
}

/* q4_K, q5_K: eight scales and minima of 6 bits in twelve bytes. */
LOWBIT_INLINE void dot_scales_head(DotPanel w, DotLarge *h)
{
    const DotInts a = dot_load(w, 32), b = dot_load(w, 64), c = dot_load(w, 96), upper = dot_set(0x30303030);
    const DotInts low[2] = {dot_bits(a, 0, 63), dot_or(dot_bits(c, 0, 15), dot_and(dot_right(a, 2), upper))};
    const DotInts minima[2] = {dot_bits(b, 0, 63), dot_or(dot_bits(c, 4, 15), dot_and(dot_right(b, 2), upper))};
    h->d = dot_halves(w, 0);
    h->dmin = dot_halves(w, 16);
    for (int i = 0; i < 8; i++) {
        h->scales[i] = dot_byte(low[i / 4], i % 4);
    }
    for (int i = 0; i < 4; i++) {
        h->pairs[i] = dot_pair(dot_byte(minima[i / 2], i % 2 * 2), dot_byte(minima[i / 2], i % 2 * 2 + 1));
    }
}

#define q4_k_head dot_scales_head
LOWBIT_INLINE void q4_k_part(DotPanel w, size_t chunk, int part, DotInts *codes)
{
    for (size_t i = 0; i < 8; i++) {
        codes[i] = dot_bits(dot_load(w, 128 + chunk * 256 + i * 32), 4 * part, 15);
    }
}

#define q5_k_head dot_scales_head
LOWBIT_INLINE void q5_k_part(DotPanel w, size_t chunk, int part, DotInts *codes)
{
    for (size_t i = 0; i < 8; i++) {
        const DotInts high = dot_right(dot_load(w, 128 + i * 32), (int)(2 * chunk) + part); /* the wanted bit in place 0 of each byte */
        const DotInts low = dot_bits(dot_load(w, 384 + chunk * 256 + i * 32), 4 * part, 15);
        codes[i] = dot_or(low, dot_raised(high, 4, 16));
    }
}

LOWBIT_INLINE void q6_k_head(DotPanel w, DotLarge *h)
{
    h->d = dot_halves(w, 0);
    for (int i = 0; i < 4; i++) {
        const DotInts four = dot_load(w, 16 + (size_t)i * 32);
        for (int k = 0; k < 4; k++) {
            h->scales[4 * i + k] = dot_signed_byte(four, k);
        }
    }
    dot_scale_pairs(h, 8);
}
LOWBIT_INLINE void q6_k_part(DotPanel w, size_t chunk, int part, DotInts *codes)
{
    const size_t low = 144 + chunk * 512 + (size_t)(part % 2) * 256, high = 1168 + chunk * 256;
    for (size_t i = 0; i < 8; i++) {
        const DotInts upper = dot_load(w, high + i * 32);
        codes[i] = dot_or(dot_bits(dot_load(w, low + i * 32), part / 2 * 4, 15),
                          part < 2 ? dot_raised(upper, 4 - 2 * part, 0x30) : dot_bits(upper, 2 * part - 4, 0x30));
    }
}

/* q2_K, q3_K: planes of two bits, scales by 16. */
LOWBIT_INLINE void q2_k_head(DotPanel w, DotLarge *h)
{
    h->d = dot_halves(w, 0);
    h->dmin = dot_halves(w, 16);
    for (int i = 0; i < 4; i++) {
        const DotInts both = dot_load(w, 32 + (size_t)i * 32), scales = dot_bits(both, 0, 15), minima = dot_bits(both, 4, 15);
        for (int k = 0; k < 4; k++) {
            h->scales[4 * i + k] = dot_byte(scales, k);
        }
        h->pairs[2 * i] = dot_pair(dot_byte(minima, 0), dot_byte(minima, 1));
        h->pairs[2 * i + 1] = dot_pair(dot_byte(minima, 2), dot_byte(minima, 3));
    }
}
LOWBIT_INLINE void q2_k_part(DotPanel w, size_t chunk, int part, DotInts *codes)
{
    for (size_t i = 0; i < 8; i++) {
        codes[i] = dot_bits(dot_load(w, 160 + chunk * 256 + i * 32), 2 * part, 3);
    }
}

/* Scale s: low nibble s of the first eight bytes (high nibble from 8 on), upper bits in bytes 8 to 11, four to a byte; 32 too large. */
LOWBIT_INLINE void q3_k_head(DotPanel w, DotLarge *h)
{
    const DotInts low[2] = {dot_load(w, 16), dot_load(w, 48)}, high = dot_load(w, 80);
    h->d = dot_halves(w, 0);
    for (int i = 0; i < 4; i++) {
        const DotInts upper = i < 2 ? dot_raised(high, 4 - 2 * i, 0x30) : dot_bits(high, 2 * i - 4, 0x30);
        const DotInts four = dot_or(dot_bits(low[i % 2], i / 2 * 4, 15), upper);
        for (int k = 0; k < 4; k++) {
            h->scales[4 * i + k] = dot_sub(dot_byte(four, k), dot_set(32));
        }
    }
    dot_scale_pairs(h, 8);
}
/* Codes with their third bit are 4 too large. */
LOWBIT_INLINE void q3_k_part(DotPanel w, size_t chunk, int part, DotInts *codes)
{
    for (size_t i = 0; i < 8; i++) {
        const DotInts high = dot_right(dot_load(w, 112 + i * 32), (int)(4 * chunk) + part);
        codes[i] = dot_or(dot_bits(dot_load(w, 368 + chunk * 256 + i * 32), 2 * part, 3), dot_raised(high, 2, 4));
    }
}

/* iq4_XS: levels; eight scales whose upper bits lie apart, 32 too large. */
LOWBIT_INLINE void iq4_xs_head(DotPanel w, DotLarge *h)
{
    const DotInts high = dot_shorts(w, 16), low = dot_load(w, 32);
    h->d = dot_halves(w, 0);
    for (int i = 0; i < 8; i++) {
        const DotInts upper = dot_left(dot_and(dot_right(high, 2 * i), dot_set(3)), 4);
        h->scales[i] = dot_sub(dot_or(dot_and(dot_right(low, 4 * i), dot_set(15)), upper), dot_set(32));
    }
    dot_scale_pairs(h, 4);
}
LOWBIT_INLINE void iq4_xs_part(DotPanel w, size_t chunk, int part, DotInts *codes)
{
    dot_nibbles(w, 64 + chunk * 256 + (size_t)part * 128, codes);
    dot_levels(dot_from_signed(dot_table(fb_iq4_levels)), codes);
}

LOWBIT_INLINE void tq2_0_head(DotPanel w, DotLarge *h)
{
    h->d = dot_halves(w, 0);
    for (int i = 0; i < 4; i++) {
        h->pairs[i] = dot_pair(dot_set(1), dot_set(1));
    }
}
LOWBIT_INLINE void tq2_0_part(DotPanel w, size_t chunk, int part, DotInts *codes)
{
    for (size_t i = 0; i < 8; i++) {
        codes[i] = dot_bits(dot_load(w, 16 + chunk * 256 + i * 32), 2 * part, 3);
    }
}

/* ---- rows ---- */

LOWBIT_INLINE DotInts dot_scaled(DotInts sum, DotInts run, DotInts scale) { return dot_add(sum, dot_mul(run, scale)); }

/* Part `part` of the eight of a block. */
LOWBIT_INLINE DotInts dot_part(const DotLarge *h, const DotInts *codes, const FbCodes256 *block, size_t part, DotInts sum, const DotForm form)
{
    const int8_t *a = block->codes + part * 32;
    if (form.runs == 0) {
        return dot_16(dot_16(sum, codes, a), codes + 4, a + 16);
    }
    if (form.runs == 8) {
        return dot_scaled(sum, dot_16(dot_16(dot_set(0), codes, a), codes + 4, a + 16), h->scales[part]);
    }
    sum = dot_scaled(sum, dot_16(dot_set(0), codes, a), h->scales[2 * part]);
    return dot_scaled(sum, dot_16(dot_set(0), codes + 4, a + 16), h->scales[2 * part + 1]);
}

LOWBIT_INLINE DotReals dot_finish(const DotLarge *h, const FbCodes256 *a, DotInts sum, DotReals c, const DotForm form)
{
    const DotReals scale = dot_real(a->scale);
    const int16_t *sums = form.runs == 16 ? a->sums16 : a->sums32;
    DotInts more = dot_set(0);
    for (int i = 0; form.sums != DOT_NO_SUMS && i < (form.runs == 16 ? 8 : 4); i++) {
        more = dot_pairs(more, h->pairs[i], sums + 2 * i);
    }
    if (form.sums == DOT_ZERO) {
        sum = dot_sub(sum, dot_left(more, form.zero_bits));
    }
    c = dot_fma(dot_times(h->d, scale), dot_to_reals(sum), c);
    return form.sums == DOT_MINIMA ? dot_minus(dot_times(h->dmin, scale), dot_to_reals(more), c) : c;
}

/* Block b, unpacked, with rows from `first` on. */
LOWBIT_INLINE void dot_large(const FbProductLowbit *p, const DotLarge *h, const DotInts *codes, size_t b, size_t first, float *c, bool both,
                          const size_t rows, const DotForm form)
{
    DotReals s0 = dot_real(0), s1 = s0, s2 = s0, s3 = s0;
    DotInts i0 = dot_set(0), i1 = i0, i2 = i0, i3 = i0;
    DOT_ROWS_OF(FbCodes256, p, first, rows);
    for (size_t part = 0; part < 8; part++) {
#define DOT_ADD(r) i##r = dot_part(h, codes + 8 * part, a##r + b, part, i##r, form)
        DOT_EACH_ROW(DOT_ADD, rows)
#undef DOT_ADD
    }
    if (b > 0) {
        DOT_EACH_ROW(DOT_LOAD, rows)
    }
#define DOT_FINISH(r) s##r = dot_finish(h, a##r + b, i##r, s##r, form)
    DOT_EACH_ROW(DOT_FINISH, rows)
    DOT_EACH_ROW(DOT_STORE, rows)
}
LOWBIT_INLINE void dot_large_rows(const FbProductLowbit *p, const DotLarge *h, const DotInts *codes, size_t b, size_t first, float *c,
                               bool both, const DotForm form)
{
    switch (p->rows - first) {
    case 1: dot_large(p, h, codes, b, first, c, both, 1, form); break;
    case 2: dot_large(p, h, codes, b, first, c, both, 2, form); break;
    case 3: dot_large(p, h, codes, b, first, c, both, 3, form); break;
    default: dot_large(p, h, codes, b, first, c, both, DOT_ROWS, form); break;
    }
}

#define DOT_ONE_PART(name, parts, part)                                \
    do {                                                               \
        DotInts x[8];                                                  \
        name##_part(w, chunk, part, x);                                \
        sum = dot_part(&h, x, a, chunk * (parts) + (part), sum, form); \
    } while (0)
#define DOT_ONE_2(name) DOT_ONE_PART(name, 2, 0); DOT_ONE_PART(name, 2, 1)
#define DOT_ONE_4(name) DOT_ONE_PART(name, 4, 0); DOT_ONE_PART(name, 4, 1); DOT_ONE_PART(name, 4, 2); DOT_ONE_PART(name, 4, 3)
#define DOT_UNPACK_PART(name, parts, part) name##_part(w, chunk, part, codes + 8 * (chunk * (parts) + (part)))
#define DOT_UNPACK_2(name) DOT_UNPACK_PART(name, 2, 0); DOT_UNPACK_PART(name, 2, 1)
#define DOT_UNPACK_4(name)                                             \
    DOT_UNPACK_PART(name, 4, 0); DOT_UNPACK_PART(name, 4, 1);          \
    DOT_UNPACK_PART(name, 4, 2); DOT_UNPACK_PART(name, 4, 3)

/* n: parts of a chunk; then the form. */
#define DOT_256(name, block_bytes, n, ...)                                                                      \
    enum { name##_bytes = (block_bytes) * FB_LOWBIT_COLS };                                                     \
    static void name##_one(const FbProductLowbit *p)                                                            \
    {                                                                                                           \
        const DotForm form = {__VA_ARGS__};                                                                     \
        for (size_t i = 0; i < p->panels; i += DOT_PANELS) {                                                    \
            DotPanel w = dot_panel(p, i, p->blocks * name##_bytes, 0);                                          \
            const FbCodes256 *a = p->a;                                                                         \
            DotReals c = dot_real(0);                                                                           \
            for (size_t b = 0; b < p->blocks; b++, w.w += name##_bytes, a++) {                                  \
                DotLarge h;                                                                                     \
                DotInts sum = dot_set(0);                                                                       \
                name##_head(w, &h);                                                                             \
                for (size_t chunk = 0; chunk < 8 / (n); chunk++) {                                              \
                    DOT_ONE_##n(name);                                                                          \
                }                                                                                               \
                c = dot_finish(&h, a, sum, c, form);                                                            \
            }                                                                                                   \
            dot_store_sums(p->c + i * FB_LOWBIT_COLS, c, w.gap > 0);                                            \
        }                                                                                                       \
    }                                                                                                           \
    static void name##_unpack(DotPanel w, DotLarge *h, DotInts *codes)                                     \
    {                                                                                                           \
        name##_head(w, h);                                                                                      \
        for (size_t chunk = 0; chunk < 8 / (n); chunk++) {                                                      \
            DOT_UNPACK_##n(name);                                                                               \
        }                                                                                                       \
    }                                                                                                           \
    static void name##_many(const FbProductLowbit *p)                                                           \
    {                                                                                                           \
        const DotForm form = {__VA_ARGS__};                                                                     \
        const size_t panel_bytes = p->blocks * name##_bytes;                                                    \
        DotLarge h;                                                                                             \
        DotInts codes[64];                                                                                    \
        for (size_t b = 0; b < p->blocks; b++) {                                                                \
            for (size_t i = 0; i < p->panels; i += DOT_PANELS) {                                                \
                const DotPanel w = dot_panel(p, i, panel_bytes, b * name##_bytes);                              \
                dot_fetch_next(p, i, w, panel_bytes, name##_bytes);                                             \
                name##_unpack(w, &h, codes);                                                                    \
                for (size_t first = 0; first < p->rows; first += DOT_ROWS) {                                    \
                    float *c = p->c + i * FB_LOWBIT_COLS + first * p->c_stride;                                 \
                    dot_large_rows(p, &h, codes, b, first, c, w.gap > 0, form);                                 \
                }                                                                                               \
            }                                                                                                   \
        }                                                                                                       \
    }                                                                                                           \
    DOT_RUN(name)

DOT_256(q2_k, 84, 4, 16, DOT_MINIMA, 0)
DOT_256(q3_k, 110, 4, 16, DOT_ZERO, 2)
DOT_256(q4_k, 144, 2, 8, DOT_MINIMA, 0)
DOT_256(q5_k, 176, 2, 8, DOT_MINIMA, 0)
DOT_256(q6_k, 210, 4, 16, DOT_ZERO, 5)
DOT_256(iq4_xs, 136, 2, 8, DOT_SIGNED_ZERO > 0 ? DOT_ZERO : DOT_NO_SUMS, 7)
DOT_256(tq2_0, 66, 4, 0, DOT_ZERO, 0)

#endif
