/* Tensors of a Hugging Face checkpoint that hold all experts of a layer at once, see hf_model.h. Gate and up are one tensor there, two in GGUF; and
 * some families keep matrices as [in, out]. */
#include <stdio.h>
#include <string.h>

#include "io/gguf/hf_model.h"

/* Whether matrices are [in, out]: as the family is known to do, or as the width of the model says; some families were published both ways. */
static bool inputs_first(const FbHfModel *model, const FbShape *shape, bool down)
{
    int64_t hidden = 0, in = shape->dims[1], out = shape->dims[2];
    if ((model->family->flags & FB_HF_INPUTS_FIRST) != 0) {
        return true;
    }
    fb_hf_integer(model, (const char *const[]){"hidden_size", NULL}, &hidden);
    return down ? out == hidden && in != hidden : in == hidden && out != hidden;
}

/* The part of a fused tensor that one of GGUF's is: outputs first, first + step, ... of `outputs`. */
typedef struct FbHfOutputs {
    int64_t outputs, first, step, count;
} FbHfOutputs;

static void take_weights(FbGgufTensor *tensor, const FbHfOutputs *part, bool turned)
{
    int64_t inputs = tensor->shape.dims[turned ? 1 : 2];
    tensor->shape = (FbShape){3, {tensor->shape.dims[0], part->count, inputs}};
    tensor->first_row = part->first;
    tensor->matrix_rows = part->outputs;
    tensor->transposed = turned;
    tensor->step = turned ? part->step : 0;
}

/* Biases are [experts, outputs] in every layout. */
static void take_biases(FbGgufTensor *tensor, const FbHfOutputs *part)
{
    if (part->count < part->outputs) {
        tensor->shape = (FbShape){2, {tensor->shape.dims[0], part->count}};
        tensor->first_row = part->first;
        tensor->matrix_rows = part->outputs;
        tensor->transposed = true;
        tensor->step = part->step;
    }
}

FbStatus fb_hf_add_fused(FbHfModel *model, const FbHfName *name, const FbTableTensor *row, FbError *err)
{
    static const char *const halves[] = {"ffn_gate_exps", "ffn_up_exps"};
    const FbShape *shape = &row->constant.shape;
    bool down = strcmp(name->part, "ffn_down_exps") == 0, bias = strcmp(name->suffix, ".bias") == 0;
    bool interleaved = (model->family->flags & FB_HF_INTERLEAVED) != 0;
    if (shape->rank != (bias ? 2 : 3)) {
        return fb_hf_wrong_shape(row, err);
    }
    bool turned = !bias && inputs_first(model, shape, down);
    int64_t outputs = bias || !turned ? shape->dims[1] : shape->dims[2];
    int parts = down ? 1 : 2;
    if (outputs % parts != 0 || (interleaved && !down && !bias && !turned)) {
        return fb_hf_wrong_shape(row, err);
    }
    for (int i = 0; i < parts; i++) {
        char full[64];
        FbGgufTensor *tensor;
        FbHfOutputs part = {outputs, interleaved ? i : i * (outputs / parts), interleaved && !down ? parts : 1, outputs / parts};
        snprintf(full, sizeof full, "blk.%lld.%s%s", (long long)name->layer, down ? name->part : halves[i], name->suffix);
        FB_TRY(fb_hf_add_single(model, full, row, &tensor, err));
        if (bias) {
            take_biases(tensor, &part);
        } else {
            take_weights(tensor, &part, turned);
        }
    }
    return FB_OK;
}
