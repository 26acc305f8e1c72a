/* QuantizeLinear, DequantizeLinear, DynamicQuantizeLinear, and fewbit's own Quant: to codes and back in one step. */
#include "ops/attribute.h"
#include "ops/check.h"
#include "ops/dynamic_range.h"
#include "ops/quant_code.h"

typedef struct QuantParams {
    int64_t axis, block;
    FbDtype output;       /* NONE: from the zero point (Q), from the scale (DQ) */
    FbDtype precision;    /* of Q's division; NONE: the scale's type */
    bool saturate;
    bool dynamic;         /* Quant: range of each run's data, per tensor, u8 */
    FbGrid grid;          /* Quant */
} QuantParams;

#define QUANT_CODES                                                                                                            \
    (FB_MASK(FB_DTYPE_U8) | FB_MASK(FB_DTYPE_S8) | FB_MASK(FB_DTYPE_U16) | FB_MASK(FB_DTYPE_S16) | FB_MASK_F8 | FB_MASK_SUB_BYTE)
#define QUANT_REALS (FB_MASK(FB_DTYPE_F32) | FB_MASK(FB_DTYPE_F16) | FB_MASK(FB_DTYPE_BF16))

static FbStatus decode_dtype(const FbNode *node, const char *name, FbDtypeMask allowed, FbDtype *out, FbError *err)
{
    int64_t number;
    FB_TRY(fb_attr_int(node, name, 0, &number, err));
    if (number < 0 || number >= FB_DTYPE_COUNT) {
        return fb_error_set(err, FB_ERR_FORMAT, "attribute '%s' holds %lld, which is no element type", name, (long long)number);
    }
    *out = (FbDtype)number;
    if (number && !(FB_MASK(*out) & allowed)) {
        return fb_error_set(err, FB_ERR_UNSUPPORTED, "attribute '%s' asks for element type %s", name, fb_dtype_name(*out));
    }
    return FB_OK;
}

static FbStatus decode_common(const FbNode *node, QuantParams *p, FbError *err)
{
    FB_TRY(fb_attr_int(node, "axis", 1, &p->axis, err));
    FB_TRY(fb_attr_int(node, "block_size", 0, &p->block, err));
    if (p->block < 0) {
        return fb_error_set(err, FB_ERR_FORMAT, "attribute 'block_size' is negative");
    }
    return fb_attr_bool(node, "saturate", true, &p->saturate, err);
}

static FbStatus decode_quantize(const FbNode *node, FbArena *arena, void *params, FbError *err)
{
    QuantParams *p = params;
    (void)arena;
    FB_TRY(decode_common(node, p, err));
    FB_TRY(decode_dtype(node, "output_dtype", QUANT_CODES, &p->output, err));
    return decode_dtype(node, "precision", QUANT_REALS, &p->precision, err);
}

static FbStatus decode_dequantize(const FbNode *node, FbArena *arena, void *params, FbError *err)
{
    QuantParams *p = params;
    (void)arena;
    FB_TRY(decode_common(node, p, err));
    return decode_dtype(node, "output_dtype", QUANT_REALS, &p->output, err);
}

/* Scale and zero point (inputs 1 and 2) against the shape of input 0. */
static FbStatus check_parameters(const FbInfer *infer, const QuantParams *p, FbError *err)
{
    const FbShape *shape = &infer->inputs[0].shape;
    FB_TRY(fb_check_input_dtype(infer, 1, QUANT_REALS | FB_MASK(FB_DTYPE_F8E8M0), err));
    FB_TRY(fb_quant_check(shape, &infer->inputs[1].shape, p->axis, p->block, "scale", err));
    if (!fb_infer_has(infer, 2)) {
        return FB_OK;
    }
    int64_t scales = fb_shape_elements(&infer->inputs[1].shape), zeros = fb_shape_elements(&infer->inputs[2].shape);
    FB_TRY(fb_quant_check(shape, &infer->inputs[2].shape, p->axis, p->block, "zero point", err));
    if (scales >= 0 && zeros >= 0 && scales != zeros) {
        return fb_error_set(err, FB_ERR_FORMAT, "the scale holds %lld numbers, the zero point %lld", (long long)scales, (long long)zeros);
    }
    return FB_OK;
}

static FbStatus infer_quantize(FbInfer *infer, FbError *err)
{
    const QuantParams *p = infer->params;
    FB_TRY(fb_check_input_dtype(infer, 0, QUANT_REALS | FB_MASK(FB_DTYPE_S32), err));
    FB_TRY(fb_check_input_dtype(infer, 2, QUANT_CODES, err));
    FB_TRY(check_parameters(infer, p, err));
    FbDtype zero = fb_infer_has(infer, 2) ? infer->inputs[2].dtype : p->output != FB_DTYPE_NONE ? p->output : FB_DTYPE_U8;
    if (p->output != FB_DTYPE_NONE && zero != FB_DTYPE_NONE && zero != p->output) {
        return fb_error_set(err, FB_ERR_FORMAT, "the zero point is %s, attribute 'output_dtype' asks for %s", fb_dtype_name(zero),
                            fb_dtype_name(p->output));
    }
    infer->outputs[0].dtype = zero;
    infer->outputs[0].shape = infer->inputs[0].shape;
    return FB_OK;
}

static FbStatus infer_dequantize(FbInfer *infer, FbError *err)
{
    const QuantParams *p = infer->params;
    FB_TRY(fb_check_input_dtype(infer, 0, QUANT_CODES | FB_MASK(FB_DTYPE_S32), err));
    FB_TRY(fb_check_same_dtype(infer, 0, 2, err));
    FB_TRY(check_parameters(infer, p, err));
    FbDtype scale = infer->inputs[1].dtype;
    infer->outputs[0].dtype = p->output != FB_DTYPE_NONE ? p->output : scale == FB_DTYPE_F8E8M0 ? FB_DTYPE_F32 : scale;
    infer->outputs[0].shape = infer->inputs[0].shape;
    return FB_OK;
}

static FbQuantTensors tensors_of(const FbCall *call, const QuantParams *p)
{
    FbQuantTensors t = {.from = call->inputs[0], .scale = call->inputs[1], .zero = fb_call_input(call, 2), .to = call->outputs[0]};
    t.layout = fb_quant_layout(t.from, t.scale, p->axis, p->block);
    t.kernel = fb_grid_f32_pick(fb_context_cpu(call->context));
    return t;
}

/* The type of the division: as asked for, else the scale's; whole numbers and power-of-two scales lose nothing in a wider one. */
static FbDtype division_type(const QuantParams *p, const FbQuantTensors *t)
{
    if (p->precision != FB_DTYPE_NONE) {
        return p->precision;
    }
    if (t->from->dtype == FB_DTYPE_S32) {
        return FB_DTYPE_F64;
    }
    return t->scale->dtype == FB_DTYPE_F8E8M0 ? FB_DTYPE_F32 : t->scale->dtype;
}

static FbStatus run_quantize(const FbCall *call, FbError *err)
{
    const QuantParams *p = call->params;
    FbQuantTensors t = tensors_of(call, p);
    (void)err;
    t.grid = fb_grid_of_dtype(call->outputs[0]->dtype);
    t.grid.saturate = p->saturate;
    t.grid.precision = division_type(p, &t);
    fb_quant_all(call->context, &t, FB_QUANT_TO_CODES);
    return FB_OK;
}

static FbStatus run_dequantize(const FbCall *call, FbError *err)
{
    FbQuantTensors t = tensors_of(call, call->params);
    (void)err;
    t.grid = fb_grid_of_dtype(call->inputs[0]->dtype);
    fb_quant_all(call->context, &t, FB_QUANT_FROM_CODES);
    return FB_OK;
}

/* Rewrites the axis for N, spatial..., C; scales in blocks would have to move too. */
static bool channels_last_axis(void *params, int rank)
{
    QuantParams *p = params;
    int64_t axis = p->axis < 0 ? p->axis + rank : p->axis;
    if (p->block != 0) {
        return false;
    }
    p->axis = axis == 0 ? 0 : axis == 1 ? rank - 1 : axis - 1;
    return true;
}

/* ---- dynamic ranges ---- */

static FbStatus infer_dynamic(FbInfer *infer, FbError *err)
{
    FB_TRY(fb_check_input_dtype(infer, 0, FB_MASK(FB_DTYPE_F32), err));
    const FbDtype types[] = {FB_DTYPE_U8, FB_DTYPE_F32, FB_DTYPE_U8};
    for (int i = 0; i < infer->output_count && i < 3; i++) {
        infer->outputs[i].dtype = types[i];
        infer->outputs[i].shape = i == 0 ? infer->inputs[0].shape : (FbShape){.rank = 0};
    }
    return FB_OK;
}

static FbStatus run_dynamic(const FbCall *call, FbError *err)
{
    float scale;
    uint8_t zero;
    const FbTensor *from = call->inputs[0];
    (void)err;
    fb_dynamic_range(call->context, from->data, (size_t)fb_tensor_elements(from), &scale, &zero);
    if (fb_call_output(call, 1)) {
        *(float *)call->outputs[1]->data = scale;
    }
    if (fb_call_output(call, 2)) {
        *(uint8_t *)call->outputs[2]->data = zero;
    }
    if (call->outputs[0]) {
        FbTensor scale_tensor = {.dtype = FB_DTYPE_F32, .data = &scale, .bytes = sizeof scale};
        FbTensor zero_tensor = {.dtype = FB_DTYPE_U8, .data = &zero, .bytes = sizeof zero};
        FbQuantTensors t = {.from = from, .scale = &scale_tensor, .zero = &zero_tensor, .to = call->outputs[0]};
        t.layout = fb_quant_layout(from, &scale_tensor, 1, 0);
        t.kernel = fb_grid_f32_pick(fb_context_cpu(call->context));
        t.grid = fb_grid_of_dtype(FB_DTYPE_U8);
        fb_quant_all(call->context, &t, FB_QUANT_TO_CODES);
    }
    return FB_OK;
}

/* ---- Quant ---- */

static FbStatus decode_quant(const FbNode *node, FbArena *arena, void *params, FbError *err)
{
    QuantParams *p = params;
    const FbAttribute *code = fb_node_attribute(node, "code");
    FbDtype real; /* of the output: that of the input, which is float wherever a Quant is made */
    (void)arena;
    FB_TRY(decode_common(node, p, err));
    FB_TRY(decode_dtype(node, "dtype", FB_MASK(FB_DTYPE_F32), &real, err));
    FB_TRY(fb_attr_bool(node, "dynamic", false, &p->dynamic, err));
    FB_TRY(decode_dtype(node, "precision", QUANT_REALS, &p->precision, err));
    p->grid = fb_grid_of_dtype(FB_DTYPE_U8);
    if (code && code->type == FB_ATTR_STRING) { /* a row of the code table */
        const char *name;
        FB_TRY(fb_attr_string(node, "code", "", &name, err));
        if (!fb_grid_of_code(name, &p->grid)) {
            return fb_error_set(err, FB_ERR_FORMAT, "attribute 'code' of Quant names no code");
        }
    } else if (code) { /* a storage type, all of whose values are codes */
        FbDtype dtype;
        FB_TRY(decode_dtype(node, "code", QUANT_CODES | FB_MASK(FB_DTYPE_S32), &dtype, err));
        p->grid = fb_grid_of_dtype(dtype);
    } else if (!p->dynamic) {
        return fb_error_set(err, FB_ERR_FORMAT, "required attribute 'code' is missing");
    }
    p->grid.saturate = p->saturate;
    if (p->dynamic && p->grid.dtype != FB_DTYPE_U8) {
        return fb_error_set(err, FB_ERR_UNSUPPORTED, "a dynamic Quant has u8 codes");
    }
    if (!p->dynamic && (node->input_count < 2 || node->inputs[1] == FB_NONE)) {
        return fb_error_set(err, FB_ERR_FORMAT, "Quant lacks its scale (input 1)");
    }
    return FB_OK;
}

static FbStatus infer_quant(FbInfer *infer, FbError *err)
{
    const QuantParams *p = infer->params;
    FB_TRY(fb_check_input_dtype(infer, 0, p->dynamic ? FB_MASK(FB_DTYPE_F32) : QUANT_REALS, err));
    fb_infer_same_as(infer, 0);
    if (p->dynamic) {
        return FB_OK;
    }
    FB_TRY(fb_check_input_dtype(infer, 2, QUANT_CODES | FB_MASK(FB_DTYPE_S32), err));
    FB_TRY(check_parameters(infer, p, err));
    if (infer->inputs[1].dtype != FB_DTYPE_F8E8M0) { /* a pair of Q and DQ gives the scale's type */
        infer->outputs[0].dtype = infer->inputs[1].dtype;
    }
    return FB_OK;
}

static FbStatus run_quant(const FbCall *call, FbError *err)
{
    const QuantParams *p = call->params;
    FbQuantTensors t;
    float scale;
    uint8_t zero;
    FbTensor scale_tensor = {.dtype = FB_DTYPE_F32, .data = &scale, .bytes = sizeof scale};
    FbTensor zero_tensor = {.dtype = FB_DTYPE_U8, .data = &zero, .bytes = sizeof zero};
    (void)err;
    if (p->dynamic) {
        fb_dynamic_range(call->context, call->inputs[0]->data, (size_t)fb_tensor_elements(call->inputs[0]), &scale, &zero);
        t = (FbQuantTensors){.from = call->inputs[0], .scale = &scale_tensor, .zero = &zero_tensor, .to = call->outputs[0]};
        t.layout = fb_quant_layout(t.from, t.scale, 1, 0);
        t.kernel = fb_grid_f32_pick(fb_context_cpu(call->context));
        t.grid = p->grid;
    } else {
        t = tensors_of(call, p);
        t.grid = p->grid;
        t.grid.precision = division_type(p, &t);
    }
    fb_quant_all(call->context, &t, FB_QUANT_ROUND);
    return FB_OK;
}

static const char *const quantize_names[] = {"axis", "block_size", "output_dtype", "precision", "saturate", NULL};
static const char *const dequantize_names[] = {"axis", "block_size", "output_dtype", NULL};
static const char *const quant_names[] = {"axis", "block_size", "code", "dtype", "dynamic", "precision", "saturate", NULL};

#define QUANTIZE(DOMAIN, SINCE, NEWEST)                                                                                        \
    {                                                                                                                          \
        .domain = DOMAIN, .name = "QuantizeLinear", .summary = "real numbers to codes", .since = SINCE, .newest = NEWEST,      \
        .min_inputs = 2, .max_inputs = 3, .min_outputs = 1, .max_outputs = 1, .params_bytes = sizeof(QuantParams),             \
        .decode = decode_quantize, .infer = infer_quantize, .run = run_quantize, .channels_last = channels_last_axis,          \
        .attributes = quantize_names                                                                                           \
    }
#define DEQUANTIZE(DOMAIN, SINCE, NEWEST)                                                                                      \
    {                                                                                                                          \
        .domain = DOMAIN, .name = "DequantizeLinear", .summary = "codes to real numbers", .since = SINCE, .newest = NEWEST,    \
        .min_inputs = 2, .max_inputs = 3, .min_outputs = 1, .max_outputs = 1, .params_bytes = sizeof(QuantParams),             \
        .decode = decode_dequantize, .infer = infer_dequantize, .run = run_dequantize, .channels_last = channels_last_axis,    \
        .attributes = dequantize_names                                                                                         \
    }

static const FbOp rows[] = {
    QUANTIZE("", 10, FB_OPSET_NEWEST),
    DEQUANTIZE("", 10, FB_OPSET_NEWEST),
    QUANTIZE("com.microsoft", 1, 1),
    DEQUANTIZE("com.microsoft", 1, 1),
    {.domain = "", .name = "DynamicQuantizeLinear", .summary = "real numbers to u8 codes over their own range", .since = 11,
     .newest = FB_OPSET_NEWEST, .min_inputs = 1, .max_inputs = 1, .min_outputs = 1, .max_outputs = 3, .flags = FB_OP_POINTWISE,
     .infer = infer_dynamic, .run = run_dynamic},
    {.domain = "fewbit", .name = "Quant", .summary = "to codes and back: one quantized activation", .since = 1, .newest = 1, .min_inputs = 1,
     .max_inputs = 3, .min_outputs = 1, .max_outputs = 1, .params_bytes = sizeof(QuantParams), .flags = FB_OP_INPLACE,
     .decode = decode_quant, .infer = infer_quant, .run = run_quant, .channels_last = channels_last_axis, .attributes = quant_names},
};

const FbOpFamily fb_ops_quant = {rows, sizeof rows / sizeof rows[0]};
