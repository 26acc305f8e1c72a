/* The store of a step that computes in float from codes. */
#ifndef FB_OPS_CODES_STORE_H
#define FB_OPS_CODES_STORE_H

#include "ops/lowering.h"

/* True for functions of one value whose ROUNDs but the last are to 8 bits and followed by a store as codes. */
bool fb_codes_store_accepts(const FbPrepare *prepare);
/* `after` as FbCodesBinary reads it. */
FbStatus fb_codes_store_prepare(const FbPrepare *prepare, FbIntegerEpilogue *after, FbError *err);
/* A clamp right before a store on `grid` is one of codes, as division and rounding are monotone: clamps at the end of `ops` narrow the grid.
 * How many operations are left. */
int fb_codes_fold_clamps(const FbFusedOp *ops, int count, FbCodeGrid *grid);
/* Takes everything behind the first ROUND that no operand follows out of `ops`, in front of a store on *grid, and makes a table of 256 entries of
 * it: *grid is then that ROUND's, *table maps its codes to those of the store (as it is: nothing to map), *count what is left in front. */
FbStatus fb_codes_fold_rounds(const FbPrepare *prepare, const FbFusedOp *ops, int *count, FbCodeGrid *grid, const uint8_t **table, FbError *err);
/* The grid of a ROUND whose codes fit into 8 bits, moved up so that the lowest the type can hold is 0; false: another operation, or more bits. */
bool fb_codes_grid_of_round(const FbFusedOp *op, FbCodeGrid *grid);
/* True when nothing but the store follows: no operation, or the ROUND that it does. */
bool fb_codes_store_is_plain(const FbPrepare *prepare);

#endif
