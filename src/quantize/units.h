/* The queue of work on weights: one unit per constant and encoding, known by the hash of all that decides its codes. */
#ifndef FB_QUANTIZE_UNITS_H
#define FB_QUANTIZE_UNITS_H

#include "base/array.h"
#include "graph/graph.h"

typedef struct FbUnit {
    const char *name;    /* of the weight */
    const FbConst *from; /* float elements */
    FbConst *to;         /* made by fb_weight_prepare: all but the codes is there */
    bool symmetric;
    char key[65];        /* "" until it has run */
} FbUnit;

typedef FB_ARRAY(FbUnit) FbUnits;

#define FB_UNIT_METHOD "round-to-nearest"

/* `name` must outlive the queue. */
FbStatus fb_units_push(FbContext *context, FbUnits *units, const char *name, const FbConst *from, FbConst *to, bool symmetric, FbError *err);
/* Runs the units that have not run yet and whose constant `used` marks by its index (NULL: all), in order. Units with equal keys share one
 * buffer. Sources are read by ranges; threads do not change the result. */
FbStatus fb_units_run(FbContext *context, FbUnits *units, const bool *used, FbError *err);
/* SHA-256 in hex over method, code, grain, axis, block, symmetry, shape, scales, zero points and elements. */
FbStatus fb_unit_key(FbContext *context, const FbUnit *unit, char key[65], FbError *err);

#endif
