/* CumSum and CumProd: running sums and products along one axis. Floats run in double and are rounded once per element. */
#include "ops/attribute.h"
#include "ops/check.h"
#include "ops/elements.h"

typedef struct CumulativeParams { bool exclusive, reverse, product; } CumulativeParams;

static FbStatus decode_cumulative(const FbNode *node, FbArena *arena, void *params, FbError *err)
{
    CumulativeParams *p = params;
    (void)arena;
    p->product = fb_node_is(node, "", "CumProd");
    FB_TRY(fb_attr_bool(node, "exclusive", false, &p->exclusive, err));
    return fb_attr_bool(node, "reverse", false, &p->reverse, err);
}

static FbStatus infer_cumulative(FbInfer *infer, FbError *err)
{
    FB_TRY(fb_check_input_dtype(infer, 0, FB_MASK_NUMBERS, err));
    FB_TRY(fb_check_input_dtype(infer, 1, FB_MASK(FB_DTYPE_S32) | FB_MASK(FB_DTYPE_S64), err));
    FB_TRY(fb_check_rank(infer, 1, 0, 1, err));
    fb_infer_same_as(infer, 0);
    return FB_OK;
}

/* Runs along one line of `length` elements, `stride` apart; first and step give the direction. */
static void run_line(const CumulativeParams *p, const FbTensor *from, FbTensor *to, int64_t first, int64_t stride, int64_t length)
{
    FbWork type = fb_work_of(from->dtype);
    type = type == FB_WORK_F32 ? FB_WORK_F64 : type;
    double real = p->product ? 1.0 : 0.0;
    uint64_t whole = p->product ? 1 : 0; /* wraps alike for signed and unsigned */
    for (int64_t i = 0; i < length; i++) {
        int64_t at = first + (p->reverse ? length - 1 - i : i) * stride;
        double before = real, x = 0;
        uint64_t whole_before = whole, u = 0;
        if (type == FB_WORK_F64) {
            fb_work_load(from->dtype, from->data, at, 1, type, &x, 1);
            real = p->product ? real * x : real + x;
            fb_work_store(to->dtype, to->data, at, type, p->exclusive ? &before : &real, 1);
        } else {
            fb_work_load(from->dtype, from->data, at, 1, type, &u, 1);
            whole = p->product ? whole * u : whole + u;
            fb_work_store(to->dtype, to->data, at, type, p->exclusive ? &whole_before : &whole, 1);
        }
    }
}

static FbStatus run_cumulative(const FbCall *call, FbError *err)
{
    const FbTensor *from = call->inputs[0], *axis_tensor = call->inputs[1];
    int axis = 0;
    if (fb_tensor_elements(axis_tensor) != 1) {
        return fb_error_set(err, FB_ERR_FORMAT, "%s takes one axis (input 1)", call->node->op_type);
    }
    FB_TRY(fb_axis_normalize(fb_tensor_int(axis_tensor, 0), from->rank, &axis, err));
    int64_t outer = 1, inner = 1;
    for (int d = 0; d < from->rank; d++) {
        outer *= d < axis ? from->dims[d] : 1;
        inner *= d > axis ? from->dims[d] : 1;
    }
    for (int64_t o = 0; o < outer; o++) {
        for (int64_t i = 0; i < inner; i++) {
            run_line(call->params, from, call->outputs[0], o * from->dims[axis] * inner + i, inner, from->dims[axis]);
        }
    }
    return FB_OK;
}

static const char *const names[] = {"exclusive", "reverse", NULL};

static const FbOp rows[] = {
    {.domain = "", .name = "CumProd", .summary = "running product along an axis", .since = 26, .newest = FB_OPSET_NEWEST, .min_inputs = 2,
     .max_inputs = 2, .min_outputs = 1, .max_outputs = 1, .params_bytes = sizeof(CumulativeParams), .decode = decode_cumulative,
     .infer = infer_cumulative, .run = run_cumulative, .attributes = names},
    {.domain = "", .name = "CumSum", .summary = "running sum along an axis", .since = 11, .newest = FB_OPSET_NEWEST, .min_inputs = 2,
     .max_inputs = 2, .min_outputs = 1, .max_outputs = 1, .params_bytes = sizeof(CumulativeParams), .decode = decode_cumulative,
     .infer = infer_cumulative, .run = run_cumulative, .attributes = names},
};

const FbOpFamily fb_ops_cumulative = {rows, sizeof rows / sizeof rows[0]};
