/* Lowerings on codes for the tests. */
#include "codes_harness.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

#include "base/random.h"
#include "kernels/functions.h"
#include "kernels/round_grid.h"

void codes_test_codes(CodesTest *test, int rank, const int64_t *dims, FbCodeGrid grid, uint64_t seed)
{
    int64_t count = 1;
    for (int i = 0; i < rank; i++) {
        count *= dims[i];
    }
    uint8_t *codes = fb_arena_array(test->op.arena, (size_t)count + 1, 1);
    float *reals = fb_arena_array(test->op.arena, (size_t)count + 1, sizeof *reals);
    assert_true(codes && reals);
    for (int64_t i = 0; i < count; i++) {
        codes[i] = (uint8_t)(grid.low + (int32_t)fb_random_below(seed, 1, (uint64_t)i, (uint64_t)(grid.high - grid.low + 1)));
        reals[i] = grid.scale * (float)(codes[i] - grid.zero);
    }
    const int at = test->op.input_count;
    op_test_f32(&test->op, rank, dims, reals);
    test->codes[at] = codes;
    test->grids[at] = grid;
}

void codes_test_reals(CodesTest *test, int rank, const int64_t *dims, bool constant, uint64_t seed)
{
    int64_t count = 1;
    for (int i = 0; i < rank; i++) {
        count *= dims[i];
    }
    float *reals = fb_arena_array(test->op.arena, (size_t)count + 1, sizeof *reals);
    assert_non_null(reals);
    for (int64_t i = 0; i < count; i++) {
        reals[i] = (float)(fb_random_unit(seed, 2, (uint64_t)i) * 4 - 2);
    }
    test->constant[test->op.input_count] = constant;
    op_test_f32(&test->op, rank, dims, reals);
}

/* N, C, spatial -> N, spatial, C, or back, of elements of `size` bytes; a plain copy when both orders are the same. Exact-size memory. */
static FbTensor turned(const FbTensor *from, const void *data, size_t size, bool turn, bool to_last)
{
    FbTensor t = *from;
    t.bytes = (size_t)fb_tensor_elements(from) * size;
    t.dtype = size == 1 ? FB_DTYPE_U8 : from->dtype;
    t.data = malloc(t.bytes ? t.bytes : 1);
    assert_non_null(t.data);
    if (!turn || from->rank < 3) {
        memcpy(t.data, data, t.bytes);
        return t;
    }
    const int64_t channels = to_last ? from->dims[1] : from->dims[from->rank - 1];
    int64_t pixels = 1;
    for (int i = 0; i < from->rank - 2; i++) {
        t.dims[(to_last ? 1 : 2) + i] = from->dims[(to_last ? 2 : 1) + i];
        pixels *= from->dims[(to_last ? 2 : 1) + i];
    }
    t.dims[to_last ? t.rank - 1 : 1] = channels;
    for (int64_t n = 0; n < from->dims[0]; n++) {
        for (int64_t p = 0; p < pixels; p++) {
            for (int64_t c = 0; c < channels; c++) {
                const size_t last = (size_t)((n * pixels + p) * channels + c), first = (size_t)((n * channels + c) * pixels + p);
                memcpy((char *)t.data + (to_last ? last : first) * size, (const char *)data + (to_last ? first : last) * size, size);
            }
        }
    }
    return t;
}

static void make_constant(CodesTest *test, const FbTensor *tensor, FbConst *constant)
{
    memset(constant, 0, sizeof *constant);
    constant->dtype = tensor->dtype;
    constant->shape = fb_tensor_shape(tensor);
    FbBuffer *buffer = fb_buffer_create(test->op.context, tensor->bytes);
    assert_non_null(buffer);
    memcpy(fb_buffer_data(buffer), tensor->data, tensor->bytes);
    constant->planes[FB_PLANE_CODES] = (FbPlane){.bytes = tensor->bytes, .buffer = buffer};
}

/* What a prepare needs, together. */
typedef struct Setup {
    const FbOp *op;
    void *params;
    FbConst constants[OP_INPUTS_MAX];
    FbConst *pointers[OP_INPUTS_MAX];
    const FbCodeGrid *grids[OP_INPUTS_MAX];
    FbType types[OP_INPUTS_MAX];
    FbPrepare prepare;
} Setup;

static void set_up(CodesTest *test, bool channels_last, Setup *s)
{
    memset(s, 0, sizeof *s);
    assert_int_equal(fb_op_decode(&test->op.node, test->op.arena, &s->op, &s->params, &test->op.error), FB_OK);
    for (int i = 0; i < test->op.input_count; i++) {
        const FbTensor *t = test->op.inputs[i];
        s->types[i] = (FbType){.present = true, .dtype = t->dtype, .shape = fb_tensor_shape(t), .value = test->codes[i] ? NULL : t};
        s->grids[i] = test->codes[i] ? &test->grids[i] : NULL;
        if (test->constant[i]) {
            make_constant(test, t, &s->constants[i]);
            s->pointers[i] = &s->constants[i];
        }
    }
    if (channels_last && s->op->channels_last) {
        assert_true(s->op->channels_last(s->params, test->op.inputs[0]->rank));
    }
    s->prepare = (FbPrepare){.context = test->op.context, .arena = test->op.arena, .node = &test->op.node, .params = s->params,
                             .input_count = test->op.input_count, .constants = s->pointers, .inputs = s->types, .channels_last = channels_last,
                             .fused_count = test->fused_count, .grids = s->grids, .store_grid = test->store};
    memcpy(s->prepare.fused, test->fused, sizeof test->fused);
    if (test->store) {
        s->prepare.fused[s->prepare.fused_count++] = (FbFusedOp){.kind = FB_EPILOGUE_ROUND, .a = test->store->scale, .b = (float)test->store->zero,
                                                                 .low = test->store->low, .high = test->store->high, .operand = -1};
    }
    assert_non_null(s->op->integer);
}

static void clean_up(Setup *s)
{
    for (int i = 0; i < OP_INPUTS_MAX; i++) {
        if (s->pointers[i]) {
            fb_buffer_release(s->constants[i].planes[FB_PLANE_CODES].buffer);
        }
    }
}

bool codes_test_accepts(CodesTest *test, bool channels_last)
{
    Setup s;
    assert_int_equal(op_test_run(&test->op), FB_OK);
    set_up(test, channels_last, &s);
    const bool accepts = s.op->integer->accepts(&s.prepare);
    clean_up(&s);
    return accepts;
}

static void apply_fused(const CodesTest *test, float *values, size_t count)
{
    static const FbUnaryKind kinds[] = {[FB_EPILOGUE_CLAMP] = FB_UNARY_CLAMP, [FB_EPILOGUE_LEAKY] = FB_UNARY_LEAKY,
                                        [FB_EPILOGUE_SIGMOID] = FB_UNARY_SIGMOID, [FB_EPILOGUE_SILU] = FB_UNARY_SILU,
                                        [FB_EPILOGUE_TANH] = FB_UNARY_TANH, [FB_EPILOGUE_HARD_SIGMOID] = FB_UNARY_HARD_SIGMOID,
                                        [FB_EPILOGUE_HARD_SWISH] = FB_UNARY_HARD_SWISH, [FB_EPILOGUE_GELU_ERF] = FB_UNARY_GELU_ERF};
    for (int i = 0; i < test->fused_count; i++) {
        const FbFusedOp *op = &test->fused[i];
        if (op->kind == FB_EPILOGUE_ROUND) {
            fb_grid_f32_pick(fb_context_cpu(test->op.context))->round_tensor(values, values, count, op->a, (int32_t)op->b, op->low, op->high);
            continue;
        }
        fb_unary_f32_pick(fb_context_cpu(test->op.context), kinds[op->kind])(values, values, count, op->a, op->b);
    }
}

static void compare(CodesTest *test, const FbTensor *got)
{
    const FbTensor *plain = test->op.outputs[0];
    const size_t count = (size_t)fb_tensor_elements(plain);
    float *values = malloc(count * sizeof *values + 1), top = 1;
    assert_non_null(values);
    memcpy(values, plain->data, count * sizeof *values);
    apply_fused(test, values, count);
    for (size_t i = 0; i < count; i++) {
        top = fabsf(values[i]) > top ? fabsf(values[i]) : top;
    }
    uint8_t *wanted = malloc(count + 1);
    assert_non_null(wanted);
    if (test->store) {
        fb_grid_f32_pick(fb_context_cpu(test->op.context))->quantize_u8(values, wanted, count, test->store->scale, test->store->zero);
    }
    for (size_t i = 0; i < count; i++) {
        if (!test->store) {
            const float value = ((const float *)got->data)[i];
            if (!(fabsf(value - values[i]) <= 1e-5f * top)) {
                fail_msg("%s: element %zu is %g, expected %g", test->op.node.op_type, i, (double)value, (double)values[i]);
            }
            continue;
        }
        const int want = wanted[i] < test->store->low ? test->store->low : wanted[i] > test->store->high ? test->store->high : wanted[i];
        const int code = ((const uint8_t *)got->data)[i];
        if (abs(code - want) > 1) {
            fail_msg("%s: code %zu is %d, expected %d", test->op.node.op_type, i, code, want);
        }
        test->total++;
        test->different += code != want;
    }
    free(values), free(wanted);
}

void codes_test_run(CodesTest *test, bool channels_last)
{
    Setup s;
    void *state = NULL;
    FbTensor physical[OP_INPUTS_MAX];
    const FbTensor *inputs[OP_INPUTS_MAX];
    assert_int_equal(op_test_run(&test->op), FB_OK);
    set_up(test, channels_last, &s);
    assert_true(s.op->integer->accepts(&s.prepare));
    assert_int_equal(s.op->integer->prepare(&s.prepare, &state, &test->op.error), FB_OK);
    for (int i = 0; i < test->op.input_count; i++) {
        const FbTensor *t = test->op.inputs[i];
        physical[i] = turned(t, test->codes[i] ? (const void *)test->codes[i] : t->data, test->codes[i] ? 1 : fb_dtype_bits(t->dtype) / 8,
                             channels_last && !test->constant[i], true);
        inputs[i] = &physical[i];
        if (test->constant[i] && i > 0) { /* the plan keeps packed copies only */
            free(physical[i].data);
            physical[i].data = NULL;
        }
    }
    const FbTensor *plain = test->op.outputs[0];
    FbTensor output = turned(plain, plain->data, test->store ? 1 : 4, channels_last, true);
    memset(output.data, 0xa5, output.bytes);
    FbTensor *outputs[1] = {&output};
    FbCall call = {.context = test->op.context, .node = &test->op.node, .params = s.params, .input_count = test->op.input_count,
                   .output_count = 1, .inputs = inputs, .outputs = outputs, .channels_last = channels_last, .state = state};
    FbBind bind = {.context = test->op.context, .arena = test->op.arena, .params = s.params, .state = state, .call = &call};
    assert_int_equal(s.op->integer->bind(&bind, &test->op.error), FB_OK);
    call.bound = bind.bound;
    call.scratch_bytes = bind.scratch_bytes;
    call.scratch = fb_alloc(test->op.context, bind.scratch_bytes + 1);
    assert_non_null(call.scratch);
    assert_int_equal(s.op->integer->run(&call, &test->op.error), FB_OK);
    fb_free(test->op.context, call.scratch);
    FbTensor back = turned(&output, output.data, test->store ? 1 : 4, channels_last, false);
    compare(test, &back);
    free(back.data), free(output.data);
    for (int i = 0; i < test->op.input_count; i++) {
        free(physical[i].data);
    }
    clean_up(&s);
    if (s.op->integer->release) {
        s.op->integer->release(test->op.context, state);
    }
}
