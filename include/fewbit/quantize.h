/* Quantization: a recipe applied to a model. */
#ifndef FEWBIT_QUANTIZE_H
#define FEWBIT_QUANTIZE_H

#include "fewbit/calibrate.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct FbRecipe FbRecipe;

/* A preset by name ("int8-static", ...), JSON text, or a file. Unknown keys and names are errors that name the nearest one. */
FB_API FB_MUST_CHECK FbStatus fb_recipe_preset(FbContext *context, const char *name, FbRecipe **recipe, FbError *err);
FB_API FB_MUST_CHECK FbStatus fb_recipe_parse(FbContext *context, const char *json, FbRecipe **recipe, FbError *err);
FB_API FB_MUST_CHECK FbStatus fb_recipe_load(FbContext *context, const char *path, FbRecipe **recipe, FbError *err);
/* Overrides one setting as the command's option does: "target", "activations", "calibrator", "percentile", "format", "exclude", ... */
FB_API FB_MUST_CHECK FbStatus fb_recipe_set(FbRecipe *recipe, const char *key, const char *value, FbError *err);
/* 1 when the recipe places activations whose ranges come from data: fb_quantize then needs statistics. */
FB_API int fb_recipe_needs_data(const FbRecipe *recipe);
FB_API void fb_recipe_free(FbRecipe *recipe);

typedef struct FbLeftInFloat {
    const char *name, *type, *reason;
} FbLeftInFloat;

/* A weight whose codes were made. The key is the SHA-256, in hex, of all that decides them; weights with equal keys have equal codes. */
typedef struct FbQuantizeUnit {
    const char *name, *method, *key;
} FbQuantizeUnit;

/* What was done; owned by the caller, freed with fb_quantize_report_free. */
typedef struct FbQuantizeReport {
    uint64_t bytes_before, bytes_after; /* of weights; of whole files where fb_model_save has been called is the command's business */
    double effective_bits;              /* stored bits, scales and zero points included, per quantized weight */
    size_t weights_quantized, activations_quantized;
    FbLeftInFloat *left;
    size_t left_count;
    FbQuantizeUnit *units;
    size_t unit_count;
    void *owner;
} FbQuantizeReport;

/* Replaces weights and places Quants in `model`. statistics may be NULL for recipes that need no data. report may be NULL. On failure the
 * model is unchanged. */
FB_API FB_MUST_CHECK FbStatus fb_quantize(FbContext *context, FbModel *model, const FbRecipe *recipe, const FbStatistics *statistics,
                                          FbQuantizeReport *report, FbError *err);
FB_API void fb_quantize_report_free(FbContext *context, FbQuantizeReport *report);

#ifdef __cplusplus
}
#endif
#endif
