/* Shared checks of infer functions. */
#include "ops/check.h"

FbStatus fb_check_input_dtype(const FbInfer *infer, int i, FbDtypeMask mask, FbError *err)
{
    if (!fb_infer_has(infer, i) || infer->inputs[i].dtype == FB_DTYPE_NONE || (mask & FB_MASK(infer->inputs[i].dtype))) {
        return FB_OK;
    }
    return fb_error_set(err, FB_ERR_UNSUPPORTED, "%s does not take element type %s as input %d", infer->node->op_type,
                        fb_dtype_name(infer->inputs[i].dtype), i);
}

FbStatus fb_check_same_dtype(const FbInfer *infer, int i, int j, FbError *err)
{
    if (!fb_infer_has(infer, i) || !fb_infer_has(infer, j)) {
        return FB_OK;
    }
    FbDtype a = infer->inputs[i].dtype, b = infer->inputs[j].dtype;
    if (a == b || a == FB_DTYPE_NONE || b == FB_DTYPE_NONE) {
        return FB_OK;
    }
    return fb_error_set(err, FB_ERR_FORMAT, "%s has element type %s for input %d and %s for input %d, they must be equal", infer->node->op_type,
                        fb_dtype_name(a), i, fb_dtype_name(b), j);
}

FbStatus fb_check_rank(const FbInfer *infer, int i, int low, int high, FbError *err)
{
    if (!fb_infer_has(infer, i) || infer->inputs[i].shape.rank < 0) {
        return FB_OK;
    }
    int rank = infer->inputs[i].shape.rank;
    if (rank >= low && rank <= high) {
        return FB_OK;
    }
    return fb_error_set(err, FB_ERR_FORMAT, "%s has a tensor of rank %d as input %d, expected %d to %d", infer->node->op_type, rank, i, low, high);
}

void fb_infer_same_as(FbInfer *infer, int i)
{
    infer->outputs[0].dtype = infer->inputs[i].dtype;
    infer->outputs[0].shape = infer->inputs[i].shape;
}
