/* The arithmetic of one time step of RNN, GRU and LSTM cells; formulas of the ONNX specification of these operators. */
#include <math.h>

#include "ops/recurrent.h"

/* x[i] = f(x[i]); tmp has room for as many. */
static void activate(const FbCellStep *step, const FbActivation *act, float *x, float *tmp, size_t count)
{
    const FbUnaryTable *f = step->functions;
    float a = act->alpha, b = act->beta;
    switch (act->kind) {
    case FB_ACT_SIGMOID: f->run[FB_UNARY_SIGMOID](x, x, count, 0, 0); return;
    case FB_ACT_TANH: f->run[FB_UNARY_TANH](x, x, count, 0, 0); return;
    case FB_ACT_RELU: f->run[FB_UNARY_RELU](x, x, count, 0, 0); return;
    case FB_ACT_LEAKY_RELU: f->run[FB_UNARY_LEAKY](x, x, count, a, 0); return;
    case FB_ACT_HARD_SIGMOID: f->run[FB_UNARY_HARD_SIGMOID](x, x, count, a, b); return;
    case FB_ACT_SOFTPLUS: f->run[FB_UNARY_SOFTPLUS](x, x, count, 0, 0); return;
    case FB_ACT_AFFINE:
        for (size_t i = 0; i < count; i++) {
            x[i] = a * x[i] + b;
        }
        return;
    case FB_ACT_ELU:
        f->run[FB_UNARY_EXP](x, tmp, count, 0, 0);
        for (size_t i = 0; i < count; i++) {
            x[i] = x[i] >= 0 ? x[i] : a * (tmp[i] - 1);
        }
        return;
    case FB_ACT_SCALED_TANH:
        for (size_t i = 0; i < count; i++) {
            tmp[i] = b * x[i];
        }
        f->run[FB_UNARY_TANH](tmp, x, count, 0, 0);
        for (size_t i = 0; i < count; i++) {
            x[i] *= a;
        }
        return;
    case FB_ACT_SOFTSIGN:
        for (size_t i = 0; i < count; i++) {
            x[i] = x[i] / (1 + fabsf(x[i]));
        }
        return;
    case FB_ACT_THRESHOLDED_RELU:
        for (size_t i = 0; i < count; i++) {
            x[i] = x[i] > a ? x[i] : 0.0F;
        }
        return;
    case FB_ACT_COUNT: return;
    }
}

/* x += bias, then the clip of the operator. */
static void prepare_gate(const FbCellStep *step, float *x, const float *bias, size_t count)
{
    float clip = step->params->clip;
    for (size_t i = 0; bias && i < count; i++) {
        x[i] += bias[i];
    }
    for (size_t i = 0; clip > 0 && i < count; i++) {
        x[i] = x[i] > clip ? clip : x[i] < -clip ? -clip : x[i];
    }
}

static void add_peephole(float *x, const float *weight, const float *c, size_t count)
{
    for (size_t i = 0; weight && i < count; i++) {
        x[i] += weight[i] * c[i];
    }
}

static void lstm_row(const FbCellStep *step, float *gate, float *h, float *c, float *tmp)
{
    size_t n = (size_t)step->params->hidden;
    float *in = gate, *out = gate + n, *forget = gate + 2 * n, *cell = gate + 3 * n;
    const float *bias = step->bias, *peephole = step->peephole;
    add_peephole(in, peephole, c, n);
    prepare_gate(step, in, bias, n);
    activate(step, &step->act[0], in, tmp, n);
    if (step->params->input_forget) {
        for (size_t i = 0; i < n; i++) {
            forget[i] = 1 - in[i];
        }
    } else {
        add_peephole(forget, peephole ? peephole + 2 * n : NULL, c, n);
        prepare_gate(step, forget, bias ? bias + 2 * n : NULL, n);
        activate(step, &step->act[0], forget, tmp, n);
    }
    prepare_gate(step, cell, bias ? bias + 3 * n : NULL, n);
    activate(step, &step->act[1], cell, tmp, n);
    for (size_t i = 0; i < n; i++) {
        c[i] = forget[i] * c[i] + in[i] * cell[i];
        cell[i] = c[i];
    }
    add_peephole(out, peephole ? peephole + n : NULL, c, n);
    prepare_gate(step, out, bias ? bias + n : NULL, n);
    activate(step, &step->act[0], out, tmp, n);
    activate(step, &step->act[2], cell, tmp, n);
    for (size_t i = 0; i < n; i++) {
        h[i] = out[i] * cell[i];
    }
}

/* The hidden gate needs a product with the reset state, so the rows go through each stage together. */
static void gru_rows(const FbCellStep *step)
{
    size_t n = (size_t)step->params->hidden, rows = step->rows;
    bool linear = step->params->linear_before_reset;
    const float *a[64];
    for (size_t r = 0; r < rows; r++) {
        float *gate = step->gate + r * 3 * n, *h = step->h + r * n, *spare = step->spare + r * n;
        prepare_gate(step, gate, step->bias, 2 * n);
        activate(step, &step->act[0], gate, spare, n);
        activate(step, &step->act[0], gate + n, spare, n);
        for (size_t i = 0; !linear && i < n; i++) {
            spare[i] = gate[n + i] * h[i];
        }
        a[r] = linear ? h : spare;
    }
    if (!linear) {
        fb_recurrent_multiply(step->kernel, a, rows, n, step->r_hidden, n, step->gate + 2 * n, 3 * n, true);
    } else {
        fb_recurrent_multiply(step->kernel, a, rows, n, step->r_hidden, n, step->spare, n, false);
    }
    for (size_t r = 0; r < rows; r++) {
        float *gate = step->gate + r * 3 * n, *h = step->h + r * n, *spare = step->spare + r * n, *hidden = gate + 2 * n;
        for (size_t i = 0; linear && i < n; i++) {
            hidden[i] += gate[n + i] * (step->bias_hidden ? spare[i] + step->bias_hidden[i] : spare[i]);
        }
        prepare_gate(step, hidden, step->bias ? step->bias + 2 * n : NULL, n);
        activate(step, &step->act[1], hidden, spare, n);
        for (size_t i = 0; step->active[r] && i < n; i++) {
            h[i] = (1 - gate[i]) * hidden[i] + gate[i] * h[i];
        }
    }
}

/* The formulas that the row kernel knows. */
static bool is_usual(const FbCellStep *step)
{
    const FbRecurrentParams *p = step->params;
    return p->cell == FB_CELL_LSTM && step->act[0].kind == FB_ACT_SIGMOID && step->act[1].kind == FB_ACT_TANH &&
           step->act[2].kind == FB_ACT_TANH && !step->peephole && !p->input_forget && !(p->clip > 0);
}

void fb_cell_step(const FbCellStep *step)
{
    size_t n = (size_t)step->params->hidden, width = n * (size_t)step->params->gates;
    if (step->params->cell == FB_CELL_GRU) {
        gru_rows(step);
        return;
    }
    const bool usual = is_usual(step);
    for (size_t r = 0; r < step->rows; r++) {
        float *gate = step->gate + r * width, *h = step->h + r * n;
        if (!step->active[r]) {
            continue;
        }
        if (usual) {
            step->lstm->step(&(FbLstmRow){n, gate, step->bias, step->c + r * n, h});
            continue;
        }
        if (step->params->cell == FB_CELL_LSTM) {
            lstm_row(step, gate, h, step->c + r * n, step->spare + r * n);
            continue;
        }
        prepare_gate(step, gate, step->bias, n);
        activate(step, &step->act[0], gate, step->spare + r * n, n);
        for (size_t i = 0; i < n; i++) {
            h[i] = gate[i];
        }
    }
}
