/* Running one operator's integer lowering for the tests. */
#include "step_harness.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

#include "tensor/packing.h"

static FbPlane plane_of(Step *step, const void *data, size_t bytes)
{
    FbBuffer *buffer = fb_buffer_create(step->test.context, bytes);
    assert_non_null(buffer);
    memcpy(fb_buffer_data(buffer), data, bytes);
    return (FbPlane){.bytes = bytes, .buffer = buffer};
}

/* Codes as their storage type has them. */
static FbPlane plane_of_codes(Step *step, FbDtype storage, const int32_t *codes, size_t count)
{
    const int bits = fb_dtype_bits(storage);
    if (bits == 32) {
        return plane_of(step, codes, count * sizeof *codes);
    }
    int8_t *bytes = malloc(count);
    const size_t packed_bytes = (count * (size_t)bits + 7) / 8;
    uint8_t *packed = calloc(packed_bytes, 1);
    assert_true(bytes && packed);
    for (size_t i = 0; i < count; i++) {
        bytes[i] = (int8_t)(uint8_t)codes[i];
    }
    fb_pack_bits(bits, bytes, packed, 0, count);
    const FbPlane plane = plane_of(step, packed, packed_bytes);
    free(bytes), free(packed);
    return plane;
}

FbConst *step_encoded(Step *step, const char *code, int rank, const int64_t *dims, const int32_t *codes, int axis, size_t scale_count,
                      const float *scale, const int32_t *zero)
{
    FbConst *constant = fb_arena_alloc(step->test.arena, sizeof *constant);
    FbEncoding *encoding = fb_arena_alloc(step->test.arena, sizeof *encoding);
    assert_true(constant && encoding);
    *encoding = (FbEncoding){.code = fb_code_find(code), .grain = scale_count == 1 ? FB_GRAIN_TENSOR : FB_GRAIN_AXIS, .axis = axis,
                             .scale = FB_DTYPE_F32, .has_zero = zero != NULL};
    assert_non_null(encoding->code);
    *constant = (FbConst){.dtype = FB_DTYPE_F32, .shape = fb_shape_make(rank, dims), .encoding = encoding};
    const size_t count = (size_t)fb_shape_elements(&constant->shape);
    constant->planes[FB_PLANE_CODES] = plane_of_codes(step, encoding->code->storage, codes, count);
    constant->planes[FB_PLANE_SCALE] = plane_of(step, scale, scale_count * sizeof *scale);
    if (zero) {
        constant->planes[FB_PLANE_ZERO] = plane_of_codes(step, encoding->code->storage, zero, scale_count);
    }
    return constant;
}

FbConst *step_floats(Step *step, int rank, const int64_t *dims, const float *values)
{
    FbConst *constant = fb_arena_alloc(step->test.arena, sizeof *constant);
    assert_non_null(constant);
    *constant = (FbConst){.dtype = FB_DTYPE_F32, .shape = fb_shape_make(rank, dims)};
    constant->planes[FB_PLANE_CODES] = plane_of(step, values, (size_t)fb_shape_elements(&constant->shape) * sizeof *values);
    return constant;
}

FbTensor *step_tensor(Step *step, FbDtype dtype, int rank, const int64_t *dims, const void *data)
{
    FbTensor *tensor = fb_arena_alloc(step->test.arena, sizeof *tensor);
    const FbShape shape = fb_shape_make(rank, dims);
    uint64_t bytes = 0;
    assert_true(tensor && fb_dtype_storage(dtype, (uint64_t)fb_shape_elements(&shape), &bytes));
    *tensor = (FbTensor){.dtype = dtype, .rank = rank, .bytes = (size_t)bytes, .data = malloc((size_t)bytes + STEP_SLACK)};
    memcpy(tensor->dims, dims, (size_t)rank * sizeof *dims);
    assert_non_null(tensor->data);
    memcpy(tensor->data, data, (size_t)bytes);
    memset((char *)tensor->data + bytes, 0xa5, STEP_SLACK);
    return tensor;
}

bool step_run(Step *step, const char *isa, int threads, void *out)
{
    FbContext *context;
    const FbOp *op;
    void *params, *state = NULL;
    FbContextOptions options = {.struct_bytes = sizeof options, .threads = threads, .isa = isa};
    assert_int_equal(fb_context_create(&options, &context, NULL), FB_OK);
    FbArena *arena = fb_arena_create(context);
    assert_non_null(arena);
    assert_int_equal(fb_op_decode(&step->test.node, arena, &op, &params, &step->test.error), FB_OK);
    FbPrepare prepare = step->prepare;
    prepare.context = context;
    prepare.arena = arena;
    prepare.node = &step->test.node;
    prepare.params = params;
    prepare.constants = step->constants;
    prepare.inputs = step->types;
    prepare.grids = step->grids;
    assert_non_null(op->integer);
    const bool accepted = op->integer->accepts(&prepare);
    if (accepted) {
        assert_int_equal(op->integer->prepare(&prepare, &state, &step->test.error), FB_OK);
        FbTensor output = step->output;
        output.data = malloc(output.bytes ? output.bytes : 1);
        assert_non_null(output.data);
        memset(output.data, 0xff, output.bytes);
        FbTensor *outputs[1] = {&output};
        FbCall call = {.context = context, .node = &step->test.node, .params = params, .input_count = step->input_count, .output_count = 1,
                       .inputs = step->inputs, .outputs = outputs, .channels_last = prepare.channels_last, .state = state};
        FbBind bind = {.context = context, .arena = arena, .params = params, .state = state, .call = &call};
        assert_int_equal(op->integer->bind(&bind, &step->test.error), FB_OK);
        call.bound = bind.bound;
        call.scratch_bytes = bind.scratch_bytes;
        call.scratch = fb_alloc(context, bind.scratch_bytes);
        assert_non_null(call.scratch);
        memset(call.scratch, 0x5a, bind.scratch_bytes);
        assert_int_equal(op->integer->run(&call, &step->test.error), FB_OK);
        fb_free(context, call.scratch);
        memcpy(out, output.data, output.bytes);
        free(output.data);
        if (op->integer->release) {
            op->integer->release(context, state);
        }
    }
    fb_arena_free(arena);
    fb_context_free(context);
    return accepted;
}

void step_end(Step *step)
{
    for (int i = 0; i < STEP_INPUTS_MAX; i++) {
        for (int p = 0; step->constants[i] && p < FB_PLANE_COUNT; p++) {
            fb_buffer_release(step->constants[i]->planes[p].buffer);
        }
        if (step->inputs[i]) {
            free(step->inputs[i]->data);
        }
    }
    op_test_end(&step->test);
}
