/* What this machine can do: instruction sets, the kernel row that serves each primitive, and measured peaks to compare times with. */
#ifndef FEWBIT_HARDWARE_H
#define FEWBIT_HARDWARE_H

#include "fewbit/context.h"

#ifdef __cplusplus
extern "C" {
#endif

/* An instruction set that kernels may need. */
typedef struct FbFeature {
    const char *name;
    int present; /* this processor and system have it */
    int used;    /* present, and not ruled out by the context's cap */
} FbFeature;
/* Feature `index`, weakest first; 0 when there is none, so that a caller counts up until then. */
FB_API int fb_hardware_feature(const FbContext *context, size_t index, FbFeature *feature);

enum { FB_KERNEL_ROWS_MAX = 11 };

/* A primitive of the executor with the rows of its kernel table. */
typedef struct FbKernelInfo {
    const char *primitive, *summary;
    const char *row;                            /* that serves this context */
    const char *rows[FB_KERNEL_ROWS_MAX + 1];   /* all, best first; NULL-terminated */
} FbKernelInfo;
/* Primitive `index`; 0 when there is none. */
FB_API int fb_hardware_kernel(const FbContext *context, size_t index, FbKernelInfo *info);

enum { FB_MEASURE_PRODUCTS = 1, FB_MEASURE_MEMORY = 2 };

/* Measured with all threads of the context at once, in short windows of which the slow ones are left out. 0: not measured. */
typedef struct FbHardwarePeaks {
    int threads;
    double f32_macs;          /* multiply-accumulates per second of the best float product row, operands in the first cache */
    double u8s8_macs;         /* the same of the best product row on u8 codes and s8 weights */
    const char *f32_row, *u8s8_row;
    double read_bytes;        /* bytes per second read from a block larger than the caches */
} FbHardwarePeaks;
/* what: FB_MEASURE_ bits. Takes about 0.15 s per bit. FB_ERR_BUDGET or FB_ERR_NO_MEMORY without room for 96 MiB (memory only). */
FB_API FB_MUST_CHECK FbStatus fb_hardware_measure(FbContext *context, unsigned what, FbHardwarePeaks *peaks, FbError *err);

#ifdef __cplusplus
}
#endif
#endif
