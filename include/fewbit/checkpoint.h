/* Checkpoints of language models as tables of tensors: safetensors files, Hugging Face folders, GGUF files, files of
 * llama2.c. */
#ifndef FEWBIT_CHECKPOINT_H
#define FEWBIT_CHECKPOINT_H

#include "fewbit/context.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct FbCheckpoint FbCheckpoint;

/* Whether `path` is, by its content, one of these: a safetensors file, an index of safetensors files, a folder that holds either, a GGUF file,
 * a file of llama2.c. */
FB_API int fb_checkpoint_recognized(FbContext *context, const char *path);

/* Reads names, types, shapes and key-values now and checks them against the size of the files; tensors when they are needed: the files must
 * stay unchanged while the checkpoint lives. All parts of a checkpoint in several files are opened, beneath the folder of the one that was
 * named. *checkpoint is NULL on failure. */
FB_API FB_MUST_CHECK FbStatus fb_checkpoint_open(FbContext *context, const char *path, FbCheckpoint **checkpoint, FbError *err);
FB_API void fb_checkpoint_free(FbCheckpoint *checkpoint);

/* What `fewbit inspect` shows, as a JSON document "fewbit.inspect/1". The caller frees *json with fb_text_free. */
FB_API FB_MUST_CHECK FbStatus fb_checkpoint_inspect(FbContext *context, const FbCheckpoint *checkpoint, char **json, FbError *err);

#ifdef __cplusplus
}
#endif
#endif
