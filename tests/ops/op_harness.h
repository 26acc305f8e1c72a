/* Runs one operator row on tensors, as a session would: decode, infer (with and without the values), run. */
#ifndef FB_TESTS_OP_HARNESS_H
#define FB_TESTS_OP_HARNESS_H

#include "ops/op.h"

enum { OP_INPUTS_MAX = 16, OP_OUTPUTS_MAX = 8, OP_ATTRIBUTES_MAX = 16 };

typedef struct OpTest {
    FbContext *context;
    FbArena *arena;
    FbNode node;
    FbAttribute attributes[OP_ATTRIBUTES_MAX];
    FbId input_ids[OP_INPUTS_MAX], output_ids[OP_OUTPUTS_MAX];
    const FbTensor *inputs[OP_INPUTS_MAX]; /* NULL: absent */
    FbTensor *outputs[OP_OUTPUTS_MAX];     /* filled by op_test_run; in the arena */
    int input_count, output_count;
    FbError error;
} OpTest;

/* Prepares a node of an operator with one output; add inputs and attributes, then run. domain "" is ONNX's. */
void op_test_begin(OpTest *test, const char *domain, const char *op_type, int version);
void op_test_end(OpTest *test);

void op_test_int(OpTest *test, const char *name, int64_t value);
void op_test_float(OpTest *test, const char *name, float value);
void op_test_string(OpTest *test, const char *name, const char *value);
void op_test_ints(OpTest *test, const char *name, const int64_t *values, size_t count);
void op_test_floats(OpTest *test, const char *name, const float *values, size_t count);

/* A tensor in the test's arena; data is copied, in the type's storage form. dims: rank numbers. */
FbTensor *op_test_tensor(OpTest *test, FbDtype dtype, int rank, const int64_t *dims, const void *data);
void op_test_input(OpTest *test, const FbTensor *tensor); /* NULL: an absent optional input */
/* Shorthands: a new input of this type and shape. */
void op_test_f32(OpTest *test, int rank, const int64_t *dims, const float *data);
void op_test_s64(OpTest *test, int rank, const int64_t *dims, const int64_t *data);
void op_test_outputs(OpTest *test, int count);            /* when other than 1 */

/* Decode, infer on the types without values (must agree with what follows), infer with values, run. The status is test->error's too. */
FbStatus op_test_run(OpTest *test);

/* Assert type, shape and elements of output i (f32: equal as numbers within `ulps`; NaN equals NaN). */
void op_expect_shape(const OpTest *test, int i, FbDtype dtype, int rank, const int64_t *dims);
void op_expect_f32(const OpTest *test, int i, const float *expected, int64_t count, unsigned ulps);
void op_expect_bytes(const OpTest *test, int i, const void *expected, size_t bytes);

#endif
