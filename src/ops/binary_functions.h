/* Element loops of the binary operators, on the work types of ops/elements.h. */
#ifndef FB_OPS_BINARY_FUNCTIONS_H
#define FB_OPS_BINARY_FUNCTIONS_H

#include "ops/check.h"
#include "ops/elements.h"

/* y[i] = f(a[i], b[i]); y may be a or b. False: an integer divisor was 0 (y is then 0 there). */
typedef bool (*FbBinaryLoopF32)(const float *a, const float *b, float *y, size_t count);
typedef bool (*FbBinaryLoopF64)(const double *a, const double *b, double *y, size_t count);
typedef bool (*FbBinaryLoopS64)(const int64_t *a, const int64_t *b, int64_t *y, size_t count);
typedef bool (*FbBinaryLoopU64)(const uint64_t *a, const uint64_t *b, uint64_t *y, size_t count);

typedef struct FbBinaryFunction {
    const char *name;   /* operator type, or "operator form" where an attribute chooses */
    FbDtypeMask types;  /* of both inputs */
    bool compares;      /* the result is bool, given as 0 or 1 in the work type */
    FbBinaryLoopF32 f32;
    FbBinaryLoopF64 f64;
    FbBinaryLoopS64 s64;
    FbBinaryLoopU64 u64;
} FbBinaryFunction;

const FbBinaryFunction *fb_binary_function(const char *name); /* NULL: not in the table */

/* Powers with an exponent type of their own. Whole bases with whole exponents wrap as multiplication does. */
double fb_power(double base, double exponent);
int64_t fb_power_whole(int64_t base, int64_t exponent);

#endif
