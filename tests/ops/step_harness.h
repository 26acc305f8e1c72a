/* Runs one operator's integer lowering as the executor would: prepare, bind and run in a context of its own, on exact-size memory but for
 * the few bytes behind codes that every value of the executor has. */
#ifndef FB_TESTS_STEP_HARNESS_H
#define FB_TESTS_STEP_HARNESS_H

#include "op_harness.h"
#include "ops/lowering.h"

enum { STEP_INPUTS_MAX = 6, STEP_SLACK = 3 };

typedef struct Step {
    OpTest test;                             /* its node, attributes and context */
    const FbTensor *inputs[STEP_INPUTS_MAX]; /* physical; a constant has dims and no data; then fused operands */
    int input_count;                         /* with the operands */
    FbConst *constants[STEP_INPUTS_MAX];
    FbType types[STEP_INPUTS_MAX];
    const FbCodeGrid *grids[STEP_INPUTS_MAX];
    FbCodeGrid x_grid, store_grid, operand_grid;
    FbPrepare prepare;                       /* all but context, arena, node, params */
    FbTensor output;                         /* dtype, dims, bytes */
} Step;

/* Codes with `scale` (and zero points) per index of `axis`, or one when scale_count is 1, as an encoded constant. Codes are values. */
FbConst *step_encoded(Step *step, const char *code, int rank, const int64_t *dims, const int32_t *codes, int axis, size_t scale_count,
                      const float *scale, const int32_t *zero);
/* A plain float constant. */
FbConst *step_floats(Step *step, int rank, const int64_t *dims, const float *values);
/* A tensor whose memory ends STEP_SLACK bytes behind its data. */
FbTensor *step_tensor(Step *step, FbDtype dtype, int rank, const int64_t *dims, const void *data);
/* True and the output in `out` (output.bytes), or false when the lowering does not accept. isa NULL: no cap. */
bool step_run(Step *step, const char *isa, int threads, void *out);
void step_end(Step *step); /* begin with op_test_begin(&step->test, ...) */

#endif
