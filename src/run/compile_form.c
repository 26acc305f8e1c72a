/* Slots: a value in one form: its memory order, reals or codes. Convolution regions keep their values channels last; conversions stand at
 * the borders only. */
#include "base/array.h"
#include "run/compile.h"

FbShape fb_form_physical(const FbShape *logical, bool channels_last)
{
    FbShape shape = *logical;
    if (channels_last && logical->rank >= 3) {
        for (int i = 1; i + 1 < logical->rank; i++) {
            shape.dims[i] = logical->dims[i + 1];
        }
        shape.dims[logical->rank - 1] = logical->dims[1];
    }
    return shape;
}

bool fb_compile_is_channels_last(const FbCompile *compile, FbId value)
{
    FbSlot slot = value == FB_NONE ? FB_NONE : compile->slots[value];
    return slot != FB_NONE && compile->plan->values[slot].channels_last;
}

static FbStatus push_slot(FbCompile *compile, const FbPlanValue *value, FbSlot *slot, FbError *err)
{
    FbPlan *plan = compile->plan;
    if (!fb_array_reserve_bytes(plan->context, (void **)&plan->values, plan->value_count, &plan->value_capacity, sizeof *plan->values)) {
        return fb_error_memory(plan->context, err, "plan values", 0);
    }
    *slot = (FbSlot)plan->value_count;
    plan->values[plan->value_count++] = *value;
    return FB_OK;
}

static int form_index(FbForm form)
{
    return (form.channels_last ? 1 : 0) + (form.codes ? 2 : 0);
}

FbStatus fb_compile_new_slot(FbCompile *compile, FbId value, const FbType *type, FbForm form, FbSlot *slot, FbError *err)
{
    FbPlanValue made = {.name = compile->graph->values[value].name, .dtype = type->dtype, .shape = type->shape,
                        .channels_last = form.channels_last, .codes = form.codes};
    if (form.codes) {
        made.grid = *compile->grids[value];
    }
    FB_TRY(push_slot(compile, &made, slot, err));
    compile->slots[value] = *slot;
    compile->forms[value][form_index(form)] = *slot;
    return FB_OK;
}

/* A shape with leading dimensions of 1 up to `rank`. */
static FbShape pad_shape(const FbShape *shape, int rank)
{
    FbShape padded = *shape;
    int extra = rank - shape->rank;
    if (extra <= 0) {
        return padded;
    }
    padded.rank = rank;
    for (int i = 0; i < rank; i++) {
        padded.dims[i] = i < extra ? 1 : shape->dims[i - extra];
    }
    return padded;
}

/* Bytes of `from` (logical order) to channels last. */
static void permute_bytes(const FbShape *shape, size_t element, const uint8_t *from, uint8_t *to)
{
    size_t channels = (size_t)shape->dims[1], spatial = 1;
    for (int i = 2; i < shape->rank; i++) {
        spatial *= (size_t)shape->dims[i];
    }
    for (size_t n = 0; n < (size_t)shape->dims[0]; n++) {
        for (size_t c = 0; c < channels; c++) {
            for (size_t s = 0; s < spatial; s++) {
                memcpy(to + ((n * spatial + s) * channels + c) * element, from + ((n * channels + c) * spatial + s) * element, element);
            }
        }
    }
}

/* Loads a constant into the plan, in the wanted order. */
static FbStatus load_constant(FbCompile *compile, FbId value, bool channels_last, int rank, FbSlot *slot, FbError *err)
{
    const FbConst *constant = fb_graph_constant(compile->graph, value);
    FbPlanValue made = {.name = compile->graph->values[value].name, .channels_last = channels_last, .is_constant = true};
    FB_TRY(fb_const_load(compile->context, constant, &made.constant, err));
    FbShape shape = fb_tensor_shape(&made.constant);
    made.dtype = made.constant.dtype;
    made.shape = channels_last ? pad_shape(&shape, rank) : shape;
    FbStatus status = FB_OK;
    if (channels_last) {
        FbShape physical = fb_form_physical(&made.shape, true);
        size_t element = (size_t)fb_dtype_bits(made.dtype) / 8;
        void *permuted = fb_alloc(compile->context, made.constant.bytes);
        if (permuted == NULL || element == 0) {
            status = permuted == NULL ? fb_error_memory(compile->context, err, "a constant", made.constant.bytes)
                                      : fb_error_set(err, FB_ERR_UNSUPPORTED, "a constant of less than a byte cannot be channels last");
        } else {
            permute_bytes(&made.shape, element, made.constant.data, permuted);
        }
        fb_free(compile->context, made.constant.data);
        made.constant.data = permuted;
        made.constant.rank = physical.rank;
        memcpy(made.constant.dims, physical.dims, sizeof physical.dims);
    }
    if (status == FB_OK) {
        status = push_slot(compile, &made, slot, err);
    }
    if (status != FB_OK) {
        fb_free(compile->context, made.constant.data);
    }
    return status;
}

FbStatus fb_compile_shell(FbCompile *compile, FbId value, FbSlot *slot, FbError *err)
{
    const FbConst *constant = fb_graph_constant(compile->graph, value);
    FbPlanValue made = {.name = compile->graph->values[value].name, .is_constant = true, .shape = constant->shape};
    made.dtype = constant->encoding != NULL ? FB_DTYPE_F32 : constant->dtype;
    made.constant = (FbTensor){.dtype = made.dtype, .rank = constant->shape.rank};
    memcpy(made.constant.dims, constant->shape.dims, sizeof made.constant.dims);
    return push_slot(compile, &made, slot, err);
}

/* A slot made of another by a step without a node. */
static FbStatus convert(FbCompile *compile, FbSlot from, FbStepKind kind, const FbPlanValue *like, int rank, FbSlot *slot, FbError *err)
{
    FbPlanValue made = *like;
    made.is_output = false;
    if (made.shape.rank >= 0) {
        made.shape = pad_shape(&made.shape, rank);
    }
    FB_TRY(push_slot(compile, &made, slot, err));
    FbStep *step;
    FB_TRY(fb_compile_add_step(compile, &step, err));
    FbSlot *ports = fb_arena_array(compile->plan->arena, 2, sizeof *ports);
    if (ports == NULL) {
        return fb_error_memory(compile->context, err, "a step", 0);
    }
    ports[0] = from;
    ports[1] = *slot;
    step->kind = kind;
    step->name = made.name;
    step->channels_last = made.channels_last;
    step->convert_rank = rank;
    step->grid = made.grid;
    step->integer = made.codes;
    step->inputs = ports;
    step->outputs = ports + 1;
    step->input_count = step->node_inputs = step->output_count = 1;
    return FB_OK;
}

static FbStatus convert_order(FbCompile *compile, FbSlot from, bool channels_last, int rank, FbSlot *slot, FbError *err)
{
    FbPlanValue made = compile->plan->values[from];
    made.channels_last = channels_last;
    return convert(compile, from, FB_STEP_CONVERT, &made, rank, slot, err);
}

static FbStatus convert_codes(FbCompile *compile, FbId value, FbSlot from, bool codes, FbSlot *slot, FbError *err)
{
    FbPlanValue made = compile->plan->values[from];
    made.codes = codes;
    made.grid = *compile->grids[value];
    return convert(compile, from, codes ? FB_STEP_QUANTIZE : FB_STEP_DEQUANTIZE, &made, 0, slot, err);
}

static FbStatus constant_slot(FbCompile *compile, FbId value, bool channels_last, int rank, FbSlot *slot, FbError *err)
{
    bool pad = channels_last && rank > compile->types[value].shape.rank;
    FbSlot *known = &compile->forms[value][form_index((FbForm){channels_last, false})];
    if (!pad && *known != FB_NONE) {
        *slot = *known;
        return FB_OK;
    }
    FB_TRY(load_constant(compile, value, channels_last, rank, slot, err));
    if (!pad) {
        *known = *slot;
        compile->slots[value] = channels_last ? compile->slots[value] : *slot;
    }
    return FB_OK;
}

/* Codes are a quarter of the bytes: the order changes while a value is codes. */
FbStatus fb_compile_form(FbCompile *compile, FbId value, FbForm form, FbSlot *slot, FbError *err)
{
    FbSlot natural = compile->slots[value], near = FB_NONE;
    *slot = FB_NONE;
    if (natural == FB_NONE) {
        return fb_error_set(err, FB_ERR_INTERNAL, "value '%s' is used before it is made", compile->graph->values[value].name);
    }
    FbSlot *known = compile->forms[value];
    const FbForm has = {compile->plan->values[natural].channels_last, compile->plan->values[natural].codes};
    const FbForm coded_here = {has.channels_last, true}, coded_there = {form.channels_last, true};
    if (known[form_index(form)] == FB_NONE) {
        if (has.codes == form.codes) {
            FB_TRY(convert_order(compile, natural, form.channels_last, 0, slot, err));
        } else if (form.codes && has.channels_last == form.channels_last) {
            FB_TRY(convert_codes(compile, value, natural, true, slot, err));
        } else if (form.codes) {
            FB_TRY(fb_compile_form(compile, value, coded_here, &near, err));
            FB_TRY(convert_order(compile, near, form.channels_last, 0, slot, err));
        } else {
            FB_TRY(fb_compile_form(compile, value, coded_there, &near, err));
            FB_TRY(convert_codes(compile, value, near, false, slot, err));
        }
        known = compile->forms[value];
        known[form_index(form)] = *slot;
    }
    *slot = known[form_index(form)];
    return FB_OK;
}

FbStatus fb_compile_slot(FbCompile *compile, FbId value, bool channels_last, int rank, FbSlot *slot, FbError *err)
{
    *slot = FB_NONE;
    if (value == FB_NONE) {
        return FB_OK;
    }
    if (fb_graph_constant(compile->graph, value) != NULL) {
        return constant_slot(compile, value, channels_last, rank, slot, err);
    }
    if (!channels_last || rank <= compile->types[value].shape.rank) {
        return fb_compile_form(compile, value, (FbForm){channels_last, false}, slot, err);
    }
    FbSlot reals = FB_NONE;
    FbForm natural = {fb_compile_is_channels_last(compile, value), false};
    FB_TRY(fb_compile_form(compile, value, natural, &reals, err));
    return convert_order(compile, reals, channels_last, rank, slot, err);
}
