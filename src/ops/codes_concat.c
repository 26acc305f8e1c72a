/* Concat between codes: each input is copied, looked up in a table of 256 entries when its grid is another, or converted. */
#include "ops/codes_concat.h"

#include "kernels/codes.h"
#include "ops/codes_store.h"

enum { CODES = 256, PIECE = 16384 };

typedef enum JoinKind { JOIN_COPY = 0, JOIN_TABLE, JOIN_QUANTIZE, JOIN_DEQUANTIZE } JoinKind;

typedef struct JoinPart {
    JoinKind kind;
    FbCodeGrid grid;         /* DEQUANTIZE: of the input */
    uint8_t table[CODES];
} JoinPart;

typedef struct CodesConcatState {
    const FbCodesKernel *kernel;
    bool codes;
    FbCodeGrid to;
    JoinPart *parts;         /* per input */
} CodesConcatState;

static bool concat_accepts(const FbPrepare *prepare)
{
    for (int i = 0; i < prepare->input_count; i++) {
        if (!prepare->inputs[i].present || prepare->inputs[i].dtype != FB_DTYPE_F32 || prepare->constants[i]) {
            return false;
        }
    }
    return prepare->input_count > 0 && fb_codes_store_is_plain(prepare);
}

static void make_part(const CodesConcatState *s, const FbCodeGrid *from, JoinPart *part)
{
    part->kind = from ? s->codes ? JOIN_TABLE : JOIN_DEQUANTIZE : s->codes ? JOIN_QUANTIZE : JOIN_COPY;
    part->grid = from ? *from : s->to;
    if (part->kind != JOIN_TABLE) {
        return;
    }
    uint8_t codes[CODES];
    float reals[CODES];
    for (int i = 0; i < CODES; i++) {
        codes[i] = (uint8_t)i;
    }
    s->kernel->dequantize(codes, reals, CODES, from);
    s->kernel->quantize(reals, part->table, CODES, &s->to);
    bool same = true;
    for (int i = from->low; i <= from->high; i++) {
        same = same && part->table[i] == i;
    }
    part->kind = same ? JOIN_COPY : JOIN_TABLE;
}

static FbStatus concat_prepare(const FbPrepare *prepare, void **state, FbError *err)
{
    CodesConcatState *s = fb_arena_alloc(prepare->arena, sizeof *s);
    JoinPart *parts = fb_arena_array(prepare->arena, (size_t)prepare->input_count, sizeof *parts);
    if (!s || !parts) {
        return fb_error_memory(prepare->context, err, "a step on codes", (uint64_t)prepare->input_count * sizeof *parts);
    }
    *s = (CodesConcatState){.kernel = fb_codes_pick(fb_context_cpu(prepare->context)), .codes = prepare->store_grid != NULL, .parts = parts};
    s->to = s->codes ? *prepare->store_grid : (FbCodeGrid){.scale = 1};
    for (int i = 0; i < prepare->input_count; i++) {
        make_part(s, prepare->grids[i], &parts[i]);
    }
    *state = s;
    return FB_OK;
}

static FbStatus concat_bind(FbBind *bind, FbError *err)
{
    (void)bind;
    (void)err;
    return FB_OK;
}

/* One input: rows of `row` elements that go to rows of `stride` elements; in pieces. */
typedef struct JoinRun {
    const CodesConcatState *state;
    const JoinPart *part;
    const void *x;
    void *y;
    size_t row, x_stride, stride, offset, pieces;
} JoinRun;

static void join_units(void *arg, size_t slot, size_t begin, size_t end)
{
    const JoinRun *r = arg;
    const FbCodesKernel *kernel = r->state->kernel;
    (void)slot;
    for (size_t unit = begin; unit < end; unit++) {
        const size_t index = unit / r->pieces, at = unit % r->pieces * PIECE, count = r->row - at < PIECE ? r->row - at : PIECE;
        const size_t from = index * r->x_stride + at, to = index * r->stride + r->offset + at;
        const uint8_t *codes = r->x;
        const float *reals = r->x;
        uint8_t *y = r->y;
        switch (r->part->kind) {
        case JOIN_COPY:
            if (r->state->codes) {
                memcpy(y + to, codes + from, count);
            } else {
                memcpy((float *)r->y + to, reals + from, count * sizeof *reals);
            }
            break;
        case JOIN_TABLE: kernel->map_u8(codes + from, y + to, count, r->part->table); break;
        case JOIN_QUANTIZE: kernel->quantize(reals + from, y + to, count, &r->part->grid); break;
        case JOIN_DEQUANTIZE: kernel->dequantize(codes + from, (float *)r->y + to, count, &r->part->grid); break;
        }
    }
}

static FbStatus concat_run(const FbCall *call, FbError *err)
{
    const CodesConcatState *s = call->state;
    const FbTensor *out = call->outputs[0];
    int axis;
    FB_TRY(fb_join_axis(call->params, out->rank, call->channels_last, &axis, err));
    const size_t element = s->codes ? 1 : sizeof(float);
    size_t outer = 1, inner = 1, offset = 0;
    for (int i = 0; i < out->rank; i++) {
        outer *= i < axis ? (size_t)out->dims[i] : 1;
        inner *= i > axis ? (size_t)out->dims[i] : 1;
    }
    for (int i = 0; i < call->input_count && outer * inner > 0; i++) {
        const FbTensor *x = call->inputs[i];
        JoinRun r = {.state = s, .part = &s->parts[i], .x = x->data, .y = out->data, .row = (size_t)x->dims[axis] * inner,
                     .stride = (size_t)out->dims[axis] * inner, .offset = offset};
        r.x_stride = fb_call_stride(call, i, r.row);
        r.stride = fb_call_stride(call, -1, r.stride);
        r.pieces = (r.row + PIECE - 1) / PIECE;
        offset += r.row;
        if (r.part->kind == JOIN_COPY && (const char *)x->data == (const char *)out->data + r.offset * element) {
            continue; /* made where it belongs */
        }
        fb_parallel(call->context, join_units, &r, outer * r.pieces, 4 * PIECE / (r.row < PIECE ? r.row + 1 : PIECE) + 1);
    }
    return fb_check_cancel(call->context, err);
}

bool fb_codes_concat_copies(const void *state, int input)
{
    return ((const CodesConcatState *)state)->parts[input].kind == JOIN_COPY;
}

/* Rows of windows are those of the joined axis. */
static bool concat_strided(const FbCall *call, int i)
{
    FbError ignored;
    int axis;
    (void)i;
    return fb_join_axis(call->params, call->outputs[0]->rank, call->channels_last, &axis, &ignored) == FB_OK && axis == call->outputs[0]->rank - 1;
}

const FbLowering fb_codes_concat_lowering = {.name = "concat_codes", .accepts = concat_accepts, .prepare = concat_prepare, .bind = concat_bind,
                                             .run = concat_run, .strided = concat_strided};
