/* Concat of values held as codes of different grids, or of codes and reals. */
#ifndef FB_OPS_CODES_CONCAT_H
#define FB_OPS_CODES_CONCAT_H

#include "ops/lowering.h"

extern const FbLowering fb_codes_concat_lowering;

/* Input i goes to its place as it is: no other grid, no change between codes and reals. */
bool fb_codes_concat_copies(const void *state, int input);

/* join.c: the axis in memory, of Concat and of Split. */
FbStatus fb_join_axis(const void *params, int rank, bool channels_last, int *axis, FbError *err);

#endif
