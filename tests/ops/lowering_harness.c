/* Running one operator's lowering for the tests. */
#include "lowering_harness.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

#include "base/random.h"

void lowering_fill(float *to, int64_t count, uint64_t seed)
{
    for (int64_t i = 0; i < count; i++) {
        to[i] = (float)(fb_random_unit(seed, 7, (uint64_t)i) * 2 - 1);
    }
}

/* N, C, spatial -> N, spatial, C, or back. Exact-size memory, so that an overrun is seen. */
static FbTensor turned(const FbTensor *from, bool to_last)
{
    FbTensor t = *from;
    const int64_t channels = to_last ? from->dims[1] : from->dims[from->rank - 1];
    int64_t pixels = 1;
    for (int i = 0; i < from->rank - 2; i++) {
        t.dims[(to_last ? 1 : 2) + i] = from->dims[(to_last ? 2 : 1) + i];
        pixels *= from->dims[(to_last ? 2 : 1) + i];
    }
    t.dims[to_last ? t.rank - 1 : 1] = channels;
    t.data = malloc(t.bytes ? t.bytes : 1);
    assert_non_null(t.data);
    for (int64_t n = 0; n < from->dims[0]; n++) {
        for (int64_t p = 0; p < pixels; p++) {
            for (int64_t c = 0; c < channels; c++) {
                const int64_t last = (n * pixels + p) * channels + c, first = (n * channels + c) * pixels + p;
                ((float *)t.data)[to_last ? last : first] = ((const float *)from->data)[to_last ? first : last];
            }
        }
    }
    return t;
}

static FbTensor copied(const FbTensor *from)
{
    FbTensor t = *from;
    t.data = malloc(t.bytes ? t.bytes : 1);
    assert_non_null(t.data);
    if (t.bytes) {
        memcpy(t.data, from->data, t.bytes);
    }
    return t;
}

static void as_constant(OpTest *test, const FbTensor *tensor, FbConst *constant)
{
    memset(constant, 0, sizeof *constant);
    constant->dtype = tensor->dtype;
    constant->shape = fb_tensor_shape(tensor);
    FbBuffer *buffer = fb_buffer_create(test->context, tensor->bytes);
    assert_non_null(buffer);
    if (tensor->bytes) {
        memcpy(fb_buffer_data(buffer), tensor->data, tensor->bytes);
    }
    constant->planes[FB_PLANE_CODES] = (FbPlane){.bytes = tensor->bytes, .buffer = buffer};
}

void lowering_test(OpTest *test, const LoweringTest *how, const float *expected)
{
    enum { ALL = 16 };
    const FbOp *op;
    void *params, *state = NULL;
    FbConst constants[ALL];
    FbConst *pointers[ALL] = {NULL};
    FbTensor physical[ALL], bias, output;
    const FbTensor *inputs[ALL] = {NULL};
    FbType types[ALL] = {{0}};
    int count = test->input_count;
    assert_int_equal(fb_op_decode(&test->node, test->arena, &op, &params, &test->error), FB_OK);
    for (int i = 0; i < count; i++) {
        const FbTensor *t = test->inputs[i];
        types[i] = (FbType){.present = t != NULL, .dtype = t ? t->dtype : FB_DTYPE_NONE};
        if (t) {
            types[i].shape = fb_tensor_shape(t);
            physical[i] = i == 0 && how->channels_last ? turned(t, true) : copied(t);
            inputs[i] = &physical[i];
        }
        if (t && (how->constants >> i & 1)) {
            as_constant(test, t, &constants[i]);
            pointers[i] = &constants[i];
            free(physical[i].data);
            physical[i].data = NULL;
        }
    }
    if (how->late_bias) {
        bias = (FbTensor){FB_DTYPE_F32, 1, {how->late_bias_count}, (void *)(uintptr_t)how->late_bias, (size_t)how->late_bias_count * 4};
        assert_int_equal(count, 2);
        as_constant(test, &bias, &constants[2]);
        bias.data = NULL;
        pointers[2] = &constants[2];
        inputs[2] = &bias;
        types[2] = (FbType){.present = true, .dtype = FB_DTYPE_F32, .shape = {1, {how->late_bias_count}}};
        count = 3;
    }
    FbPrepare prepare = {.context = test->context, .arena = test->arena, .node = &test->node, .params = params, .input_count = count,
                         .constants = pointers, .inputs = types, .channels_last = how->channels_last, .fused_count = how->fused_count};
    memcpy(prepare.fused, how->fused, sizeof prepare.fused);
    FbTensor operand = {0};
    if (how->operand) {
        operand = how->channels_last ? turned(how->operand, true) : copied(how->operand);
        for (int i = 0; i < how->fused_count; i++) {
            prepare.fused[i].operand = prepare.fused[i].operand >= 0 ? count : -1;
        }
        inputs[count] = &operand;
    }
    assert_non_null(op->lowering);
    assert_true(op->lowering->accepts(&prepare));
    assert_int_equal(op->lowering->prepare(&prepare, &state, &test->error), FB_OK);
    output = how->channels_last ? turned(test->outputs[0], true) : copied(test->outputs[0]);
    memset(output.data, 0xff, output.bytes);
    FbTensor *outputs[1] = {&output};
    FbCall call = {.context = test->context, .node = &test->node, .params = params, .input_count = count + (how->operand ? 1 : 0),
                   .output_count = 1, .inputs = inputs, .outputs = outputs, .channels_last = how->channels_last, .state = state};
    FbBind bind = {.context = test->context, .arena = test->arena, .params = params, .state = state, .call = &call};
    assert_int_equal(op->lowering->bind(&bind, &test->error), FB_OK);
    call.bound = bind.bound;
    call.scratch_bytes = bind.scratch_bytes;
    call.scratch = fb_alloc(test->context, bind.scratch_bytes);
    assert_non_null(call.scratch);
    assert_int_equal(op->lowering->run(&call, &test->error), FB_OK);
    fb_free(test->context, call.scratch);
    bool empty = false;
    for (int i = 0; i < test->input_count; i++) {
        empty = empty || (test->inputs[i] && fb_tensor_elements(test->inputs[i]) == 0);
    }
    assert_int_equal(op->lowering->macs(&call) == 0, empty);
    FbTensor plain = how->channels_last ? turned(&output, false) : copied(&output);
    for (int64_t i = 0; i < fb_tensor_elements(&plain); i++) {
        const float got = ((float *)plain.data)[i];
        if (memcmp(&got, &expected[i], sizeof got) != 0) {
            fail_msg("%s lowered: element %lld is %a, expected %a", op->name, (long long)i, (double)got, (double)expected[i]);
        }
    }
    free(plain.data), free(output.data), free(operand.data);
    for (int i = 0; i < test->input_count; i++) {
        if (inputs[i]) {
            free(physical[i].data);
        }
    }
    for (int i = 0; i < ALL; i++) {
        if (pointers[i]) {
            fb_buffer_release(pointers[i]->planes[FB_PLANE_CODES].buffer);
        }
    }
    if (op->lowering->release) {
        op->lowering->release(test->context, state);
    }
}
