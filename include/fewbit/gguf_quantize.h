/* Writing GGUF files: a checkpoint of any of the readable formats, with its weights in the block types of ggml. */
#ifndef FEWBIT_GGUF_QUANTIZE_H
#define FEWBIT_GGUF_QUANTIZE_H

#include "fewbit/checkpoint.h"

#ifdef __cplusplus
extern "C" {
#endif

/* Zeroed but for struct_bytes: q4_k_m, written only where nothing is. */
typedef struct FbGgufOptions {
    size_t struct_bytes;             /* sizeof(FbGgufOptions) */
    const char *preset;              /* "q4_k_m" in any case; see the presets of `fewbit list presets`; NULL: that one */
    int pure;                        /* the preset's own type for all weights, no mix */
    int overwrite;
    int dry_run;                     /* the plan only; no file */
    const char *importance;          /* a file with an importance matrix, GGUF or the older .dat; NULL: none */
    const char *const *overrides;    /* "PATTERN=TYPE": weights whose whole name matches get this type; the first that matches counts, */
    size_t override_count;           /* and one that matches nothing is FB_ERR_ARGUMENT */
    const char *const *excluded;     /* patterns of weights that keep the type they have */
    size_t excluded_count;
} FbGgufOptions;

typedef struct FbGgufWeight {
    const char *name;                /* in the written file */
    int rank;
    int64_t shape[4];                /* outermost first */
    const char *type_before, *type_after;
    uint64_t bytes_before, bytes_after;
    const char *reason;              /* why it is not what the preset's mix says, or not quantized; NULL */
} FbGgufWeight;

/* Owned by the caller, freed with fb_gguf_report_free. */
typedef struct FbGgufReport {
    const char *preset;              /* static */
    const char *architecture;
    FbGgufWeight *weights;           /* in the order of the file */
    size_t weight_count, quantized_count;
    uint64_t weight_bytes_before, weight_bytes_after, bytes_before, bytes_after; /* of weights; of whole files */
    double effective_bits;           /* stored bits per weight of those that are in blocks; 0: none is */
    uint64_t zeroed_blocks;          /* with elements that were not all 0 and a scale too small to be stored */
    char sha256[65];                 /* of the written file; empty after a dry run */
    void *owner;
} FbGgufReport;

/* 1 when `name` is a preset that writes GGUF, in any case. */
FB_API int fb_gguf_preset_known(const char *name);
/* The name it is known by, "Q4_K_M", as file names have it; NULL: unknown. */
FB_API const char *fb_gguf_preset_label(const char *name);

/* Reads weights and writes them in strips of rows: memory does not grow with the model. The bytes depend on neither threads nor memory. report
 * may be NULL. */
FB_API FB_MUST_CHECK FbStatus fb_gguf_quantize(FbContext *context, const FbCheckpoint *checkpoint, const char *output,
                                               const FbGgufOptions *options, FbGgufReport *report, FbError *err);
FB_API void fb_gguf_report_free(FbContext *context, FbGgufReport *report);

#ifdef __cplusplus
}
#endif
#endif
