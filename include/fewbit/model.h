/* Models: load, look, save. */
#ifndef FEWBIT_MODEL_H
#define FEWBIT_MODEL_H

#include "fewbit/context.h"
#include "fewbit/tensor.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct FbModel FbModel;

/* Reads structure now and weights when they are needed: the file must stay unchanged while the model lives. *model is NULL on failure. */
FB_API FB_MUST_CHECK FbStatus fb_model_load(FbContext *context, const char *path, FbModel **model, FbError *err);

typedef struct FbSaveOptions {
    size_t struct_bytes;
    int overwrite;               /* 0: an existing file is FB_ERR_ARGUMENT */
    uint64_t external_threshold; /* weights of at least this many bytes go to PATH.data when the file would pass 1.5 GiB; 0: the
                                    default (1,024) ; UINT64_MAX: never external */
    int force_external;          /* write external data whatever the size */
} FbSaveOptions;

/* Complete under the final name or not there at all. options may be NULL. sha256, if not NULL, receives 64 hex digits and a NUL. */
FB_API FB_MUST_CHECK FbStatus fb_model_save(FbContext *context, const FbModel *model, const char *path, const FbSaveOptions *options,
                                            char *sha256, FbError *err);
FB_API void fb_model_free(FbModel *model);

/* What `fewbit inspect` shows, as a JSON document "fewbit.inspect/1" (keys in DESIGN.md's table). The caller frees *json with
 * fb_text_free. */
FB_API FB_MUST_CHECK FbStatus fb_model_inspect(FbContext *context, const FbModel *model, char **json, FbError *err);
FB_API void fb_text_free(FbContext *context, char *text);

/* Inputs that a caller must feed (initializers listed as inputs are not among them) and outputs, in file order. Names live as long as
 * the model. A dimension that the file leaves open is negative. */
typedef struct FbPort {
    const char *name;
    FbDtype dtype;
    int rank; /* -1: not declared */
    int64_t dims[FB_RANK_MAX];
} FbPort;
FB_API size_t fb_model_input_count(const FbModel *model);
FB_API size_t fb_model_output_count(const FbModel *model);
FB_API FbPort fb_model_input(const FbModel *model, size_t index);
FB_API FbPort fb_model_output(const FbModel *model, size_t index);

#ifdef __cplusplus
}
#endif
#endif
