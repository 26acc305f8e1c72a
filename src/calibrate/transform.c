/* Graph transforms by name. */
#include "calibrate/transform.h"

#include "passes/fold_bias.h"
#include "passes/passes.h"
#include "run/compile.h"

FbStatus fb_transform_apply(FbTransform transform, FbModel *model, FbError *err)
{
    switch (transform) {
    case FB_TRANSFORM_FOLD_CONSTANTS:
        FB_TRY(fb_pass_fold_constants(model->graph, NULL, fb_evaluate_node, model->context, err));
        return fb_pass_dead_code(model->graph, NULL, err);
    case FB_TRANSFORM_FOLD_BATCH_NORM:
        return fb_pass_fold_batch_norm(model->graph, NULL, NULL, err);
    case FB_TRANSFORM_FOLD_BIAS:
        return fb_pass_fold_bias(model->graph, NULL, err);
    case FB_TRANSFORM_FOLD_PAD:
        FB_TRY(fb_pass_fold_pad(model->graph, NULL, err));
        return fb_pass_dead_code(model->graph, NULL, err);
    case FB_TRANSFORM_COUNT:
        break;
    }
    return fb_error_set(err, FB_ERR_INTERNAL, "no such transform");
}
