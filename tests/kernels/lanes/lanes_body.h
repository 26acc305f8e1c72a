/* The operations; included after a simd_*.h. */
#include "kernels/lanes/lanes.h"

#define FLOATS(expression) (out->float_name[out->floats] = #expression, fb_v_store(out->f[out->floats++], (expression)))
#define INTS(expression) (out->int_name[out->ints] = #expression, fb_vi_store(out->i[out->ints++], (expression)))
#define BYTES(expression) (out->byte_name[out->bytes] = #expression, fb_vb_store(out->u[out->bytes++], (expression)))

static void float_operations(const LanesIn *in, LanesOut *out)
{
    const FbV a = fb_v_load(in->a), b = fb_v_load(in->b), c = fb_v_load(in->c);
    FLOATS(fb_v_set(in->a[3]));
    FLOATS(fb_v_add(a, b));
    FLOATS(fb_v_sub(a, b));
    FLOATS(fb_v_mul(a, b));
    FLOATS(fb_v_div(a, b));
    FLOATS(fb_v_fma(a, b, c));
    FLOATS(fb_v_sqrt(a));
    FLOATS(fb_v_min(a, b));
    FLOATS(fb_v_max(a, b));
    FLOATS(fb_v_select(fb_v_lt(a, b), c, a));
    FLOATS(fb_v_select(fb_v_le(a, b), c, a));
    FLOATS(fb_v_round(a));
    FLOATS(fb_v_set(fb_v_sum(a)));
    FLOATS(fb_v_set(fb_v_highest(fb_v_from_int(fb_vi_load(in->i)))));
    FLOATS(fb_v_set((float)fb_vm_count(fb_v_lt(a, b), in->n)));
    FLOATS(fb_v_set((float)fb_vm_count(fb_v_le(a, a), in->n)));
    FLOATS(fb_v_from_int(fb_vi_load(in->i)));
    FLOATS(fb_v_from_bits(fb_v_bits(a)));
    FLOATS(fb_v_load_n(in->part, in->n));
    fb_v_store_n(out->f[out->floats], a, in->n);
    out->float_name[out->floats++] = "fb_v_store_n";
    float table[256];
    for (int k = 0; k < 256; k++) {
        table[k] = 1.0f / (float)(k + 1);
    }
    fb_v_map(in->u, out->f[out->floats], in->n, table);
    out->float_name[out->floats++] = "fb_v_map";
}

static void int_operations(const LanesIn *in, LanesOut *out)
{
    const FbVi i = fb_vi_load(in->i), j = fb_vi_load(in->j);
    INTS(fb_v_to_int(fb_v_load(in->a)));
    INTS(fb_vi_set(in->i[5]));
    INTS(fb_vi_add(i, j));
    INTS(fb_vi_sub(i, j));
    INTS(fb_vi_mul(i, j));
    INTS(fb_vi_and(i, j));
    INTS(fb_vi_or(i, j));
    INTS(fb_vi_shl23(i));
    INTS(fb_vi_shr23(i));
    INTS(fb_vi_sra1(i));
    INTS(fb_vi_from_bytes(fb_vb_load(in->u)));
    INTS(fb_vi_load_bytes(in->u));
    INTS(fb_vi_load_n(in->part_int, in->n));
    fb_vi_store_n(out->i[out->ints], i, in->n);
    out->int_name[out->ints++] = "fb_vi_store_n";
    INTS(fb_vi_ordered(fb_vi_dot2(fb_vi_set(-7), fb_vp_codes(in->u, in->v), fb_vp_weights(in->w0, in->w1, in->n))));
    INTS(fb_vi_ordered(fb_vi_dot2(fb_vi_set(9), fb_vp_codes(in->u, in->v), fb_vp_weights(in->w0, NULL, in->n))));
}

static void byte_operations(const LanesIn *in, LanesOut *out)
{
    const FbVb u = fb_vb_load(in->u), v = fb_vb_load(in->v);
    BYTES(fb_vb_set(in->u[7]));
    BYTES(fb_vb_min(u, v));
    BYTES(fb_vb_max(u, v));
    BYTES(fb_vb_codes(fb_v_load(in->a), fb_vi_load(in->zero)));
    BYTES(fb_vb_load_n(in->part_bytes, in->n));
    fb_vb_store_n(out->u[out->bytes], u, in->n);
    out->byte_name[out->bytes++] = "fb_vb_store_n";
    uint8_t table[256], x[48], y[48];
    for (int k = 0; k < 256; k++) {
        table[k] = (uint8_t)(k * 37 + 11);
    }
    for (int k = 0; k < 48; k++) {
        x[k] = (uint8_t)(in->u[k % 16] + k / 16 * 85);
    }
    fb_vb_map(x, y, 32 + in->n, table); /* whole vectors and a rest */
    for (size_t part = 0; part < 3; part++) {
        memcpy(out->u[out->bytes], y + 16 * part, part < 2 ? 16 : in->n);
        out->byte_name[out->bytes++] = "fb_vb_map";
    }
}

void FB_ISA(lanes)(const LanesIn *in, LanesOut *out)
{
    float_operations(in, out);
    int_operations(in, out);
    byte_operations(in, out);
}
