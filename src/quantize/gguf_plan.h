/* The plan of a GGUF file: its tensors in order, and the type each gets. */
#ifndef FB_QUANTIZE_GGUF_PLAN_H
#define FB_QUANTIZE_GGUF_PLAN_H

#include "fewbit/gguf_quantize.h"
#include "quantize/gguf_mix.h"

typedef struct FbGgufChoice {
    FbGgufTensor tensor;
    uint32_t type;              /* ggml's number in the file */
    const char *reason;         /* as in FbGgufWeight */
    const float *importance;    /* of every column, one row per matrix; NULL: none */
    uint64_t bytes_before, bytes_after;
} FbGgufChoice;

typedef struct FbGgufPlan {
    FbContext *context;
    FbArena *arena;
    const FbGgufPreset *preset;
    FbGgufFacts facts;
    FbGgufChoice *choices; size_t count;
    bool floats_kept;           /* what is not quantized becomes F32, as in a conversion; otherwise it stays as it is */
} FbGgufPlan;

/* From the table of a GGUF file; options' patterns must outlive the plan. */
FbStatus fb_gguf_plan_tensors(FbGgufPlan *plan, const FbCheckpoint *checkpoint, FbError *err);
/* From tensors already mapped. */
FbStatus fb_gguf_plan_mapped(FbGgufPlan *plan, const FbGgufTensor *tensors, size_t count, FbError *err);
FbStatus fb_gguf_plan_facts(FbGgufPlan *plan, const FbCheckpoint *checkpoint, FbError *err);
/* Puts the tensors into the order of the file and chooses their types. */
FbStatus fb_gguf_plan_types(FbGgufPlan *plan, const FbGgufOptions *options, FbError *err);

/* Gives the weights their importance, and says what the file knows of others. */
struct FbImatrix;
FbStatus fb_gguf_plan_importance(FbGgufPlan *plan, const struct FbImatrix *imatrix, FbError *err);

/* Writes the bytes of all tensors, strip by strip. *zeroed grows as in fb_block_encode. */
struct FbGgufWriter;
FbStatus fb_gguf_write_strips(const FbGgufPlan *plan, struct FbGgufWriter *writer, uint64_t *zeroed, FbError *err);

#endif
