/* Cast, CastLike and BitCast between all numeric element types.
 *
 * Float to integer: see ops/elements.h. Integers to narrower integers keep the low bits. Float to fp8: round half to even, `saturate` decides between the largest finite value and NaN or infinity. */
#include "ops/attribute.h"
#include "ops/check.h"
#include "ops/elements.h"

enum { CAST_GRAIN = 8192 };

typedef struct CastParams {
    FbDtype to;      /* NONE: CastLike, the type of input 1 */
    bool saturate;
    FbE8m0Round round_mode;
} CastParams;

static FbStatus decode_to(const FbNode *node, FbDtype *to, FbError *err)
{
    static const char *const old_names[] = {"",      "FLOAT", "UINT8",   "INT8",   "UINT16", "INT16", "INT32", "INT64",
                                            "STRING", "BOOL",  "FLOAT16", "DOUBLE", "UINT32", "UINT64"};
    int64_t number = 0;
    if (node->version < 6) { /* the first version named the type in text */
        const char *name;
        FB_TRY(fb_attr_string(node, "to", "", &name, err));
        for (size_t i = 1; i < sizeof old_names / sizeof old_names[0]; i++) {
            number = strcmp(name, old_names[i]) == 0 ? (int64_t)i : number;
        }
    } else {
        FB_TRY(fb_attr_required_int(node, "to", &number, err));
    }
    if (number <= FB_DTYPE_NONE || number >= FB_DTYPE_COUNT) {
        return fb_error_set(err, FB_ERR_FORMAT, "attribute 'to' holds %lld, which is no element type", (long long)number);
    }
    *to = (FbDtype)number;
    if (!(FB_MASK(*to) & FB_MASK_ALL) || *to == FB_DTYPE_C64 || *to == FB_DTYPE_C128) {
        return fb_error_set(err, FB_ERR_UNSUPPORTED, "%s to element type %s is not supported", node->op_type, fb_dtype_name(*to));
    }
    return FB_OK;
}

static FbStatus decode_rounding(const FbNode *node, CastParams *p, FbError *err)
{
    const char *mode;
    FB_TRY(fb_attr_bool(node, "saturate", true, &p->saturate, err));
    FB_TRY(fb_attr_string(node, "round_mode", "up", &mode, err));
    if (strcmp(mode, "up") == 0) {
        p->round_mode = FB_E8M0_UP;
    } else if (strcmp(mode, "down") == 0) {
        p->round_mode = FB_E8M0_DOWN;
    } else if (strcmp(mode, "nearest") == 0) {
        p->round_mode = FB_E8M0_NEAREST;
    } else {
        return fb_error_set(err, FB_ERR_FORMAT, "attribute 'round_mode' must be up, down or nearest");
    }
    return FB_OK;
}

static FbStatus decode_cast(const FbNode *node, FbArena *arena, void *params, FbError *err)
{
    CastParams *p = params;
    (void)arena;
    FB_TRY(decode_rounding(node, p, err));
    return decode_to(node, &p->to, err);
}

static FbStatus decode_cast_like(const FbNode *node, FbArena *arena, void *params, FbError *err)
{
    (void)arena;
    return decode_rounding(node, params, err);
}

static FbStatus infer_cast(FbInfer *infer, FbError *err)
{
    const CastParams *p = infer->params;
    const FbDtypeMask types = FB_MASK_ALL & ~(FB_MASK(FB_DTYPE_C64) | FB_MASK(FB_DTYPE_C128));
    FB_TRY(fb_check_input_dtype(infer, 0, types, err));
    FB_TRY(fb_check_input_dtype(infer, 1, types, err));
    infer->outputs[0].shape = infer->inputs[0].shape;
    infer->outputs[0].dtype = p->to != FB_DTYPE_NONE ? p->to : infer->inputs[1].dtype;
    return FB_OK;
}

typedef struct CastWork {
    const CastParams *params;
    const FbTensor *from;
    FbTensor *to;
} CastWork;

static bool is_f8(FbDtype dtype) { return (FB_MASK(dtype) & FB_MASK_F8) != 0; }

static void cast_block(const CastWork *work, int64_t first, size_t count)
{
    FbWorkBlock block;
    FbDtype to = work->to->dtype;
    FbWork type = fb_work_of(work->from->dtype);
    if (to == FB_DTYPE_F8E8M0) {
        fb_work_load(work->from->dtype, work->from->data, first, 1, FB_WORK_F32, &block, count);
        for (size_t i = 0; i < count; i++) {
            ((uint8_t *)work->to->data)[first + (int64_t)i] = fb_f32_to_e8m0(block.f32[i], work->params->round_mode, work->params->saturate);
        }
        return;
    }
    if (is_f8(to)) {
        fb_work_load(work->from->dtype, work->from->data, first, 1, FB_WORK_F32, &block, count);
        for (size_t i = 0; i < count; i++) {
            ((uint8_t *)work->to->data)[first + (int64_t)i] = fb_f32_to_f8(block.f32[i], to, work->params->saturate);
        }
        return;
    }
    if (to == FB_DTYPE_F32) {
        fb_work_load(work->from->dtype, work->from->data, first, 1, FB_WORK_F32, (float *)work->to->data + first, count);
        return;
    }
    fb_work_load(work->from->dtype, work->from->data, first, 1, type, &block, count);
    fb_work_store(to, work->to->data, first, type, &block, count);
}

static void cast_task(void *arg, size_t slot, size_t begin, size_t end)
{
    (void)slot;
    for (size_t at = begin; at < end; at += FB_WORK_BLOCK) {
        cast_block(arg, (int64_t)at, end - at < FB_WORK_BLOCK ? end - at : FB_WORK_BLOCK);
    }
}

static FbStatus run_cast(const FbCall *call, FbError *err)
{
    CastWork work = {call->params, call->inputs[0], call->outputs[0]};
    (void)err;
    if (work.from->dtype == work.to->dtype) {
        if (work.from->bytes && work.from->data != work.to->data) {
            memcpy(work.to->data, work.from->data, work.from->bytes);
        }
        return FB_OK;
    }
    if (fb_dtype_bits(work.to->dtype) < 8 && work.to->bytes) {
        ((uint8_t *)work.to->data)[work.to->bytes - 1] = 0; /* the unused bits of the last byte are zero */
    }
    fb_parallel(call->context, cast_task, &work, (size_t)fb_tensor_elements(work.from), CAST_GRAIN);
    return FB_OK;
}

/* ---- BitCast: the same bits under another name ---- */

static FbStatus decode_bit_cast(const FbNode *node, FbArena *arena, void *params, FbError *err)
{
    CastParams *p = params;
    (void)arena;
    return decode_to(node, &p->to, err);
}

static FbStatus infer_bit_cast(FbInfer *infer, FbError *err)
{
    const CastParams *p = infer->params;
    FB_TRY(fb_check_input_dtype(infer, 0, FB_MASK_ALL, err));
    FbDtype from = infer->inputs[0].dtype;
    if (from != FB_DTYPE_NONE && fb_dtype_bits(from) != fb_dtype_bits(p->to)) {
        return fb_error_set(err, FB_ERR_FORMAT, "BitCast from %s to %s changes the width", fb_dtype_name(from), fb_dtype_name(p->to));
    }
    infer->outputs[0].dtype = p->to;
    infer->outputs[0].shape = infer->inputs[0].shape;
    return FB_OK;
}

static FbStatus run_bit_cast(const FbCall *call, FbError *err)
{
    (void)err;
    if (call->inputs[0]->bytes && call->inputs[0]->data != call->outputs[0]->data) {
        memcpy(call->outputs[0]->data, call->inputs[0]->data, call->inputs[0]->bytes);
    }
    return FB_OK;
}

static const char *const cast_names[] = {"to", "saturate", "round_mode", NULL};
static const char *const like_names[] = {"saturate", "round_mode", NULL};
static const char *const bit_names[] = {"to", NULL};

static const FbOp rows[] = {
    {.domain = "", .name = "BitCast", .summary = "the same bits as another element type", .since = 26, .newest = FB_OPSET_NEWEST,
     .min_inputs = 1, .max_inputs = 1, .min_outputs = 1, .max_outputs = 1, .params_bytes = sizeof(CastParams), .flags = FB_OP_POINTWISE,
     .decode = decode_bit_cast, .infer = infer_bit_cast, .run = run_bit_cast, .attributes = bit_names},
    {.domain = "", .name = "Cast", .summary = "convert to another element type", .since = 1, .newest = FB_OPSET_NEWEST, .min_inputs = 1,
     .max_inputs = 1, .min_outputs = 1, .max_outputs = 1, .params_bytes = sizeof(CastParams), .flags = FB_OP_POINTWISE,
     .decode = decode_cast, .infer = infer_cast, .run = run_cast, .attributes = cast_names},
    {.domain = "", .name = "CastLike", .summary = "convert to the element type of another tensor", .since = 15, .newest = FB_OPSET_NEWEST,
     .min_inputs = 2, .max_inputs = 2, .min_outputs = 1, .max_outputs = 1, .params_bytes = sizeof(CastParams), .flags = 0,
     .decode = decode_cast_like, .infer = infer_cast, .run = run_cast, .attributes = like_names},
};

const FbOpFamily fb_ops_cast = {rows, sizeof rows / sizeof rows[0]};
