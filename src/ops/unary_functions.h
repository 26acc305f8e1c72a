/* The table of unary functions behind ops/unary.c: which loop computes each operator for float, double and integers. */
#ifndef FB_OPS_UNARY_FUNCTIONS_H
#define FB_OPS_UNARY_FUNCTIONS_H

#include "kernels/functions.h"
#include "ops/check.h"

typedef void (*FbUnaryF64)(const double *x, double *y, size_t count, double a, double b);
typedef void (*FbUnaryS64)(const int64_t *x, int64_t *y, size_t count);

enum { FB_UNARY_NO_KERNEL = FB_UNARY_COUNT };

typedef struct FbUnaryFunction {
    const char *op_type;
    FbDtypeMask types;
    FbUnaryKind kind;  /* the kernel for float; FB_UNARY_NO_KERNEL: `wide` on the float widened to double, rounded once */
    FbUnaryF64 wide;   /* for double, and for float without a kernel */
    FbUnaryS64 whole;  /* for integers (unsigned ones arrive zero-extended); NULL: none */
} FbUnaryFunction;

const FbUnaryFunction *fb_unary_function(const char *op_type); /* NULL: not in the table */
/* Whether Gelu uses the tanh form has its own entries, "Gelu" and "Gelu tanh". */

#endif
