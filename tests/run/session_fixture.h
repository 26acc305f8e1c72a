/* A model made in C with its session, and tensors over plain arrays. */
#ifndef FB_TESTS_SESSION_FIXTURE_H
#define FB_TESTS_SESSION_FIXTURE_H

#include "run/build_graph.h"
#include "run/plan.h"

#define DIMS(...) ((const int64_t[]){__VA_ARGS__})

typedef struct Fixture {
    FbContext *context;
    FbModel *model;
    FbGraph *graph;
    FbSession *session;
} Fixture;

static inline void begin(Fixture *f)
{
    f->context = build_context(2);
    f->model = build_model(f->context);
    f->graph = f->model->graph;
    f->session = NULL;
}

static inline void end(Fixture *f)
{
    fb_session_free(f->session);
    fb_model_free(f->model);
    assert_int_equal(fb_context_memory_now(f->context), 0);
    fb_context_free(f->context);
}

static inline void create(Fixture *f)
{
    FbError err = {FB_OK, ""};
    FbStatus status = fb_session_create(f->context, f->model, NULL, &f->session, &err);
    if (status != FB_OK) {
        fail_msg("%s", err.message);
    }
}

static inline FbTensor floats(float *data, int rank, const int64_t *dims)
{
    FbTensor tensor = {.dtype = FB_DTYPE_F32, .rank = rank, .data = data, .bytes = sizeof(float)};
    for (int i = 0; i < rank; i++) {
        tensor.dims[i] = dims[i];
        tensor.bytes *= (size_t)dims[i];
    }
    return tensor;
}

static inline FbTensor ints(int64_t *data, int64_t count)
{
    return (FbTensor){.dtype = FB_DTYPE_S64, .rank = 1, .dims = {count}, .data = data, .bytes = (size_t)count * 8};
}

static inline void run(Fixture *f, const FbTensor *inputs, size_t input_count, FbTensor *outputs, size_t output_count)
{
    FbError err = {FB_OK, ""};
    FbStatus status = fb_session_run(f->session, inputs, input_count, outputs, output_count, &err);
    if (status != FB_OK) {
        fail_msg("%s", err.message);
    }
}

static inline void check_floats(const FbTensor *tensor, size_t count, const float *want)
{
    assert_int_equal(tensor->dtype, FB_DTYPE_F32);
    assert_int_equal(tensor->bytes, count * sizeof(float));
    for (size_t i = 0; i < count; i++) {
        assert_float_equal(((const float *)tensor->data)[i], want[i], 0.0f);
    }
}

#endif
