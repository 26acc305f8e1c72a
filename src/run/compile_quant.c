/* Quant nodes in an epilogue: one constant scale and zero point over the whole tensor, integer codes. */
#include "run/compile.h"

static int64_t int_attribute(const FbNode *node, const char *name, int64_t fallback)
{
    const FbAttribute *attribute = fb_node_attribute(node, name);
    return attribute != NULL ? attribute->i : fallback;
}

bool fb_compile_quant_round(const FbCompile *compile, const FbNode *node, FbFusedOp *op)
{
    FbId scale = node->inputs[1], zero = node->input_count > 2 ? node->inputs[2] : FB_NONE;
    FbDtype code_type = (FbDtype)int_attribute(node, "code", FB_DTYPE_NONE);
    const FbCode *code = fb_code_of_dtype(code_type);
    if (scale == FB_NONE || code == NULL || code->levels != NULL || int_attribute(node, "dtype", FB_DTYPE_F32) != FB_DTYPE_F32 ||
        (fb_dtype_info(code->storage)->kind != FB_KIND_SIGNED && fb_dtype_info(code->storage)->kind != FB_KIND_UNSIGNED)) {
        return false;
    }
    const FbType *step = &compile->types[scale];
    if (step->value == NULL || step->dtype != FB_DTYPE_F32 || fb_shape_elements(&step->shape) != 1) {
        return false;
    }
    *op = (FbFusedOp){.kind = FB_EPILOGUE_ROUND, .a = *(const float *)step->value->data, .low = code->low, .high = code->high, .operand = -1};
    if (zero != FB_NONE) {
        const FbType *origin = &compile->types[zero];
        if (origin->value == NULL || fb_shape_elements(&origin->shape) != 1) {
            return false;
        }
        op->b = (float)fb_tensor_int(origin->value, 0);
    }
    return op->a > 0.0f;
}
