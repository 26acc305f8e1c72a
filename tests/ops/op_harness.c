/* Running one operator row for the tests. */
#include "op_harness.h"

#include <setjmp.h>
#include <stdarg.h>
#include <cmocka.h>
#include <math.h>
#include <stdio.h>

void op_test_begin(OpTest *test, const char *domain, const char *op_type, int version)
{
    memset(test, 0, sizeof *test);
    FbContextOptions options = {.struct_bytes = sizeof options, .threads = 2};
    assert_int_equal(fb_context_create(&options, &test->context, NULL), FB_OK);
    test->arena = fb_arena_create(test->context);
    assert_non_null(test->arena);
    test->node = (FbNode){.name = "node", .op_type = op_type, .domain = domain, .version = version, .inputs = test->input_ids,
                          .outputs = test->output_ids, .attributes = test->attributes};
    test->output_count = 1;
}

void op_test_end(OpTest *test)
{
    fb_arena_free(test->arena);
    fb_context_free(test->context);
}

static FbAttribute *attribute(OpTest *test, const char *name, FbAttributeType type)
{
    assert_true(test->node.attribute_count < OP_ATTRIBUTES_MAX);
    FbAttribute *a = &test->attributes[test->node.attribute_count++];
    a->name = name;
    a->type = type;
    return a;
}

void op_test_int(OpTest *test, const char *name, int64_t value) { attribute(test, name, FB_ATTR_INT)->i = value; }
void op_test_float(OpTest *test, const char *name, float value) { attribute(test, name, FB_ATTR_FLOAT)->f = value; }
void op_test_string(OpTest *test, const char *name, const char *value)
{
    attribute(test, name, FB_ATTR_STRING)->s = (FbBytes){(const uint8_t *)value, strlen(value)};
}
void op_test_ints(OpTest *test, const char *name, const int64_t *values, size_t count)
{
    FbAttribute *a = attribute(test, name, FB_ATTR_INTS);
    a->ints = values;
    a->count = count;
}
void op_test_floats(OpTest *test, const char *name, const float *values, size_t count)
{
    FbAttribute *a = attribute(test, name, FB_ATTR_FLOATS);
    a->floats = values;
    a->count = count;
}

FbTensor *op_test_tensor(OpTest *test, FbDtype dtype, int rank, const int64_t *dims, const void *data)
{
    FbShape shape = fb_shape_make(rank, dims);
    FbTensor *tensor = fb_tensor_create(test->arena, dtype, &shape);
    assert_non_null(tensor);
    if (tensor->bytes) {
        memcpy(tensor->data, data, tensor->bytes);
    }
    return tensor;
}

void op_test_input(OpTest *test, const FbTensor *tensor)
{
    assert_true(test->input_count < OP_INPUTS_MAX);
    test->inputs[test->input_count++] = tensor;
}
void op_test_f32(OpTest *test, int rank, const int64_t *dims, const float *data)
{
    op_test_input(test, op_test_tensor(test, FB_DTYPE_F32, rank, dims, data));
}
void op_test_s64(OpTest *test, int rank, const int64_t *dims, const int64_t *data)
{
    op_test_input(test, op_test_tensor(test, FB_DTYPE_S64, rank, dims, data));
}
void op_test_outputs(OpTest *test, int count)
{
    assert_true(count <= OP_OUTPUTS_MAX);
    test->output_count = count;
}

static FbStatus infer_once(OpTest *test, const FbOp *op, void *params, bool values, FbType *outputs, bool *pending)
{
    FbType inputs[OP_INPUTS_MAX] = {{0}};
    for (int i = 0; i < test->input_count; i++) {
        const FbTensor *t = test->inputs[i];
        if (t) {
            inputs[i] = (FbType){.present = true, .dtype = t->dtype, .shape = fb_tensor_shape(t), .value = values ? t : NULL};
        }
    }
    for (int i = 0; i < test->output_count; i++) {
        outputs[i] = (FbType){.present = true, .shape.rank = -1};
    }
    FbInfer infer = {.context = test->context, .arena = test->arena, .node = &test->node, .params = params, .input_count = test->input_count,
                     .output_count = test->output_count, .inputs = inputs, .outputs = outputs};
    FbStatus status = op->infer(&infer, &test->error);
    *pending = infer.pending;
    return status;
}

/* What is known without values must be what is found with them. */
static void check_agreement(const FbType *early, const FbType *late)
{
    if (early->dtype != FB_DTYPE_NONE) {
        assert_int_equal(early->dtype, late->dtype);
    }
    if (early->shape.rank >= 0) {
        assert_int_equal(early->shape.rank, late->shape.rank);
        for (int d = 0; d < early->shape.rank; d++) {
            assert_true(early->shape.dims[d] < 0 || early->shape.dims[d] == late->shape.dims[d]);
        }
    }
}

FbStatus op_test_run(OpTest *test)
{
    const FbOp *op;
    void *params, *scratch = NULL;
    FbType early[OP_OUTPUTS_MAX], late[OP_OUTPUTS_MAX];
    bool early_pending, late_pending;
    test->node.input_count = (uint32_t)test->input_count;
    test->node.output_count = (uint32_t)test->output_count;
    for (int i = 0; i < test->input_count; i++) {
        test->input_ids[i] = test->inputs[i] ? (FbId)i : FB_NONE;
    }
    for (int i = 0; i < test->output_count; i++) {
        test->output_ids[i] = (FbId)(100 + i);
    }
    FB_TRY(fb_op_decode(&test->node, test->arena, &op, &params, &test->error));
    FB_TRY(infer_once(test, op, params, false, early, &early_pending));
    FB_TRY(infer_once(test, op, params, true, late, &late_pending));
    assert_false(late_pending);
    for (int i = 0; i < test->output_count; i++) {
        check_agreement(&early[i], &late[i]);
        assert_true(fb_shape_is_known(&late[i].shape));
        test->outputs[i] = fb_tensor_create(test->arena, late[i].dtype, &late[i].shape);
        assert_non_null(test->outputs[i]);
    }
    FbCall call = {.context = test->context, .node = &test->node, .params = params, .input_count = test->input_count,
                   .output_count = test->output_count, .inputs = test->inputs, .outputs = test->outputs};
    if (op->scratch) {
        call.scratch_bytes = op->scratch(&call);
        scratch = fb_alloc(test->context, call.scratch_bytes);
        assert_non_null(scratch);
        call.scratch = scratch;
    }
    assert_non_null(op->run);
    FbStatus status = op->run(&call, &test->error);
    fb_free(test->context, scratch);
    return status;
}

void op_expect_shape(const OpTest *test, int i, FbDtype dtype, int rank, const int64_t *dims)
{
    const FbTensor *t = test->outputs[i];
    assert_non_null(t);
    assert_int_equal(t->dtype, dtype);
    assert_int_equal(t->rank, rank);
    for (int d = 0; d < rank; d++) {
        assert_int_equal(t->dims[d], dims[d]);
    }
}

static int64_t ordered_bits(float value)
{
    int32_t bits;
    memcpy(&bits, &value, sizeof bits);
    return bits < 0 ? (int64_t)INT32_MIN - bits : bits;
}

void op_expect_f32(const OpTest *test, int i, const float *expected, int64_t count, unsigned ulps)
{
    const FbTensor *t = test->outputs[i];
    assert_non_null(t);
    assert_int_equal(t->dtype, FB_DTYPE_F32);
    assert_int_equal(fb_tensor_elements(t), count);
    for (int64_t k = 0; k < count; k++) {
        float got = ((const float *)t->data)[k];
        int64_t distance = ordered_bits(got) - ordered_bits(expected[k]);
        bool same = isnan(expected[k]) ? isnan(got) : !isnan(got) && distance <= (int64_t)ulps && -distance <= (int64_t)ulps;
        if (!same) {
            fail_msg("%s: element %lld is %.9g, expected %.9g", test->node.op_type, (long long)k, (double)got, (double)expected[k]);
        }
    }
}

void op_expect_bytes(const OpTest *test, int i, const void *expected, size_t bytes)
{
    assert_non_null(test->outputs[i]);
    assert_int_equal(test->outputs[i]->bytes, bytes);
    assert_memory_equal(test->outputs[i]->data, expected, bytes);
}
