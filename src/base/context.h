/* The inside of FbContext and what every folder asks of it. */
#ifndef FB_BASE_CONTEXT_H
#define FB_BASE_CONTEXT_H

#include <stdbool.h>

#include "base/error.h"
#include "fewbit/context.h"

/* Instruction sets a kernel row may need; a row runs when (needs & ~fb_context_cpu(ctx)) == 0. */
typedef enum FbCpu {
    FB_CPU_SCALAR = 0,
    FB_CPU_AVX2 = 1 << 0,       /* AVX2 + FMA + F16C */
    FB_CPU_AVXVNNI = 1 << 1,
    FB_CPU_AVX512 = 1 << 2,     /* F, BW, VL, DQ */
    FB_CPU_AVX512VNNI = 1 << 3,
    FB_CPU_AVX512BF16 = 1 << 4,
    FB_CPU_AMX_INT8 = 1 << 5,
    FB_CPU_NEON = 1 << 6,
    FB_CPU_NEON_DOT = 1 << 7,   /* sdot, udot */
    FB_CPU_NEON_I8MM = 1 << 8   /* usmmla, usdot */
} FbCpu;

unsigned fb_context_cpu(const FbContext *context);   /* FbCpu bits after the cap */
unsigned fb_cpu_detect(void);                        /* FbCpu bits of this machine: CPUID and XCR0, or the kernel's HWCAP */
bool fb_cpu_parse(const char *isa, unsigned *mask);  /* the cap's mask for a name; false: unknown name */
const char *const *fb_cpu_names(void);               /* accepted names, NULL-terminated, weakest first */
unsigned fb_cpu_own(size_t index);                   /* the bit that a name stands for, beside those of the sets it builds on; 0: scalar */

/* Memory. Blocks are 64-byte aligned, counted, and refused with NULL when the allocator or the cap refuses. */
void *fb_alloc(FbContext *context, size_t bytes);                        /* contents undefined; bytes 0 gives a valid pointer */
void *fb_alloc_zero(FbContext *context, size_t bytes);
void *fb_alloc_array(FbContext *context, size_t count, size_t element);  /* NULL when the product overflows */
void *fb_realloc_array(FbContext *context, void *pointer, size_t count, size_t element); /* keeps what fits; pointer may be NULL */
void fb_free(FbContext *context, void *pointer);                          /* NULL is fine */
char *fb_strdup(FbContext *context, const char *text);
/* The error for a NULL from above: FB_ERR_BUDGET when the cap refused, FB_ERR_NO_MEMORY otherwise. */
FbStatus fb_error_memory(FbContext *context, FbError *err, const char *what, uint64_t bytes);

const FbFileHooks *fb_context_files(const FbContext *context);
uint64_t fb_context_max_memory(const FbContext *context);                 /* 0: no cap */

double fb_clock_seconds(void);                                            /* monotonic */
void fb_log(FbContext *context, FbLogLevel level, const char *id, const char *format, ...) FB_PRINTF(4, 5);
bool fb_cancelled(const FbContext *context);
FbStatus fb_check_cancel(const FbContext *context, FbError *err);         /* FB_ERR_CANCELLED when set */

/* Progress of one phase; rate-limited inside. Nesting is not supported: an inner phase of a running one is not reported. */
void fb_progress_begin(FbContext *context, const char *phase, uint64_t total);
void fb_progress_step(FbContext *context, uint64_t done);
void fb_progress_end(FbContext *context);

/* Runs task(arg, slot, begin, end) over [0, count) in pieces of `grain`; pieces are cut by shape only. slot < fb_context_threads() is
 * the worker's number, for scratch. Returns when all are done. Nested calls run inline on the calling worker; a call
 * that has one piece only runs it on the caller and does not count as an outer one. */
typedef void (*FbTask)(void *arg, size_t slot, size_t begin, size_t end);
void fb_parallel(FbContext *context, FbTask task, void *arg, size_t count, size_t grain);

#endif
