/* Plans and walks NumPy broadcasting. */
#include "ops/broadcast.h"

static int64_t natural_stride(const FbShape *shape, int from_end)
{
    int64_t stride = 1;
    for (int i = 1; i < from_end; i++) {
        stride *= shape->dims[shape->rank - i];
    }
    return stride;
}

/* Dimension d (from the front of `out`) can join the one after it when, in every operand, walking both is walking one. */
static bool can_merge(const FbBroadcast *plan, int d, int64_t next_dim)
{
    for (int k = 0; k < plan->operand_count; k++) {
        const int64_t *strides = plan->operands[k].strides;
        if (strides[d] != strides[d + 1] * next_dim) {
            return false;
        }
    }
    return true;
}

void fb_broadcast_plan(const FbShape *out, int operand_count, const FbShape *const *shapes, FbBroadcastOperand *operands, FbBroadcast *plan)
{
    *plan = (FbBroadcast){.rank = out->rank, .operand_count = operand_count, .operands = operands, .rows = 1};
    for (int d = 0; d < out->rank; d++) {
        plan->dims[d] = out->dims[d];
    }
    for (int k = 0; k < operand_count; k++) {
        memset(&operands[k], 0, sizeof operands[k]);
        for (int d = 0; d < out->rank; d++) {
            int from_end = out->rank - d;
            bool repeated = from_end > shapes[k]->rank || shapes[k]->dims[shapes[k]->rank - from_end] == 1;
            operands[k].strides[d] = repeated ? 0 : natural_stride(shapes[k], from_end);
        }
    }
    if (plan->rank == 0) {
        plan->rank = 1;
        plan->dims[0] = 1;
    }
    for (int d = plan->rank - 2; d >= 0; d--) {
        bool trivial = plan->dims[d] == 1, trivial_next = plan->dims[d + 1] == 1;
        if (!trivial && !trivial_next && !can_merge(plan, d, plan->dims[d + 1])) {
            continue;
        }
        for (int k = 0; k < operand_count; k++) {
            int64_t *strides = operands[k].strides;
            int64_t kept = trivial ? strides[d + 1] : trivial_next ? strides[d] : strides[d + 1];
            strides[d] = kept;
            memmove(&strides[d + 1], &strides[d + 2], (size_t)(plan->rank - d - 2) * sizeof strides[0]);
        }
        plan->dims[d] *= plan->dims[d + 1];
        memmove(&plan->dims[d + 1], &plan->dims[d + 2], (size_t)(plan->rank - d - 2) * sizeof plan->dims[0]);
        plan->rank--;
    }
    plan->row = plan->dims[plan->rank - 1];
    for (int d = 0; d < plan->rank - 1; d++) {
        plan->rows *= plan->dims[d];
    }
}

typedef struct BroadcastWork {
    const FbBroadcast *plan;
    FbBroadcastRow row;
    void *arg;
    int64_t pieces; /* of a row */
} BroadcastWork;

static void broadcast_task(void *task_arg, size_t slot, size_t begin, size_t end)
{
    const BroadcastWork *work = task_arg;
    const FbBroadcast *plan = work->plan;
    int64_t firsts[FB_BROADCAST_OPERANDS_MAX];
    (void)slot;
    for (size_t piece = begin; piece < end; piece++) {
        int64_t row = (int64_t)piece / work->pieces, column = (int64_t)piece % work->pieces * FB_BROADCAST_PIECE;
        int64_t count = plan->row - column < FB_BROADCAST_PIECE ? plan->row - column : FB_BROADCAST_PIECE;
        for (int k = 0; k < plan->operand_count; k++) {
            int64_t rest = row, first = column * plan->operands[k].strides[plan->rank - 1];
            for (int d = plan->rank - 2; d >= 0; d--) {
                first += rest % plan->dims[d] * plan->operands[k].strides[d];
                rest /= plan->dims[d];
            }
            firsts[k] = first;
        }
        work->row(work->arg, row * plan->row + column, firsts, (size_t)count);
    }
}

void fb_broadcast_run(FbContext *context, const FbBroadcast *plan, FbBroadcastRow row, void *arg)
{
    if (plan->row == 0 || plan->rows == 0) {
        return;
    }
    BroadcastWork work = {plan, row, arg, (plan->row + FB_BROADCAST_PIECE - 1) / FB_BROADCAST_PIECE};
    int64_t piece = plan->row < FB_BROADCAST_PIECE ? plan->row : FB_BROADCAST_PIECE;
    fb_parallel(context, broadcast_task, &work, (size_t)(plan->rows * work.pieces), (size_t)(1 + 4 * FB_BROADCAST_PIECE / piece));
}
