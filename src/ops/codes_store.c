/* Stores of steps on codes. */
#include "ops/codes_store.h"

#include <math.h>

bool fb_codes_store_accepts(const FbPrepare *prepare)
{
    for (int i = 0; i < prepare->fused_count; i++) {
        const FbFusedOp *op = &prepare->fused[i];
        if (fb_fused_has_operand(op) || (op->kind == FB_EPILOGUE_ROUND && i + 1 < prepare->fused_count)) {
            return false;
        }
    }
    return prepare->store_grid == NULL || (prepare->fused_count > 0 && prepare->fused[prepare->fused_count - 1].kind == FB_EPILOGUE_ROUND);
}

bool fb_codes_store_is_plain(const FbPrepare *prepare)
{
    return prepare->fused_count == 0 ||
           (prepare->fused_count == 1 && prepare->fused[0].kind == FB_EPILOGUE_ROUND && prepare->store_grid != NULL);
}

static int32_t bound_of(float bound, const FbCodeGrid *grid)
{
    const float code = rintf(bound / grid->scale) + (float)grid->zero;
    return code > (float)grid->low ? code < (float)grid->high ? (int32_t)code : grid->high : grid->low;
}

int fb_codes_fold_clamps(const FbFusedOp *ops, int count, FbCodeGrid *grid)
{
    for (; count > 0 && ops[count - 1].kind == FB_EPILOGUE_CLAMP; count--) {
        const int32_t low = bound_of(ops[count - 1].a, grid), high = bound_of(ops[count - 1].b, grid);
        grid->low = low;
        grid->high = high;
    }
    return count;
}

bool fb_codes_grid_of_round(const FbFusedOp *op, FbCodeGrid *grid)
{
    const int32_t up = op->low < 0 ? -op->low : 0;
    *grid = (FbCodeGrid){.scale = op->a, .zero = (int32_t)op->b + up, .low = op->low + up, .high = op->high + up};
    return op->kind == FB_EPILOGUE_ROUND && grid->low >= 0 && grid->high <= 255 && grid->zero >= 0 && grid->zero <= 255;
}

void fb_codes_store_prepare(const FbPrepare *prepare, FbIntegerEpilogue *after)
{
    const FbFusedOp *ops = prepare->fused;
    int count = prepare->fused_count;
    *after = (FbIntegerEpilogue){.codes = prepare->store_grid != NULL, .grid = {.scale = 1}};
    if (prepare->store_grid != NULL) {
        after->grid = *prepare->store_grid;
        count--; /* the store is this ROUND */
    }
    after->real.count = count = after->codes ? fb_codes_fold_clamps(ops, count, &after->grid) : count;
    for (int i = 0; i < count; i++) {
        after->real.ops[i] = (FbEpilogueOp){.kind = ops[i].kind, .a = ops[i].a, .b = ops[i].b, .low = ops[i].low, .high = ops[i].high};
    }
}
