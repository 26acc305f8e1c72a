/* Attention of query rows to one block of keys and values at a time, so that no row of scores is ever longer than a block (the online
 * softmax of Milakov and Gimelshein, arXiv:1805.02867).
 *
 * Blocks lie at fixed positions of the sequence, and a row's arithmetic takes nothing from the rows beside it: its bits depend neither on how
 * many rows work together, nor on how the prompt was cut, nor on threads or instruction set. Per block and row:
 *   score[j] = query . key[j] in one chain over depth; cap tanh(score / cap); + slope * (place of the key - place of the query)
 *   top = max(max, score);  total = total exp(max - top) + sum exp(score - top);  sum likewise, one chain over the keys that the row sees */
#ifndef FB_KERNELS_ATTENTION_F32_H
#define FB_KERNELS_ATTENTION_F32_H

#include "base/context.h"

enum { FB_ATTENTION_KEYS = 64 };

typedef struct FbAttentionRow {
    const float *query;    /* [depth], times the scale */
    float *sum;            /* [value_depth]; zeros before the first block */
    float max, total;      /* -INFINITY and 0 before the first block */
    float slope;           /* 0: none */
    float distance;        /* place of the block's first key less that of the query */
    uint32_t first, end;   /* the keys of this block that the row sees; first == end: none */
} FbAttentionRow;

typedef struct FbAttentionBlock {
    size_t depth, value_depth, row_count;
    FbAttentionRow *rows;
    const float *keys;     /* [depth][FB_ATTENTION_KEYS]; those that nobody sees may hold anything */
    const float *values;   /* [FB_ATTENTION_KEYS][value_depth]; likewise */
    float softcap;         /* 0: none */
    float *scores;         /* scratch: [row_count][FB_ATTENTION_KEYS] */
} FbAttentionBlock;

typedef struct FbAttentionKernel {
    const char *name;
    unsigned needs; /* FbCpu bits */
    void (*add)(const FbAttentionBlock *block);
    void (*finish)(const FbAttentionRow *row, size_t value_depth);        /* sum / total; NaN for a row that saw no key */
    void (*halves)(const uint16_t *from, float *to, size_t count);         /* f16 to float, exact */
    void (*codes)(const int8_t *from, float scale, float *to, size_t count);
    void (*codes_each)(const int8_t *from, const float *scale, float *to, size_t count); /* one scale per code */
    /* Pairs turned by an angle: y0 = c x0 - s x1, y1 = s x0 + c x1, each product rounded. Pair i is x[i] and x[pairs + i], or x[2 i] and
     * x[2 i + 1] when interleaved. y is not x. */
    void (*rotate)(const float *x, const float *cosine, const float *sine, size_t pairs, bool interleaved, float *y);
} FbAttentionKernel;

extern const FbAttentionKernel *const fb_attention_f32_kernels[]; /* best first, ends with scalar */
extern const size_t fb_attention_f32_kernel_count;
const FbAttentionKernel *fb_attention_f32_pick(unsigned cpu);

#endif
