/* Stores of steps on codes. */
#include "ops/codes_store.h"

#include <math.h>

#include "kernels/functions.h"
#include "kernels/round_grid.h"

enum { CODES = 256 };

bool fb_codes_store_accepts(const FbPrepare *prepare)
{
    for (int i = 0; i < prepare->fused_count; i++) {
        const FbFusedOp *op = &prepare->fused[i];
        FbCodeGrid grid;
        const bool last = i + 1 == prepare->fused_count;
        if (fb_fused_has_operand(op) ||
            (op->kind == FB_EPILOGUE_ROUND && !last && (prepare->store_grid == NULL || !fb_codes_grid_of_round(op, &grid)))) {
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

/* ---- everything behind a ROUND, as a table over its codes ---- */

static void table_op(FbContext *context, const FbFusedOp *op, float values[CODES])
{
    static const struct { FbEpilogueKind kind; FbUnaryKind function; } functions[] = {
        {FB_EPILOGUE_CLAMP, FB_UNARY_CLAMP}, {FB_EPILOGUE_LEAKY, FB_UNARY_LEAKY}, {FB_EPILOGUE_SIGMOID, FB_UNARY_SIGMOID},
        {FB_EPILOGUE_SILU, FB_UNARY_SILU}, {FB_EPILOGUE_TANH, FB_UNARY_TANH}, {FB_EPILOGUE_HARD_SIGMOID, FB_UNARY_HARD_SIGMOID},
        {FB_EPILOGUE_HARD_SWISH, FB_UNARY_HARD_SWISH}, {FB_EPILOGUE_GELU_ERF, FB_UNARY_GELU_ERF}};
    const unsigned cpu = fb_context_cpu(context);
    if (op->kind == FB_EPILOGUE_ROUND) {
        fb_grid_f32_pick(cpu)->round_tensor(values, values, CODES, op->a, (int32_t)op->b, op->low, op->high);
    }
    for (size_t i = 0; i < sizeof functions / sizeof *functions; i++) {
        if (functions[i].kind == op->kind) {
            fb_unary_f32_pick(cpu, functions[i].function)(values, values, CODES, op->a, op->b);
        }
    }
}

/* A table that only narrows the range is none: the store's bounds do it. */
static bool only_narrows(const uint8_t table[CODES], FbCodeGrid *grid)
{
    const int32_t low = table[grid->low], high = table[grid->high];
    for (int32_t c = grid->low; c <= grid->high; c++) {
        if (table[c] != (c < low ? low : c > high ? high : c)) {
            return false;
        }
    }
    grid->low = low;
    grid->high = high;
    return true;
}

FbStatus fb_codes_fold_rounds(const FbPrepare *prepare, const FbFusedOp *ops, int *count, FbCodeGrid *store, const uint8_t **result,
                              FbError *err)
{
    int first = *count;
    FbCodeGrid grid = {0}, found = {0};
    for (int i = *count - 1; i >= 0 && !fb_fused_has_operand(&ops[i]); i--) {
        if (fb_codes_grid_of_round(&ops[i], &grid)) {
            first = i;
            found = grid;
        }
    }
    if (first == *count) {
        return FB_OK;
    }
    float values[CODES];
    uint8_t *table = fb_arena_alloc(prepare->arena, CODES);
    if (!table) {
        return fb_error_memory(prepare->context, err, "a table of codes", CODES);
    }
    for (int32_t c = 0; c < CODES; c++) {
        values[c] = (float)(c - found.zero) * found.scale;
    }
    for (int i = first + 1; i < *count; i++) {
        table_op(prepare->context, &ops[i], values);
    }
    fb_grid_f32_pick(fb_context_cpu(prepare->context))->quantize_u8(values, table, CODES, store->scale, store->zero);
    for (int32_t c = 0; c < CODES; c++) {
        table[c] = (uint8_t)(table[c] < store->low ? store->low : table[c] > store->high ? store->high : table[c]);
    }
    *count = first;
    *store = found;
    *result = only_narrows(table, store) ? NULL : table;
    return FB_OK;
}

/* ---- stores of steps that compute in float ---- */

FbStatus fb_codes_store_prepare(const FbPrepare *prepare, FbIntegerEpilogue *after, FbError *err)
{
    const FbFusedOp *ops = prepare->fused;
    int count = prepare->fused_count;
    *after = (FbIntegerEpilogue){.codes = prepare->store_grid != NULL, .grid = {.scale = 1}};
    if (prepare->store_grid != NULL) {
        after->grid = *prepare->store_grid;
        count--; /* the store is this ROUND */
        FB_TRY(fb_codes_fold_rounds(prepare, ops, &count, &after->grid, &after->table, err));
    }
    after->real.count = count = after->codes ? fb_codes_fold_clamps(ops, count, &after->grid) : count;
    for (int i = 0; i < count; i++) {
        after->real.ops[i] = (FbEpilogueOp){.kind = ops[i].kind, .a = ops[i].a, .b = ops[i].b, .low = ops[i].low, .high = ops[i].high};
    }
    return FB_OK;
}
