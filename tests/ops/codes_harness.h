/* Runs an operator's lowering on codes and counts where it differs from the operator's own run in float on what the codes stand for. */
#ifndef FB_TESTS_CODES_HARNESS_H
#define FB_TESTS_CODES_HARNESS_H

#include "op_harness.h"
#include "ops/lowering.h"

typedef struct CodesTest {
    OpTest op;
    FbCodeGrid grids[OP_INPUTS_MAX];
    const uint8_t *codes[OP_INPUTS_MAX];  /* NULL: the input is real */
    bool constant[OP_INPUTS_MAX];
    int fused_count;                      /* functions of one value */
    FbFusedOp fused[FB_EPILOGUE_MAX];
    const FbCodeGrid *store;              /* NULL: reals */
    int64_t total, different;             /* out, added up: stored codes, and those that are one off */
} CodesTest;

/* Seeded codes in the grid's range, as an input and as the reals that they stand for. */
void codes_test_codes(CodesTest *test, int rank, const int64_t *dims, FbCodeGrid grid, uint64_t seed);
void codes_test_reals(CodesTest *test, int rank, const int64_t *dims, bool constant, uint64_t seed);
/* Runs the operator and its lowering, in the order of the graph or channels last; refuses a difference of more than one unit of the store, or of
 * more than 1e-5 of the largest real. */
void codes_test_run(CodesTest *test, bool channels_last);
/* What accepts says. */
bool codes_test_accepts(CodesTest *test, bool channels_last);

#endif
