/* What the parts of RNN, GRU and LSTM share. */
#ifndef FB_OPS_RECURRENT_H
#define FB_OPS_RECURRENT_H

#include "kernels/functions.h"
#include "kernels/product_f32.h"
#include "ops/lowering.h"

typedef enum FbCell { FB_CELL_RNN = 0, FB_CELL_GRU, FB_CELL_LSTM } FbCell;

typedef enum FbActivationKind {
    FB_ACT_AFFINE = 0, FB_ACT_ELU, FB_ACT_HARD_SIGMOID, FB_ACT_LEAKY_RELU, FB_ACT_RELU, FB_ACT_SCALED_TANH, FB_ACT_SIGMOID, FB_ACT_SOFTPLUS,
    FB_ACT_SOFTSIGN, FB_ACT_TANH, FB_ACT_THRESHOLDED_RELU, FB_ACT_COUNT
} FbActivationKind;

typedef struct FbActivation { FbActivationKind kind; float alpha, beta; } FbActivation;

typedef struct FbRecurrentParams {
    FbCell cell;
    int gates;                  /* 1, 3 (z r h), 4 (i o f c) */
    int64_t hidden;
    int directions;             /* 1 or 2 */
    bool reverse;               /* direction 0 runs backwards */
    bool batch_first;           /* layout 1 */
    float clip;                 /* 0: none */
    bool linear_before_reset, input_forget;
    FbActivation act[2][3];     /* per direction: f, g, h */
} FbRecurrentParams;

/* Weights of one direction as panels of the product kernel. */
typedef struct FbRecurrentWeights {
    const float *w;             /* [input, gates * hidden] */
    const float *r;             /* [hidden, gates * hidden]; GRU: the z and r columns only */
    const float *r_hidden;      /* GRU: [hidden, hidden]; NULL otherwise */
} FbRecurrentWeights;

typedef struct FbRecurrentSizes { int64_t time, batch, input, hidden, gates; } FbRecurrentSizes;

FbRecurrentSizes fb_recurrent_sizes(const FbRecurrentParams *params, const FbTensor *x);
/* Floats that the packed weights of one direction take, and packing them: w [gates * hidden, input], r [gates * hidden, hidden]. */
size_t fb_recurrent_packed_count(const FbProductF32Kernel *kernel, const FbRecurrentParams *params, int64_t input);
FbRecurrentWeights fb_recurrent_pack(const FbProductF32Kernel *kernel, const FbRecurrentParams *params, int64_t input, const float *w,
                                     const float *r, float *packed);
/* Floats of working memory without the packed weights. */
size_t fb_recurrent_work_count(const FbProductF32Kernel *kernel, const FbRecurrentParams *params, const FbTensor *x);
FbStatus fb_recurrent_run(const FbCall *call, const FbProductF32Kernel *kernel, const FbRecurrentWeights weights[2], float *work, FbError *err);

typedef struct FbUnaryTable { FbUnaryF32 run[FB_UNARY_COUNT]; } FbUnaryTable; /* the functions of this CPU */

/* One step of a few sequences. Rows are `hidden` floats wide; gate rows gates * hidden. */
typedef struct FbCellStep {
    const FbRecurrentParams *params;
    const FbActivation *act;
    const FbUnaryTable *functions;
    size_t rows;
    const bool *active;         /* rows whose state changes */
    float *gate;                /* in: sums of products; out: garbage */
    float *h, *c;               /* the state; c LSTM only */
    float *spare;               /* [rows, hidden] */
    const float *bias;          /* [gates * hidden]: both biases added; GRU with linear_before_reset: the last part is the input bias */
    const float *bias_hidden;   /* GRU with linear_before_reset: [hidden] */
    const float *peephole;      /* LSTM: [3 * hidden] (i o f), or NULL */
    const float *r_hidden;      /* GRU */
    const FbProductF32Kernel *kernel;
} FbCellStep;
void fb_cell_step(const FbCellStep *step);

/* c[rows][c_stride] (+)= a[rows][depth] * panels[depth][cols], rows <= the kernel's row tile. */
void fb_recurrent_multiply(const FbProductF32Kernel *kernel, const float *const *a, size_t rows, size_t depth, const float *panels, size_t cols,
                           float *c, size_t c_stride, bool accumulate);

#endif
