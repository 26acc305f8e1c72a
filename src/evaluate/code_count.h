/* How many codes of the quantized values differ between integer and simulated execution, over the first samples. */
#ifndef FB_EVALUATE_CODE_COUNT_H
#define FB_EVALUATE_CODE_COUNT_H

#include "base/arena.h"
#include "fewbit/dataset.h"
#include "fewbit/session.h"

enum { FB_CODE_SAMPLES = 32 }; /* both executions run once more for each of them, with every quantized value observed */

typedef struct FbKeptValue {
    FbTensor tensor;  /* of the integer run, copied */
    size_t capacity;
    int channels_last;
} FbKeptValue;

typedef struct FbCodeCount {
    FbContext *context;
    FbArena *arena;
    FbSession *integer, *simulated;
    FbTensor *outputs;
    size_t output_count;
    const char **names;      /* outputs of Quants with a fixed range */
    size_t name_count;
    FbKeptValue *kept;       /* per name */
    uint64_t samples, compared, differing;
} FbCodeCount;

/* count must be zeroed. A model without such Quants has nothing to count: name_count 0. */
FbStatus fb_code_count_init(FbCodeCount *count, FbContext *context, const FbModel *model, FbError *err);
/* Does nothing after FB_CODE_SAMPLES. */
FbStatus fb_code_count_add(FbCodeCount *count, const FbSample *sample, FbError *err);
void fb_code_count_reset(FbCodeCount *count);

#endif
