/* Rows of recurrent layers; included once per instruction set. */
#include "kernels/functions_math.h"
#include "kernels/lstm_f32.h"

static inline FbV lstm_load(const float *x, size_t n) { return n == FB_LANES ? fb_v_load(x) : fb_v_load_n(x, n); }
static inline FbVi lstm_load_int(const int32_t *x, size_t n) { return n == FB_LANES ? fb_vi_load(x) : fb_vi_load_n(x, n); }

static inline void lstm_store(float *to, FbV v, size_t n)
{
    if (n == FB_LANES) {
        fb_v_store(to, v);
    } else {
        fb_v_store_n(to, v, n);
    }
}

static inline FbV lstm_gate(const FbLstmRow *row, size_t gate, size_t i, size_t n)
{
    FbV x = lstm_load(row->gate + gate * row->hidden + i, n);
    return row->bias ? fb_v_add(x, lstm_load(row->bias + gate * row->hidden + i, n)) : x;
}

static void lstm_step(const FbLstmRow *row)
{
    for (size_t i = 0; i < row->hidden; i += FB_LANES) {
        const size_t n = row->hidden - i < FB_LANES ? row->hidden - i : FB_LANES;
        FbV in = fb_m_sigmoid(lstm_gate(row, 0, i, n)), forget = fb_m_sigmoid(lstm_gate(row, 2, i, n));
        FbV kept = fb_v_mul(forget, lstm_load(row->c + i, n));
        FbV c = fb_v_add(kept, fb_v_mul(in, fb_m_tanh(lstm_gate(row, 3, i, n))));
        lstm_store(row->c + i, c, n);
        lstm_store(row->h + i, fb_v_mul(fb_m_sigmoid(lstm_gate(row, 1, i, n)), fb_m_tanh(c)), n);
    }
}

static void lstm_reals(const FbCodeSums *sums)
{
    const FbVi a_zero = fb_vi_set(sums->a_zero), centered = fb_vi_set(sums->centered);
    const FbV a_scale = fb_v_set(sums->a_scale);
    for (size_t i = 0; i < sums->count; i += FB_LANES) {
        const size_t n = sums->count - i < FB_LANES ? sums->count - i : FB_LANES;
        FbVi sum = fb_vi_sub(lstm_load_int(sums->sums + i, n), fb_vi_mul(a_zero, lstm_load_int(sums->column_sum + i, n)));
        if (sums->zero) {
            sum = fb_vi_sub(sum, fb_vi_mul(centered, lstm_load_int(sums->zero + i, n)));
        }
        FbV real = fb_v_mul(fb_v_from_int(sum), fb_v_mul(a_scale, lstm_load(sums->scale + i, n)));
        lstm_store(sums->to + i, sums->add ? fb_v_add(lstm_load(sums->to + i, n), real) : real, n);
    }
}

const FbLstmKernel FB_ISA(fb_lstm) = {FB_ISA_NAME, FB_ISA_NEEDS, lstm_step, lstm_reals};
