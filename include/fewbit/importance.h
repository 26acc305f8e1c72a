/* Importance matrices of language models: how much each column of a weight matters, measured on a text. */
#ifndef FEWBIT_IMPORTANCE_H
#define FEWBIT_IMPORTANCE_H

#include "fewbit/model.h"
#include "fewbit/tokenizer.h"

#ifdef __cplusplus
extern "C" {
#endif

/* Zeroed but for struct_bytes: windows of 512 tokens, the whole text, written only where nothing is. */
typedef struct FbImportanceOptions {
    size_t struct_bytes; /* sizeof(FbImportanceOptions) */
    size_t context;      /* tokens of a window; 0: 512, or what the model was loaded for if that is less */
    size_t windows;      /* 0: all that the text fills */
    int overwrite;
    const char *const *merged; /* importance matrices of the same model, in GGUF or the older form, whose sums are added */
    size_t merged_count;
} FbImportanceOptions;

typedef struct FbImportanceReport {
    size_t text_tokens;      /* of the whole text */
    size_t windows, context; /* windows * context tokens were run */
    size_t weights, values;  /* weights in the file, and the values that they are multiplied with: several share one */
    int added_bos;           /* windows begin with the model's first token */
    size_t experts, unseen;  /* of all mixtures together, and how many of them saw no token of the text */
} FbImportanceReport;

/* Runs the model in float over a text and writes, for every matrix of its layers, the sums of squares of what each column is multiplied with:
 * the GGUF form of llama-imatrix, which fb_gguf_quantize takes. Of a mixture every expert has sums and a count of its own, of the tokens that were
 * sent to it. data: a text or lines of JSON, as fb_evaluate_language says, without questions; cut into whole windows as llama.cpp does, each run by
 * itself. NULL: nothing is run (model and tokenizer may be NULL), only what options->merged names is added up; the older form counts windows there,
 * of `context` tokens. The bytes do not depend on threads. On failure no file is written. report may be NULL. */
FB_API FB_MUST_CHECK FbStatus fb_importance_collect(FbContext *context, const FbModel *model, const FbTokenizer *tokenizer, const char *data,
                                                    const char *output, const FbImportanceOptions *options, FbImportanceReport *report,
                                                    FbError *err);

#ifdef __cplusplus
}
#endif
#endif
