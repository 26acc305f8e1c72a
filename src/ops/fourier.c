/* Discrete Fourier transforms: DFT, STFT. Mixed radix in float. */
#include <math.h>
#include <string.h>

#include "ops/elements.h"
#include "ops/shape_util.h"
#include "ops/strided_copy.h"
#include "ops/table.h"

enum { LENGTH_MAX = 1 << 22, PRIME_MAX = 1024, FACTORS_MAX = 32 };

/* A complex number is two floats. */
typedef struct Complex { float re, im; } Complex;

/* One transform of `n` numbers: put them into in[], run, find them in out[]. */
typedef struct Transform {
    int64_t n;
    bool inverse, real;                 /* real: the input has no imaginary parts, so the spectrum is its own mirror */
    int64_t factors[FACTORS_MAX];
    int factor_count;
    Complex *turn;                      /* e^(-+ 2 pi i k / n) */
    Complex *in, *out;
    Complex *butterfly;                 /* of the largest factor, twice */
} Transform;

/* Twos first; false when a prime factor is too large to be done in sensible time. */
static bool factorize(int64_t n, int64_t *factors, int *count)
{
    *count = 0;
    for (int64_t f = 2; n > 1; f++) {
        for (; n % f == 0; n /= f) {
            factors[(*count)++] = f;
        }
        if (f * f > n && n > 1) {
            f = n - 1;
        }
    }
    return *count == 0 || factors[*count - 1] <= PRIME_MAX;
}

static size_t transform_bytes(int64_t n) { return (3 * (size_t)n + 2 * PRIME_MAX) * sizeof(Complex); }

static void transform_init(Transform *t, int64_t n, bool inverse, bool real, void *memory)
{
    const double turn = 6.283185307179586476925286766559;
    *t = (Transform){.n = n, .inverse = inverse, .real = real, .turn = memory};
    t->in = t->turn + n;
    t->out = t->in + n;
    t->butterfly = t->out + n;
    factorize(n, t->factors, &t->factor_count);
    for (int64_t k = 0; k < n; k++) {
        double angle = (inverse ? turn : -turn) * (double)k / (double)n;
        t->turn[k] = (Complex){(float)cos(angle), (float)sin(angle)};
    }
}

static Complex add(Complex a, Complex b) { return (Complex){a.re + b.re, a.im + b.im}; }
static Complex subtract(Complex a, Complex b) { return (Complex){a.re - b.re, a.im - b.im}; }
static Complex multiply(Complex a, Complex b) { return (Complex){a.re * b.re - a.im * b.im, a.re * b.im + a.im * b.re}; }

/* out[q] and out[5 - q] share a half that is even and one that is odd in the angle. */
static void pair_of_five(const Complex *c, float cos1, float sin1, float cos2, float sin2, Complex *low, Complex *high)
{
    Complex s1 = add(c[1], c[4]), d1 = subtract(c[1], c[4]), s2 = add(c[2], c[3]), d2 = subtract(c[2], c[3]);
    Complex even = {c[0].re + cos1 * s1.re + cos2 * s2.re, c[0].im + cos1 * s1.im + cos2 * s2.im};
    Complex odd = {-(sin1 * d1.im + sin2 * d2.im), sin1 * d1.re + sin2 * d2.re};
    *low = add(even, odd);
    *high = subtract(even, odd);
}

static void butterfly(const Transform *t, int64_t p, const Complex *c, Complex *out)
{
    int64_t step = t->n / p;
    if (p == 2) {
        out[0] = add(c[0], c[1]);
        out[1] = subtract(c[0], c[1]);
    } else if (p == 5) {
        Complex first = t->turn[step], second = t->turn[2 * step];
        out[0] = (Complex){c[0].re + (c[1].re + c[4].re) + (c[2].re + c[3].re), c[0].im + (c[1].im + c[4].im) + (c[2].im + c[3].im)};
        pair_of_five(c, first.re, first.im, second.re, second.im, &out[1], &out[4]);
        pair_of_five(c, second.re, second.im, first.re, -first.im, &out[2], &out[3]);
    } else {
        for (int64_t q = 0; q < p; q++) {
            out[q] = c[0];
            for (int64_t j = 1; j < p; j++) {
                out[q] = add(out[q], multiply(c[j], t->turn[j * q % p * step]));
            }
        }
    }
}

/* Decimation in frequency with self-sorting output (Stockham): a pass per factor, in and out change places. */
static void transform_run(Transform *t)
{
    int64_t done = 1;
    for (int f = 0; f < t->factor_count; f++) {
        int64_t p = t->factors[f], inner = t->n / (done * p);
        Complex *c = t->butterfly, *o = t->butterfly + PRIME_MAX;
        for (int64_t k = 0; k < done; k++) {
            for (int64_t i = 0; i < inner; i++) {
                for (int64_t j = 0; j < p; j++) {
                    c[j] = t->in[(k * p + j) * inner + i];
                }
                butterfly(t, p, c, o);
                for (int64_t q = 0; q < p; q++) {
                    t->out[i + inner * (k + done * q)] = i == 0 || q == 0 ? o[q] : multiply(o[q], t->turn[done * q * i]);
                }
            }
        }
        Complex *swap = t->in;
        t->in = t->out;
        t->out = swap;
        done *= p;
    }
    Complex *result = t->in; /* without a factor the input itself */
    t->in = t->out;
    t->out = result;
    for (int64_t k = 0; t->inverse && k < t->n; k++) {
        t->out[k] = (Complex){t->out[k].re / (float)t->n, t->out[k].im / (float)t->n};
    }
    for (int64_t k = 0; t->real && 2 * k <= t->n; k++) {
        if (k == 0 || 2 * k == t->n) {
            t->out[k].im = 0;
        } else {
            t->out[t->n - k] = (Complex){t->out[k].re, -t->out[k].im};
        }
    }
}

static float number_at(const FbTensor *tensor, int64_t i)
{
    float value;
    fb_work_load(tensor->dtype, tensor->data, i, 1, FB_WORK_F32, &value, 1);
    return value;
}

static void put_number(FbTensor *tensor, int64_t i, float value) { fb_work_store(tensor->dtype, tensor->data, i, FB_WORK_F32, &value, 1); }

static FbStatus check_length(int64_t n, FbError *err)
{
    int64_t factors[FACTORS_MAX];
    int count;
    if (n < 1 || n > LENGTH_MAX) {
        return fb_error_set(err, FB_ERR_FORMAT, "a transform of length %lld; 1 to %d are possible", (long long)n, LENGTH_MAX);
    }
    return factorize(n, factors, &count) ? FB_OK : fb_error_set(err, FB_ERR_UNSUPPORTED, "a transform of length %lld has a prime factor above %d",
                                                                (long long)n, PRIME_MAX);
}

/* ---- DFT ---- */

typedef struct DftParams {
    bool inverse, one_sided;
    int64_t axis;              /* before operator set 20, and the default after */
    bool axis_input;
} DftParams;

static FbStatus decode_dft(const FbNode *node, FbArena *arena, void *params, FbError *err)
{
    (void)arena;
    DftParams *p = params;
    p->axis_input = node->version >= 20;
    p->axis = -2;
    FB_TRY(fb_attr_bool(node, "inverse", false, &p->inverse, err));
    FB_TRY(fb_attr_bool(node, "onesided", false, &p->one_sided, err));
    return p->axis_input ? FB_OK : fb_attr_int(node, "axis", 1, &p->axis, err);
}

typedef struct DftSizes { int axis; int64_t n, kept, parts; } DftSizes;

/* From the shape of x, and the scalars where the node has them. */
static FbStatus dft_sizes(const DftParams *p, const FbShape *x, const FbTensor *length, const FbTensor *axis, DftSizes *s, FbError *err)
{
    FB_TRY(fb_axis_normalize(axis && axis->bytes ? fb_tensor_int(axis, 0) : p->axis, x->rank, &s->axis, err));
    if (s->axis == x->rank - 1) {
        return fb_error_set(err, FB_ERR_FORMAT, "the axis is the one of real and imaginary parts");
    }
    bool real = p->inverse && p->one_sided;
    int64_t dim = x->dims[s->axis];
    s->n = length && length->bytes ? fb_tensor_int(length, 0) : dim < 0 ? FB_DIM_UNKNOWN : real ? 2 * (dim - 1) : dim;
    if (length || dim >= 0) {
        FB_TRY(check_length(s->n, err));
    }
    s->kept = s->n < 0 ? FB_DIM_UNKNOWN : p->one_sided && !p->inverse ? s->n / 2 + 1 : s->n;
    s->parts = real ? 1 : 2;
    return FB_OK;
}

static FbStatus infer_dft(FbInfer *infer, FbError *err)
{
    const DftParams *p = infer->params;
    const FbShape *x = &infer->inputs[0].shape;
    FB_TRY(fb_check_input_dtype(infer, 0, FB_MASK(FB_DTYPE_F32) | FB_MASK(FB_DTYPE_F16) | FB_MASK(FB_DTYPE_BF16), err));
    FB_TRY(fb_check_input_dtype(infer, 1, FB_MASK_INDEX, err));
    FB_TRY(fb_check_input_dtype(infer, 2, FB_MASK_INDEX, err));
    FB_TRY(fb_check_rank(infer, 0, 2, FB_RANK_MAX, err));
    infer->outputs[0].dtype = infer->inputs[0].dtype;
    infer->outputs[0].shape = fb_shape_unknown(x->rank);
    if (fb_infer_has(infer, 2) && !p->axis_input) {
        return fb_error_set(err, FB_ERR_FORMAT, "the axis is an attribute, not an input, in operator set %d", infer->node->version);
    }
    const FbTensor *length = fb_infer_has(infer, 1) ? fb_infer_value(infer, 1) : NULL;
    const FbTensor *axis = fb_infer_has(infer, 2) ? fb_infer_value(infer, 2) : NULL;
    if (infer->pending || x->rank < 0) {
        return FB_OK;
    }
    int64_t parts = x->dims[x->rank - 1];
    if (parts >= 0 && parts != 1 && parts != 2) {
        return fb_error_set(err, FB_ERR_FORMAT, "the last axis is %lld, expected 1 for real or 2 for complex numbers", (long long)parts);
    }
    DftSizes s;
    FB_TRY(dft_sizes(p, x, length, axis, &s, err));
    infer->outputs[0].shape = *x;
    infer->outputs[0].shape.dims[s.axis] = s.kept;
    infer->outputs[0].shape.dims[x->rank - 1] = s.parts;
    return fb_check_size(infer, &infer->outputs[0].shape, infer->outputs[0].dtype, err);
}

/* The length is one of the output's dimensions, or twice a one-sided one. */
static size_t scratch_dft(const FbCall *call)
{
    int64_t most = 1;
    for (int i = 0; call->outputs[0] && i < call->outputs[0]->rank; i++) {
        most = call->outputs[0]->dims[i] > most ? call->outputs[0]->dims[i] : most;
    }
    return transform_bytes(2 * most);
}

/* Reads a line, cut or filled up with zeros; a one-sided spectrum is continued by its mirror. */
static void read_line(const DftParams *p, const FbTensor *x, int64_t first, int64_t stride, int64_t dim, Transform *t)
{
    bool complex = x->dims[x->rank - 1] == 2, mirror = p->inverse && p->one_sided;
    for (int64_t i = 0; i < t->n; i++) {
        int64_t from = mirror && i > t->n / 2 ? t->n - i : i;
        bool there = from < dim;
        t->in[i] = (Complex){there ? number_at(x, first + from * stride) : 0, there && complex ? number_at(x, first + from * stride + 1) : 0};
        if (mirror && (from == 0 || 2 * from == t->n)) {
            t->in[i].im = 0; /* these are real in the spectrum of a real signal */
        } else if (mirror && from != i) {
            t->in[i].im = -t->in[i].im;
        }
    }
}

static FbStatus run_dft(const FbCall *call, FbError *err)
{
    const DftParams *p = call->params;
    const FbTensor *x = call->inputs[0];
    FbTensor *out = call->outputs[0];
    FbShape shape = fb_tensor_shape(x);
    DftSizes s;
    Transform t;
    FB_TRY(dft_sizes(p, &shape, fb_call_input(call, 1), fb_call_input(call, 2), &s, err));
    if (!out || !out->bytes) {
        return FB_OK;
    }
    if (out->dims[s.axis] != s.kept || transform_bytes(s.n) > call->scratch_bytes) {
        return fb_error_set(err, FB_ERR_INTERNAL, "a transform of length %lld was not planned", (long long)s.n);
    }
    transform_init(&t, s.n, p->inverse, x->dims[x->rank - 1] == 1, call->scratch);
    int64_t in_strides[FB_RANK_MAX], out_strides[FB_RANK_MAX], lines = 1;
    fb_row_major_strides(x->dims, x->rank, in_strides);
    fb_row_major_strides(out->dims, out->rank, out_strides);
    for (int i = 0; i < x->rank - 1; i++) {
        lines *= i == s.axis ? 1 : x->dims[i];
    }
    for (int64_t n = 0; n < lines; n++) {
        int64_t rest = n, from = 0, to = 0;
        for (int i = x->rank - 2; i >= 0; i--) {
            if (i != s.axis) {
                from += rest % x->dims[i] * in_strides[i];
                to += rest % x->dims[i] * out_strides[i];
                rest /= x->dims[i];
            }
        }
        read_line(p, x, from, in_strides[s.axis], x->dims[s.axis], &t);
        transform_run(&t);
        FB_TRY(fb_check_cancel(call->context, err));
        for (int64_t k = 0; k < s.kept * s.parts; k++) {
            const Complex *c = &t.out[k / s.parts];
            put_number(out, to + k / s.parts * out_strides[s.axis] + k % s.parts, k % s.parts ? c->im : c->re);
        }
    }
    return FB_OK;
}

/* ---- STFT ---- */

typedef struct StftParams { bool one_sided; } StftParams;

static FbStatus decode_stft(const FbNode *node, FbArena *arena, void *params, FbError *err)
{
    (void)arena;
    return fb_attr_bool(node, "onesided", true, &((StftParams *)params)->one_sided, err);
}

typedef struct StftSizes { int64_t step, length, frames, bins; } StftSizes;

static FbStatus stft_sizes(const StftParams *p, int64_t samples, const FbTensor *step, int64_t window, const FbTensor *length, StftSizes *s,
                           FbError *err)
{
    s->step = step->bytes ? fb_tensor_int(step, 0) : 0;
    s->length = length && length->bytes ? fb_tensor_int(length, 0) : window;
    if (s->step < 1) {
        return fb_error_set(err, FB_ERR_FORMAT, "frames in steps of %lld samples", (long long)s->step);
    }
    FB_TRY(check_length(s->length, err));
    if (window >= 0 && window != s->length) {
        return fb_error_set(err, FB_ERR_FORMAT, "a window of %lld for frames of %lld samples", (long long)window, (long long)s->length);
    }
    s->frames = samples < 0 ? FB_DIM_UNKNOWN : samples < s->length ? 0 : 1 + (samples - s->length) / s->step;
    s->bins = p->one_sided ? s->length / 2 + 1 : s->length;
    return FB_OK;
}

static FbStatus infer_stft(FbInfer *infer, FbError *err)
{
    const FbShape *x = &infer->inputs[0].shape;
    FB_TRY(fb_check_input_dtype(infer, 0, FB_MASK(FB_DTYPE_F32) | FB_MASK(FB_DTYPE_F16) | FB_MASK(FB_DTYPE_BF16), err));
    FB_TRY(fb_check_input_dtype(infer, 1, FB_MASK_INDEX, err));
    FB_TRY(fb_check_input_dtype(infer, 3, FB_MASK_INDEX, err));
    FB_TRY(fb_check_same_dtype(infer, 0, 2, err));
    FB_TRY(fb_check_rank(infer, 0, 2, 3, err));
    FB_TRY(fb_check_rank(infer, 2, 1, 1, err));
    infer->outputs[0].dtype = infer->inputs[0].dtype;
    infer->outputs[0].shape = fb_shape_unknown(4);
    infer->outputs[0].shape.dims[3] = 2;
    const FbTensor *step = fb_infer_value(infer, 1), *length = fb_infer_has(infer, 3) ? fb_infer_value(infer, 3) : NULL;
    bool has_window = fb_infer_has(infer, 2);
    int64_t window = has_window && infer->inputs[2].shape.rank == 1 ? infer->inputs[2].shape.dims[0] : -1;
    if (!has_window && !fb_infer_has(infer, 3)) {
        return fb_error_set(err, FB_ERR_FORMAT, "STFT has neither a window nor a frame length");
    }
    if (infer->pending || x->rank < 0 || (window < 0 && !length)) {
        return FB_OK;
    }
    if (x->rank == 3 && x->dims[2] >= 0 && x->dims[2] != 1 && x->dims[2] != 2) {
        return fb_error_set(err, FB_ERR_FORMAT, "the last axis is %lld, expected 1 for real or 2 for complex numbers", (long long)x->dims[2]);
    }
    StftSizes s;
    FB_TRY(stft_sizes(infer->params, x->dims[1], step, window, length, &s, err));
    infer->outputs[0].shape = fb_shape_make(4, (const int64_t[]){x->dims[0], s.frames, s.bins, 2});
    return fb_check_size(infer, &infer->outputs[0].shape, infer->outputs[0].dtype, err);
}

static size_t scratch_stft(const FbCall *call) { return call->outputs[0] ? transform_bytes(2 * call->outputs[0]->dims[2]) : 0; }

static FbStatus run_stft(const FbCall *call, FbError *err)
{
    const StftParams *p = call->params;
    const FbTensor *x = call->inputs[0], *window = fb_call_input(call, 2);
    FbTensor *out = call->outputs[0];
    StftSizes s;
    Transform t;
    FB_TRY(stft_sizes(p, x->dims[1], call->inputs[1], window ? window->dims[0] : -1, fb_call_input(call, 3), &s, err));
    if (!out || !out->bytes) {
        return FB_OK;
    }
    if (out->dims[1] != s.frames || out->dims[2] != s.bins || transform_bytes(s.length) > call->scratch_bytes) {
        return fb_error_set(err, FB_ERR_INTERNAL, "frames of %lld samples were not planned", (long long)s.length);
    }
    int64_t parts = x->rank == 3 ? x->dims[2] : 1;
    transform_init(&t, s.length, false, parts == 1, call->scratch);
    for (int64_t n = 0; n < x->dims[0] * s.frames; n++) {
        int64_t first = n / s.frames * x->dims[1] + n % s.frames * s.step;
        for (int64_t i = 0; i < s.length; i++) {
            float weight = window ? number_at(window, i) : 1;
            t.in[i] = (Complex){weight * number_at(x, (first + i) * parts), parts == 2 ? weight * number_at(x, (first + i) * parts + 1) : 0};
        }
        transform_run(&t);
        FB_TRY(fb_check_cancel(call->context, err));
        for (int64_t k = 0; k < s.bins; k++) {
            put_number(out, (n * s.bins + k) * 2, t.out[k].re);
            put_number(out, (n * s.bins + k) * 2 + 1, t.out[k].im);
        }
    }
    return FB_OK;
}

static const char *const dft_attributes[] = {"axis", "inverse", "onesided", NULL};
static const char *const stft_attributes[] = {"onesided", NULL};

static const FbOp rows[] = {
    {.name = "DFT", .domain = "", .summary = "discrete Fourier transform along an axis", .since = 17, .newest = FB_OPSET_NEWEST, .min_inputs = 1,
     .max_inputs = 3, .min_outputs = 1, .max_outputs = 1, .params_bytes = sizeof(DftParams), .attributes = dft_attributes,
     .decode = decode_dft, .infer = infer_dft, .scratch = scratch_dft, .run = run_dft},
    {.name = "STFT", .domain = "", .summary = "Fourier transforms of overlapping frames", .since = 17, .newest = FB_OPSET_NEWEST, .min_inputs = 2,
     .max_inputs = 4, .min_outputs = 1, .max_outputs = 1, .params_bytes = sizeof(StftParams), .attributes = stft_attributes,
     .decode = decode_stft, .infer = infer_stft, .scratch = scratch_stft, .run = run_stft},
};
const FbOpFamily fb_ops_fourier = {rows, sizeof rows / sizeof rows[0]};
