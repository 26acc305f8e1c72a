/* Runs an operator's lowering on the tensors of an OpTest whose plain run has been done, and compares bit for bit. */
#ifndef FB_TESTS_LOWERING_HARNESS_H
#define FB_TESTS_LOWERING_HARNESS_H

#include "op_harness.h"
#include "ops/lowering.h"

typedef struct LoweringTest {
    unsigned constants;     /* bit i: input i is a constant */
    bool channels_last;
    int fused_count;
    FbFusedOp fused[FB_EPILOGUE_MAX];
    const FbTensor *operand; /* of the fused ADD or MUL, in the plain output's order */
    const float *late_bias;  /* a bias that the compiler found behind the node, one per output column or channel; NULL: none */
    int64_t late_bias_count;
} LoweringTest;

/* After op_test_run. `expected`: elements in the plain output's order. */
void lowering_test(OpTest *test, const LoweringTest *how, const float *expected);
/* The seeded values of kernel tests: in (-1, 1), deterministic. */
void lowering_fill(float *to, int64_t count, uint64_t seed);

#endif
