/* The store of a step that computes in float from codes. */
#ifndef FB_OPS_CODES_STORE_H
#define FB_OPS_CODES_STORE_H

#include "ops/lowering.h"

/* True for functions of one value, with at most one ROUND, the last. */
bool fb_codes_store_accepts(const FbPrepare *prepare);
/* `after` as FbCodesBinary reads it. */
void fb_codes_store_prepare(const FbPrepare *prepare, FbIntegerEpilogue *after);
/* True when nothing but the store follows: no operation, or the ROUND that it does. */
bool fb_codes_store_is_plain(const FbPrepare *prepare);

#endif
