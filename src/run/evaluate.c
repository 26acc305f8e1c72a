/* Running one node on known tensors: the evaluator of constant folding. */
#include "base/checked.h"
#include "run/compile.h"

static FbStatus infer_outputs(FbContext *context, FbArena *arena, const FbNode *node, const FbOp *op, const void *params,
                              const FbTensor *const *inputs, FbType *outputs, bool *known, FbError *err)
{
    *known = false;
    FbType *types = fb_arena_array(arena, node->input_count + 1u, sizeof *types);
    if (types == NULL) {
        return fb_error_memory(context, err, "evaluating a node", 0);
    }
    for (uint32_t i = 0; i < node->input_count; i++) {
        if (inputs[i] != NULL) {
            types[i] = (FbType){true, inputs[i]->dtype, fb_tensor_shape(inputs[i]), inputs[i]};
        }
    }
    for (uint32_t o = 0; o < node->output_count; o++) {
        outputs[o] = (FbType){.present = node->outputs[o] != FB_NONE, .shape = {.rank = -1}};
    }
    FbInfer infer = {.context = context, .arena = arena, .node = node, .params = params, .input_count = (int)node->input_count,
                     .output_count = (int)node->output_count, .inputs = types, .outputs = outputs};
    FB_TRY(op->infer(&infer, err));
    *known = !infer.pending;
    return FB_OK;
}

/* Allocates the outputs; false in *fits when they pass the budget. */
static FbStatus make_outputs(FbContext *context, const FbNode *node, const FbType *types, FbTensor *outputs, uint64_t max_bytes, bool *fits,
                             FbError *err)
{
    uint64_t total = 0;
    *fits = false;
    for (uint32_t o = 0; o < node->output_count; o++) {
        int64_t elements = fb_shape_elements(&types[o].shape);
        uint64_t bytes = 0;
        if (!types[o].present) {
            continue;
        }
        if (elements < 0 || !fb_dtype_storage(types[o].dtype, (uint64_t)elements, &bytes) || bytes > max_bytes || (total += bytes) > max_bytes) {
            return FB_OK;
        }
        outputs[o] = (FbTensor){.dtype = types[o].dtype, .rank = types[o].shape.rank, .bytes = (size_t)bytes};
        memcpy(outputs[o].dims, types[o].shape.dims, sizeof outputs[o].dims);
        outputs[o].data = fb_alloc_zero(context, (size_t)bytes);
        if (outputs[o].data == NULL) {
            return fb_error_memory(context, err, "a folded constant", bytes);
        }
    }
    *fits = true;
    return FB_OK;
}

static FbStatus evaluate(FbContext *context, FbArena *arena, const FbNode *node, const FbTensor *const *inputs, FbTensor *outputs,
                         uint64_t max_bytes, bool *done, FbError *err)
{
    const FbOp *op;
    void *params;
    bool known, fits;
    FB_TRY(fb_op_decode(node, arena, &op, &params, err));
    bool view = (op->flags & FB_OP_VIEW) != 0;
    if ((op->run == NULL && !view) || (op->flags & (FB_OP_RANDOM | FB_OP_STATE)) != 0) {
        return FB_OK;
    }
    FbType *types = fb_arena_array(arena, node->output_count + 1u, sizeof *types);
    FbTensor **wanted = fb_arena_array(arena, node->output_count + 1u, sizeof *wanted);
    if (types == NULL || wanted == NULL) {
        return fb_error_memory(context, err, "evaluating a node", 0);
    }
    FB_TRY(infer_outputs(context, arena, node, op, params, inputs, types, &known, err));
    if (!known) {
        return FB_OK;
    }
    FB_TRY(make_outputs(context, node, types, outputs, max_bytes, &fits, err));
    if (!fits) {
        return FB_OK;
    }
    for (uint32_t o = 0; o < node->output_count; o++) {
        wanted[o] = types[o].present ? &outputs[o] : NULL;
    }
    if (view) {
        *done = inputs[0] != NULL && inputs[0]->bytes == outputs[0].bytes;
        if (*done && outputs[0].bytes > 0) {
            memcpy(outputs[0].data, inputs[0]->data, outputs[0].bytes);
        }
        return FB_OK;
    }
    FbCall call = {.context = context, .node = node, .params = params, .input_count = (int)node->input_count,
                   .output_count = (int)node->output_count, .inputs = inputs, .outputs = wanted};
    call.scratch_bytes = op->scratch != NULL ? op->scratch(&call) : 0;
    if (call.scratch_bytes > 0 && (call.scratch = fb_alloc(context, call.scratch_bytes)) == NULL) {
        return fb_error_memory(context, err, "scratch", call.scratch_bytes);
    }
    FbStatus status = op->run(&call, err);
    fb_free(context, call.scratch);
    *done = status == FB_OK;
    return status;
}

FbStatus fb_evaluate_node(void *user, const FbGraph *graph, const FbNode *node, const FbTensor *const *inputs, FbTensor *outputs,
                          uint64_t max_bytes, bool *done, FbError *err)
{
    FbContext *context = user;
    (void)graph;
    *done = false;
    FbArena *arena = fb_arena_create(context);
    if (arena == NULL) {
        return fb_error_memory(context, err, "evaluating a node", 0);
    }
    FbError local = {0};
    FbStatus status = evaluate(context, arena, node, inputs, outputs, max_bytes, done, &local);
    fb_arena_free(arena);
    if (status == FB_ERR_NO_MEMORY || status == FB_ERR_BUDGET || status == FB_ERR_CANCELLED) {
        return fb_error_set(err, status, "%s", local.message);
    }
    /* Any other failure belongs to run time: the node may stand in a branch that is never taken. */
    return FB_OK;
}
