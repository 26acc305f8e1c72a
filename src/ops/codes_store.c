/* Stores of steps on codes. */
#include "ops/codes_store.h"

#include <math.h>

static bool has_operand(const FbFusedOp *op) { return op->kind == FB_EPILOGUE_ADD || op->kind == FB_EPILOGUE_MUL; }

bool fb_codes_store_accepts(const FbPrepare *prepare)
{
    for (int i = 0; i < prepare->fused_count; i++) {
        const FbFusedOp *op = &prepare->fused[i];
        if (has_operand(op) || (op->kind == FB_EPILOGUE_ROUND && i + 1 < prepare->fused_count)) {
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

/* Division and rounding are monotone: a clamp right before the store is one of codes. */
static int32_t bound_of(float bound, const FbCodeGrid *grid)
{
    const float code = rintf(bound / grid->scale) + (float)grid->zero;
    return code > (float)grid->low ? code < (float)grid->high ? (int32_t)code : grid->high : grid->low;
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
    while (after->codes && count > 0 && ops[count - 1].kind == FB_EPILOGUE_CLAMP) {
        count--;
        const int32_t low = bound_of(ops[count].a, &after->grid), high = bound_of(ops[count].b, &after->grid);
        after->grid.low = low;
        after->grid.high = high;
    }
    after->real.count = count;
    for (int i = 0; i < count; i++) {
        after->real.ops[i] = (FbEpilogueOp){.kind = ops[i].kind, .a = ops[i].a, .b = ops[i].b, .low = ops[i].low, .high = ops[i].high};
    }
}
