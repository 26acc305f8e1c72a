/* Activations of fused operators. */
#include "ops/fused_activation.h"

#include <math.h>

/* Numbers that are absent have ONNX's defaults. */
static const struct {
    const char *name;
    FbUnaryKind kind;
    float a, b;
} rows[] = {
    {"Relu", FB_UNARY_RELU, 0, 0},
    {"LeakyRelu", FB_UNARY_LEAKY, 0.01f, 0},
    {"Sigmoid", FB_UNARY_SIGMOID, 0, 0},
    {"Tanh", FB_UNARY_TANH, 0, 0},
    {"Clip", FB_UNARY_CLAMP, -INFINITY, INFINITY},
    {"HardSigmoid", FB_UNARY_HARD_SIGMOID, 0.2f, 0.5f},
};

FbStatus fb_fused_activation_decode(const char *name, const float *numbers, size_t count, FbFusedActivation *activation, FbError *err)
{
    *activation = (FbFusedActivation){.present = name[0] != '\0'};
    if (!activation->present) {
        return FB_OK;
    }
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        if (strcmp(rows[i].name, name) == 0) {
            activation->kind = rows[i].kind;
            activation->a = count > 0 ? numbers[0] : rows[i].a;
            activation->b = count > 1 ? numbers[1] : rows[i].b;
            return FB_OK;
        }
    }
    return fb_error_set(err, FB_ERR_UNSUPPORTED, "attribute 'activation' names a function that is not Relu, LeakyRelu, Sigmoid, Tanh, Clip or HardSigmoid");
}

typedef struct ApplyWork {
    const FbFusedActivation *activation;
    FbUnaryF32 run;
    float *data;
} ApplyWork;

static void apply_task(void *arg, size_t slot, size_t begin, size_t end)
{
    const ApplyWork *work = arg;
    (void)slot;
    work->run(work->data + begin, work->data + begin, end - begin, work->activation->a, work->activation->b);
}

void fb_fused_activation_apply(FbContext *context, const FbFusedActivation *activation, float *data, size_t count)
{
    if (activation->present) {
        ApplyWork work = {activation, fb_unary_f32_pick(fb_context_cpu(context), activation->kind), data};
        fb_parallel(context, apply_task, &work, count, 16384);
    }
}
