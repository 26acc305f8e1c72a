/* Which scale serves which element: per tensor, per index of an axis, or per block along an axis. */
#ifndef FB_OPS_QUANT_LAYOUT_H
#define FB_OPS_QUANT_LAYOUT_H

#include "ops/op.h"

enum { FB_QUANT_PIECE = 4096 };

/* A tensor cut into runs of consecutive elements whose scale is one number or runs along with them. */
typedef struct FbQuantLayout {
    int64_t elements, runs;
    int64_t length, inner, block; /* of the axis; block 0: one scale per index, or per tensor when length is 0 */
    int64_t blocks;               /* per line of the axis */
} FbQuantLayout;

typedef struct FbQuantRun {
    int64_t first, count;
    int64_t scale;                /* index of the first element's scale */
    int64_t step;                 /* 0: the same scale for all; 1: the next one for each */
} FbQuantRun;

/* FB_ERR_FORMAT unless the scale's shape is what axis and block ask for; unknown dimensions pass. Only the message needs `what`. */
FbStatus fb_quant_check(const FbShape *shape, const FbShape *scale, int64_t axis, int64_t block, const char *what, FbError *err);
/* The plan for known shapes that fb_quant_check accepted. */
FbQuantLayout fb_quant_layout(const FbTensor *tensor, const FbTensor *scale, int64_t axis, int64_t block);
FbQuantRun fb_quant_run(const FbQuantLayout *layout, int64_t index);

#endif
