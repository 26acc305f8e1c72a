/* The store of a step that computes in float from codes. */
#ifndef FB_OPS_CODES_STORE_H
#define FB_OPS_CODES_STORE_H

#include "ops/lowering.h"

/* True for functions of one value, with at most one ROUND, the last. */
bool fb_codes_store_accepts(const FbPrepare *prepare);
/* `after` as FbCodesBinary reads it. */
void fb_codes_store_prepare(const FbPrepare *prepare, FbIntegerEpilogue *after);
/* A clamp right before a store on `grid` is one of codes, as division and rounding are monotone: clamps at the end of `ops` narrow the grid.
 * How many operations are left. */
int fb_codes_fold_clamps(const FbFusedOp *ops, int count, FbCodeGrid *grid);
/* The grid of a ROUND whose codes fit into 8 bits, moved up so that the lowest the type can hold is 0; false: another operation, or more bits. */
bool fb_codes_grid_of_round(const FbFusedOp *op, FbCodeGrid *grid);
/* True when nothing but the store follows: no operation, or the ROUND that it does. */
bool fb_codes_store_is_plain(const FbPrepare *prepare);

#endif
