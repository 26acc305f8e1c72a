/* Numbers to codes and back, a run at a time: what QuantizeLinear, DequantizeLinear and Quant share. */
#ifndef FB_OPS_QUANT_CODE_H
#define FB_OPS_QUANT_CODE_H

#include "kernels/round_grid.h"
#include "ops/elements.h"
#include "ops/quant_layout.h"

/* The grid of codes. Integer codes lie in [low, high]; float codes (fp8, fp4) are the values of their type; table codes their levels. */
typedef struct FbGrid {
    FbDtype dtype;         /* storage of a code */
    bool whole;            /* integer codes */
    int32_t low, high;
    const float *levels;   /* table codes, ascending; NULL */
    int level_count;
    bool saturate;         /* float codes out of range: largest finite, else NaN or infinity */
    FbDtype precision;     /* of the division: F32, F16, BF16, or F64 for integers divided */
} FbGrid;

FbGrid fb_grid_of_dtype(FbDtype dtype);         /* precision F32, saturating */
bool fb_grid_of_code(const char *name, FbGrid *grid); /* a row of the code table; false: unknown */

/* One tensor with its scales and zero points (NULL: all 0). */
typedef struct FbQuantTensors {
    const FbTensor *from, *scale, *zero;
    FbTensor *to;
    FbGrid grid;
    FbQuantLayout layout;
    const FbGridF32Kernel *kernel;
} FbQuantTensors;

typedef enum FbQuantStep { FB_QUANT_TO_CODES = 0, FB_QUANT_FROM_CODES, FB_QUANT_ROUND } FbQuantStep;

/* All runs; parallel unless codes share bytes. */
void fb_quant_all(FbContext *context, const FbQuantTensors *tensors, FbQuantStep step);

#endif
