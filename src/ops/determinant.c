/* Det: determinants of a stack of square matrices, by elimination with row exchanges in double. */
#include <math.h>

#include "ops/check.h"
#include "ops/elements.h"

static FbStatus infer_det(FbInfer *infer, FbError *err)
{
    FbShape shape = infer->inputs[0].shape;
    FB_TRY(fb_check_input_dtype(infer, 0, FB_MASK_FLOATS, err));
    FB_TRY(fb_check_rank(infer, 0, 2, FB_RANK_MAX, err));
    if (shape.rank >= 2) {
        int64_t rows = shape.dims[shape.rank - 2], cols = shape.dims[shape.rank - 1];
        if (rows >= 0 && cols >= 0 && rows != cols) {
            return fb_error_set(err, FB_ERR_FORMAT, "Det of matrices of %lld rows and %lld columns", (long long)rows, (long long)cols);
        }
        shape.rank -= 2;
    }
    infer->outputs[0].dtype = infer->inputs[0].dtype;
    infer->outputs[0].shape = shape;
    return FB_OK;
}

static size_t scratch_det(const FbCall *call)
{
    const FbTensor *x = call->inputs[0];
    int64_t n = x->dims[x->rank - 1];
    return fb_tensor_elements(call->outputs[0]) == 0 ? 0 : (size_t)(n * n) * sizeof(double); /* no matrix: n may be anything */
}

static double determinant(double *m, int64_t n)
{
    double product = 1;
    for (int64_t k = 0; k < n; k++) {
        int64_t pivot = k;
        for (int64_t r = k + 1; r < n; r++) {
            pivot = fabs(m[r * n + k]) > fabs(m[pivot * n + k]) ? r : pivot;
        }
        if (m[pivot * n + k] == 0) {
            return 0;
        }
        for (int64_t c = k; pivot != k && c < n; c++) {
            double swap = m[k * n + c];
            m[k * n + c] = m[pivot * n + c];
            m[pivot * n + c] = swap;
        }
        product *= pivot != k ? -m[k * n + k] : m[k * n + k];
        for (int64_t r = k + 1; r < n; r++) {
            double factor = m[r * n + k] / m[k * n + k];
            for (int64_t c = k + 1; c < n; c++) {
                m[r * n + c] = fma(-factor, m[k * n + c], m[r * n + c]);
            }
        }
    }
    return product;
}

static FbStatus run_det(const FbCall *call, FbError *err)
{
    const FbTensor *x = call->inputs[0];
    FbTensor *to = call->outputs[0];
    int64_t n = x->dims[x->rank - 1], count = fb_tensor_elements(to);
    double *matrix = call->scratch;
    if (x->dims[x->rank - 2] != n) {
        return fb_error_set(err, FB_ERR_FORMAT, "Det of matrices that are not square");
    }
    for (int64_t i = 0; i < count; i++) {
        fb_work_load(x->dtype, x->data, i * n * n, 1, FB_WORK_F64, matrix, (size_t)(n * n));
        double value = determinant(matrix, n);
        fb_work_store(to->dtype, to->data, i, FB_WORK_F64, &value, 1);
    }
    return FB_OK;
}

static const FbOp rows[] = {
    {.domain = "", .name = "Det", .summary = "determinant", .since = 11, .newest = FB_OPSET_NEWEST, .min_inputs = 1, .max_inputs = 1,
     .min_outputs = 1, .max_outputs = 1, .infer = infer_det, .scratch = scratch_det, .run = run_det},
};

const FbOpFamily fb_ops_determinant = {rows, sizeof rows / sizeof rows[0]};
