/* Concat of values held as codes of different grids, or of codes and reals. */
#ifndef FB_OPS_CODES_CONCAT_H
#define FB_OPS_CODES_CONCAT_H

#include "ops/lowering.h"

extern const FbLowering fb_codes_concat_lowering;

/* join.c: the axis in memory. */
FbStatus fb_concat_axis(const void *params, int rank, bool channels_last, int *axis, FbError *err);

#endif
