/* The part for text of a model that takes pictures, too: what config.json says of it, and which tensors of the checkpoint are its own.
 *
 * Source: the configurations of transformers and its renaming of tensors in older checkpoints. */
#ifndef FB_IO_SAFETENSORS_TEXT_PART_H
#define FB_IO_SAFETENSORS_TEXT_PART_H

#include "base/json.h"
#include "graph/tensor_table.h"

enum { FB_TEXT_PART_NAME = 256 };

typedef struct FbTextPart {
    const char *larger;      /* model_type of the whole; NULL: the checkpoint is a model of text alone */
    const char *type;        /* model_type of the part for text */
    json_t *config;          /* a reference of its own: the part's settings, those that the file leaves out filled in; or config.json itself */
    const char *body, *head; /* stand in tensors' names where a model of text alone has "model." and nothing in front of "lm_head" */
} FbTextPart;

/* What tensors of other parts a checkpoint has. */
typedef struct FbOtherParts {
    size_t count;
    uint32_t seen;
} FbOtherParts;

/* FB_ERR_UNSUPPORTED, and nothing to close: a larger model, or a part of one, that is not known. */
FbStatus fb_text_part_open(const json_t *config, const FbCheckpoint *checkpoint, FbTextPart *part, FbError *err);
void fb_text_part_close(FbTextPart *part);

/* The name that the tensor has in a model of text alone, in `out`; NULL: it is none of this part's. */
const char *fb_text_part_plain_name(const FbTextPart *part, const char *name, char out[FB_TEXT_PART_NAME]);
/* Whether a tensor belongs to what sees or joins pictures and text; counts it. */
bool fb_text_part_is_other(const char *name, FbOtherParts *others);
/* One note that names those parts, if there are any. */
void fb_text_part_note(FbContext *context, const FbTextPart *part, const FbOtherParts *others);

#endif
