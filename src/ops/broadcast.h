/* Walking broadcast operands: dimensions merged where every operand allows it, pieces cut by shape only. */
#ifndef FB_OPS_BROADCAST_H
#define FB_OPS_BROADCAST_H

#include "ops/op.h"

enum { FB_BROADCAST_PIECE = 4096 }; /* elements of a row handled in one call at most */

/* One operand's strides in elements, against the plan's dimensions; 0 where it is repeated. */
typedef struct FbBroadcastOperand { int64_t strides[FB_RANK_MAX]; } FbBroadcastOperand;

typedef struct FbBroadcast {
    int rank;                       /* >= 1; the last dimension is the row, dense or repeated in every operand */
    int64_t dims[FB_RANK_MAX];
    int64_t rows, row;              /* rows * row = elements of the output */
    int operand_count;
    FbBroadcastOperand *operands;   /* the caller's memory */
} FbBroadcast;

/* shapes[k] must broadcast to `out`; fb_shape_broadcast has proved it. */
void fb_broadcast_plan(const FbShape *out, int operand_count, const FbShape *const *shapes, FbBroadcastOperand *operands, FbBroadcast *plan);

/* Calls `row(arg, out_first, firsts, count)` for every piece of every row, in parallel: `count` elements from out_first of the output and
 * from firsts[k] of operand k, with stride fb_broadcast_stride(plan, k). At most FB_BROADCAST_OPERANDS_MAX operands' firsts are given. */
enum { FB_BROADCAST_OPERANDS_MAX = 64 };
typedef void (*FbBroadcastRow)(void *arg, int64_t out_first, const int64_t *firsts, size_t count);
void fb_broadcast_run(FbContext *context, const FbBroadcast *plan, FbBroadcastRow row, void *arg);
static inline int64_t fb_broadcast_stride(const FbBroadcast *plan, int k) { return plan->operands[k].strides[plan->rank - 1]; }

#endif
