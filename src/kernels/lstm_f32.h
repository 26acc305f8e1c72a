/* Rows of recurrent layers: one time step of an LSTM, and sums of codes as reals. Same bits on every row of the table. */
#ifndef FB_KERNELS_LSTM_F32_H
#define FB_KERNELS_LSTM_F32_H

#include "base/context.h"

/* With the usual activations, element by element:
 *   i, f, o = sigmoid(gate + bias);  g = tanh(gate + bias);  c = f * c + i * g;  h = o * tanh(c) */
typedef struct FbLstmRow {
    size_t hidden;
    const float *gate;           /* [4][hidden]: i o f g */
    const float *bias;           /* as gate; NULL: none */
    float *c, *h;
} FbLstmRow;

/* real[n] = (float)(sums[n] - a_zero * column_sum[n] - zero[n] * centered) * (a_scale * scale[n]), in integers modulo 2^32 */
typedef struct FbCodeSums {
    size_t count;
    const int32_t *sums;         /* of u8 codes of a times s8 codes of w */
    const int32_t *column_sum;   /* of w's codes */
    const int32_t *zero;         /* of w; NULL: 0 */
    int32_t a_zero, centered;    /* zero point of a; sum of a's codes less it, needed with `zero` */
    float a_scale;
    const float *scale;          /* of w */
    bool add;                    /* to += real; false: to = real, and `to` may be where the sums are */
    float *to;
} FbCodeSums;

typedef struct FbLstmKernel {
    const char *name;
    unsigned needs; /* FbCpu bits */
    void (*step)(const FbLstmRow *row);
    void (*reals)(const FbCodeSums *sums);
} FbLstmKernel;

extern const FbLstmKernel *const fb_lstm_kernels[]; /* best first, ends with scalar */
extern const size_t fb_lstm_kernel_count;
const FbLstmKernel *fb_lstm_pick(unsigned cpu);

#endif
