/* The importance matrix of a plan: which weight has which, and whether the lengths agree. */
#include <string.h>

#include "base/text.h"
#include "io/gguf/imatrix.h"
#include "quantize/gguf_plan.h"

#define MEAN_MAX 1e24f /* squares of activations: those of 1e12 */

static FbStatus give(FbGgufPlan *plan, FbGgufChoice *choice, const FbImatrixRow *row, FbError *err)
{
    char shown[120];
    const FbShape *shape = &choice->tensor.shape;
    int64_t columns = fb_gguf_columns(&choice->tensor);
    int64_t matrices = shape->rank > 2 ? fb_gguf_rows(&choice->tensor) / shape->dims[shape->rank - 2] : 1;
    size_t values = row->columns * row->matrices;
    if (values != (size_t)(columns * matrices)) {
        return fb_error_set(err, FB_ERR_FORMAT, "importance of '%s' has %zu values, the weight has %lld columns in %lld matrices",
                            fb_escape(row->name, shown, sizeof shown), values, (long long)columns, (long long)matrices);
    }
    float *means = fb_arena_array(plan->arena, values, sizeof *means);
    if (means == NULL) {
        return fb_error_memory(plan->context, err, "an importance matrix", values * sizeof *means);
    }
    fb_imatrix_means(row, means);
    for (size_t i = 0; i < values; i++) {
        if (!(means[i] <= MEAN_MAX)) {
            return fb_error_set(err, FB_ERR_FORMAT, "importance of '%s': value %zu has a mean of %g, with which sums of errors overflow",
                                fb_escape(row->name, shown, sizeof shown), i, (double)means[i]);
        }
    }
    choice->importance = means;
    return FB_OK;
}

static size_t unseen(const FbImatrixRow *row)
{
    size_t count = 0;
    for (size_t m = 0; m < row->matrices; m++) {
        count += row->counts[m] <= 0.0f;
    }
    return count;
}

static void warn_unseen(const FbGgufPlan *plan, size_t matrices, size_t weights, const char *first)
{
    char shown[120];
    if (matrices > 0) {
        fb_log(plan->context, FB_LOG_WARNING, "unseen-experts",
               "%zu matrices of experts in %zu weights, such as '%s', saw no token when importance was measured: their columns count equally", matrices, weights,
               fb_escape(first, shown, sizeof shown));
    }
}

FbStatus fb_gguf_plan_importance(FbGgufPlan *plan, const FbImatrix *imatrix, FbError *err)
{
    size_t given = 0, lacking = 0, matrices = 0, weights = 0;
    const char *first = "", *first_unseen = "";
    char shown[120];
    for (size_t i = 0; i < plan->count; i++) {
        FbGgufChoice *choice = &plan->choices[i];
        const FbImatrixRow *row = fb_imatrix_find(imatrix, choice->tensor.name);
        bool encoded = fb_ggml_type_quantized(choice->type) && choice->type != choice->tensor.number;
        bool usual = strncmp(choice->tensor.name, "blk.", 4) != 0; /* embedding and output are not measured by default */
        if (!encoded) {
            continue;
        }
        if (row == NULL && !usual) {
            first = lacking++ == 0 ? choice->tensor.name : first;
        }
        if (row == NULL && fb_gguf_needs_importance(plan->preset, choice->type, choice->tensor.name)) {
            return fb_error_set(err, FB_ERR_ARGUMENT, "%s needs the importance of '%s', which the file does not have", plan->preset->name,
                                fb_escape(choice->tensor.name, shown, sizeof shown));
        }
        FB_TRY(row != NULL ? give(plan, choice, row, err) : FB_OK);
        given += row != NULL;
        if (row != NULL && unseen(row) > 0) {
            first_unseen = weights++ == 0 ? choice->tensor.name : first_unseen;
            matrices += unseen(row);
        }
    }
    if (given == 0 && lacking > 0) {
        return fb_error_set(err, FB_ERR_ARGUMENT, "the importance matrix is of another model: it has none of these weights, such as '%s'",
                            fb_escape(first, shown, sizeof shown));
    }
    if (lacking > 0) {
        fb_log(plan->context, FB_LOG_WARNING, "no-importance", "%zu weights are quantized without importance, because the file has none: '%s'%s", lacking,
               fb_escape(first, shown, sizeof shown), lacking > 1 ? " and others" : "");
    }
    warn_unseen(plan, matrices, weights, first_unseen);
    return FB_OK;
}
