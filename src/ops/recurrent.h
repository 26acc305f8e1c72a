/* What the parts of RNN, GRU and LSTM share. */
#ifndef FB_OPS_RECURRENT_H
#define FB_OPS_RECURRENT_H

#include "kernels/codes.h"
#include "kernels/functions.h"
#include "kernels/lstm_f32.h"
#include "kernels/product_f32.h"
#include "kernels/product_u8s8.h"
#include "kernels/scan.h"
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

/* ---- products of codes (DynamicQuantizeLSTM) ---- */

/* One direction's W or R: real = scale[c] * (code[k][c] - zero[c]), codes as s8. */
typedef struct FbCodedMatrix {
    size_t depth, cols;
    const float *scale;         /* [cols] */
    const int32_t *zero;        /* [cols]; NULL: all 0 */
    const int32_t *column_sum;  /* [cols]: of the codes */
    FbPackedU8S8 packed;        /* panels NULL: the codes are where `plain` says */
    const uint8_t *plain;       /* [depth, cols]; a byte ^ flip is the s8 code */
    uint8_t flip;               /* 0x80 for u8 codes, moved down by 128; else 0 */
} FbCodedMatrix;

/* Numbers per column of one matrix, in working memory that fb_coded_columns takes: fb_coded_columns_count floats each. */
typedef struct FbCodedColumns {
    float *scale;
    int32_t *zero, *sum;
} FbCodedColumns;
size_t fb_coded_columns_count(const FbRecurrentParams *params);
FbCodedColumns fb_coded_columns(const FbRecurrentParams *params, float **work);
/* Direction d of a weight [directions, depth, cols], not packed; scale and zero (NULL: 0) per direction or [directions, cols]. */
void fb_coded_matrix(FbCodedMatrix *matrix, const FbTensor *weight, const FbTensor *scale, const FbTensor *zero, int d, FbCodedColumns columns);
extern const FbLowering fb_recurrent_dynamic_lowering;

typedef struct FbCodedRow { float scale; int32_t zero; } FbCodedRow; /* grid of the u8 codes of a row of reals */

typedef struct FbRecurrentCodes {
    const FbProductU8S8Kernel *kernel; /* NULL: plain matrices */
    const FbCodesKernel *rows;
    const FbScanF32Kernel *scan;
    const FbLstmKernel *reals;
    FbCodedMatrix w[2], r[2];   /* per direction: depth input, hidden; cols 4 * hidden */
} FbRecurrentCodes;

void fb_recurrent_codes_tools(FbContext *context, FbRecurrentCodes *codes); /* fills rows, scan and reals */
/* Bytes between rows of codes: products read up to a multiple of 4. */
static inline size_t fb_coded_stride(size_t depth) { return (depth + FB_U8S8_STEP - 1) / FB_U8S8_STEP * FB_U8S8_STEP; }
/* u8 codes of x over its own range. Quantizes on this thread. */
FbCodedRow fb_coded_row(const FbRecurrentCodes *codes, const float *x, size_t count, uint8_t *to);
/* sums[rows][cols] = codes of a * codes of the matrix; rows <= the kernel's row tile. */
void fb_coded_multiply(const FbProductU8S8Kernel *kernel, const FbCodedMatrix *matrix, const uint8_t *const *a, size_t rows, int32_t *sums);
/* The real product of one row from its sums: to = ..., or to += ...; to may be where the sums are when it does not accumulate. */
void fb_coded_real(const FbLstmKernel *kernel, const FbCodedMatrix *matrix, const uint8_t *a, FbCodedRow row, const int32_t *sums, float *to,
                   bool accumulate);

/* ---- running ---- */

enum { FB_RECURRENT_INPUTS = 12 }; /* of the operator with the most, DynamicQuantizeLSTM */

/* What multiplies x and h: floats, or codes. */
typedef struct FbRecurrentProducts {
    const FbProductF32Kernel *kernel;
    const FbRecurrentWeights *weights; /* per direction */
    const FbRecurrentCodes *codes;     /* NULL: floats */
} FbRecurrentProducts;

typedef struct FbRecurrentSizes { int64_t time, batch, input, hidden, gates; } FbRecurrentSizes;

FbRecurrentSizes fb_recurrent_sizes(const FbRecurrentParams *params, const FbTensor *x);
/* Floats that the packed weights of one direction take, and packing them: w [gates * hidden, input], r [gates * hidden, hidden]. */
size_t fb_recurrent_packed_count(const FbProductF32Kernel *kernel, const FbRecurrentParams *params, int64_t input);
FbRecurrentWeights fb_recurrent_pack(const FbProductF32Kernel *kernel, const FbRecurrentParams *params, int64_t input, const float *w,
                                     const float *r, float *packed);
/* Floats of working memory without the packed weights. */
size_t fb_recurrent_work_count(const FbRecurrentProducts *products, const FbRecurrentParams *params, const FbTensor *x);
FbStatus fb_recurrent_run(const FbCall *call, const FbRecurrentProducts *products, float *work, FbError *err);
/* Parts of the operators' rows. The weights are [directions, gates * hidden, depth], or with the last two exchanged. */
FbStatus fb_recurrent_decode(const FbNode *node, FbArena *arena, void *params, FbError *err);
FbStatus fb_recurrent_infer(FbInfer *infer, bool exchanged, FbError *err);
uint64_t fb_recurrent_macs(const FbCall *call);
/* A constant operand's data, kept in the arena: at run time the call has its dims only. */
FbStatus fb_recurrent_keep(const FbPrepare *prepare, int i, FbTensor *kept, FbError *err);
/* The run of a lowering: FB_RECURRENT_INPUTS such operands stand in for the call's inputs where they have data; the scratch is the working memory. */
FbStatus fb_recurrent_run_kept(const FbCall *call, const FbTensor *kept, const FbRecurrentProducts *products, FbError *err);

typedef struct FbUnaryTable { FbUnaryF32 run[FB_UNARY_COUNT]; } FbUnaryTable; /* the functions of this CPU */

/* One step of a few sequences. Rows are `hidden` floats wide; gate rows gates * hidden. */
typedef struct FbCellStep {
    const FbRecurrentParams *params;
    const FbActivation *act;
    const FbUnaryTable *functions;
    const FbLstmKernel *lstm;   /* for the usual activations */
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
