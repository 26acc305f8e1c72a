/* Language models: from a checkpoint to a graph that runs. */
#ifndef FEWBIT_LANGUAGE_H
#define FEWBIT_LANGUAGE_H

#include "fewbit/checkpoint.h"
#include "fewbit/model.h"

#ifdef __cplusplus
extern "C" {
#endif

/* What a checkpoint's configuration says. Texts live as long as what the facts were asked of. */
typedef struct FbLanguageInfo {
    const char *architecture; /* as the file calls it: "qwen2" */
    const char *family;       /* row of the table of families that serves it */
    int64_t context_length;   /* positions that the model was made for */
    int64_t positions;        /* that the graph's tables hold: a token's position must be below; 0 before a graph is built */
    int64_t layers, vocabulary, hidden, feed_forward; /* feed_forward: of one expert in a mixture without dense layers */
    int64_t q_heads, kv_heads, head_dim;
    int64_t window;           /* of sliding attention; 0: none */
    int64_t experts, experts_used; /* 0: no mixture */
} FbLanguageInfo;

typedef struct FbLanguageOptions {
    size_t struct_bytes;
    int64_t context; /* positions that the tables of the graph shall hold; 0: what the model was made for, at most 4,096 */
} FbLanguageOptions;

/* What the configuration of a checkpoint says, without building anything. */
FB_API FB_MUST_CHECK FbStatus fb_language_describe(FbContext *context, const FbCheckpoint *checkpoint, FbLanguageInfo *info, FbError *err);

/* The graph of a checkpoint's model. Weights stay in the checkpoint's files, which the model keeps open; the checkpoint itself may be freed
 * afterwards. options may be NULL. An architecture or a setting that is not understood is FB_ERR_UNSUPPORTED and named.
 *
 * T tokens of any number of sequences lie one after the other. Inputs: input_ids, positions (from 0 within the sequence), sequences (which
 * cache, from 0), each INT64 [T]; output_rows INT64 [R], the rows whose logits are wanted. Output: logits FLOAT [R, vocabulary].
 *
 * fb_model_load does the same with a path. */
FB_API FB_MUST_CHECK FbStatus fb_language_build(FbContext *context, const FbCheckpoint *checkpoint, const FbLanguageOptions *options,
                                                FbModel **model, FbError *err);

/* NULL: not made by fb_language_build. Lives as long as the model. */
FB_API const FbLanguageInfo *fb_language_info(const FbModel *model);

/* The table of families: name and summary of row `index`; NULL when index is too large. */
FB_API const char *fb_language_family(size_t index, const char **summary);

#ifdef __cplusplus
}
#endif
#endif
