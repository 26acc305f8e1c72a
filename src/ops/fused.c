/* Epilogues of lowered products. */
#include "ops/fused.h"

static bool has_constant(const FbPrepare *prepare, int input) { return input < prepare->input_count && prepare->constants[input]; }

bool fb_fused_accepts(const FbPrepare *prepare)
{
    if (prepare->input_count > 2 && !prepare->constants[2] && prepare->inputs[2].present) {
        return false;
    }
    return !has_constant(prepare, 2) || prepare->constants[2]->dtype == FB_DTYPE_F32;
}

FbStatus fb_prepare_floats(const FbPrepare *prepare, int input, const float **floats, FbError *err)
{
    const FbConst *constant = prepare->constants[input];
    const int64_t count = fb_shape_elements(&constant->shape);
    float *values = count < 0 ? NULL : fb_arena_array(prepare->arena, (size_t)count, sizeof *values);
    if (!values) {
        return fb_error_memory(prepare->context, err, "constants of a step", (uint64_t)count * sizeof *values);
    }
    FB_TRY(fb_const_read_f32(prepare->context, constant, 0, (size_t)count, values, err));
    *floats = values;
    return FB_OK;
}

FbStatus fb_fused_prepare(const FbPrepare *prepare, size_t count, FbFused *fused, FbError *err)
{
    fused->count = prepare->fused_count;
    memcpy(fused->ops, prepare->fused, sizeof fused->ops);
    fused->bias = NULL;
    if (!has_constant(prepare, 2)) {
        return FB_OK;
    }
    if (fb_shape_elements(&prepare->constants[2]->shape) != (int64_t)count) {
        return fb_error_set(err, FB_ERR_FORMAT, "bias does not have %zu elements", count);
    }
    return fb_prepare_floats(prepare, 2, &fused->bias, err);
}

void fb_fused_epilogue(const FbFused *fused, const FbCall *call, size_t stride, FbEpilogue *epilogue)
{
    *epilogue = (FbEpilogue){.bias = fused->bias, .count = fused->count};
    for (int i = 0; i < fused->count; i++) {
        const FbFusedOp *op = &fused->ops[i];
        epilogue->ops[i] = (FbEpilogueOp){.kind = op->kind, .a = op->a, .b = op->b, .low = op->low, .high = op->high,
                                          .operand = fb_fused_has_operand(op) ? call->inputs[op->operand]->data : NULL, .operand_stride = stride};
        if (fb_fused_has_operand(op)) {
            epilogue->ops[i].operand_stride = fb_call_stride(call, op->operand, stride);
        }
    }
}

void fb_epilogue_shift(const FbEpilogue *from, size_t row, size_t col, FbEpilogue *to)
{
    *to = *from;
    to->bias = from->bias ? from->bias + col : NULL;
    for (int i = 0; i < to->count; i++) {
        if (to->ops[i].operand) {
            to->ops[i].operand += row * to->ops[i].operand_stride + col;
        }
    }
}
