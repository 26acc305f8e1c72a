/* ConvTranspose with a constant weight becomes a Conv and a shuffle, so that one kind of convolution has kernels:
 *
 *   y[o] = sum over t of x[(o + p - t) / s] w[t],  o + p = q s + r,  t = j s + r   =>   y[q s + r - p] = sum over j of x[q - j] w[j s + r]
 *
 * per axis: a convolution with ceil(k / s) taps, s times the channels (one for each phase r), then the phases side by side. Source: Dumoulin
 * and Visin 2016 (arXiv:1603.07285), chapter 4. Element-wise operators and Quants of one scale behind it move in front of the shuffle, where
 * a convolution takes them in. Taps that a phase does not have weigh 0; a node where most would (a stride far beyond the kernel) stays. */
#include "passes/expand_node.h"

enum { AXES = 2, GROWTH_MAX = 4 }; /* how many times the weights may become as many */

typedef struct Transposed {
    FbExpand base;
    const FbNode *node;
    const FbConst *weight;
    int spatial;
    int64_t group, in, out;              /* channels of one group */
    int64_t kernel[AXES], stride[AXES];
    int64_t taps[AXES];                  /* of the convolution */
    int64_t pads[2 * AXES];
    int64_t crop_begin[AXES], crop_end[AXES];
    int64_t phases;
} Transposed;

static const FbAttribute *ints_attribute(const FbNode *node, const char *name, size_t count, bool *ok)
{
    const FbAttribute *found = fb_node_attribute(node, name);
    *ok = *ok && (found == NULL || (found->type == FB_ATTR_INTS && found->count == count));
    return *ok ? found : NULL;
}

/* Sizes that do not depend on the input; false: this node stays. */
static bool read_window(const FbNode *node, const FbShape *weight, Transposed *t)
{
    const FbAttribute *rule = fb_node_attribute(node, "auto_pad"), *group = fb_node_attribute(node, "group");
    const size_t axes = (size_t)(weight->rank - 2);
    bool ok = rule == NULL || (rule->s.count == 6 && memcmp(rule->s.data, "NOTSET", 6) == 0);
    const FbAttribute *stride = ints_attribute(node, "strides", axes, &ok), *dilation = ints_attribute(node, "dilations", axes, &ok);
    const FbAttribute *pads = ints_attribute(node, "pads", 2 * axes, &ok), *extra = ints_attribute(node, "output_padding", axes, &ok);
    if (!ok || fb_node_attribute(node, "output_shape") != NULL) {
        return false;
    }
    t->group = group == NULL ? 1 : group->i;
    t->spatial = (int)axes;
    t->phases = 1;
    int64_t kept = 1, made = 1;
    if (t->group < 1 || weight->dims[0] % t->group != 0) {
        return false;
    }
    t->in = weight->dims[0] / t->group;
    t->out = weight->dims[1];
    for (size_t i = 0; i < axes; i++) {
        const int64_t s = stride == NULL ? 1 : stride->ints[i], k = weight->dims[2 + i];
        const int64_t begin = pads == NULL ? 0 : pads->ints[i], end = pads == NULL ? 0 : pads->ints[axes + i];
        const int64_t more = extra == NULL ? 0 : extra->ints[i];
        if (s < 1 || s > 64 || k < 1 || k > 1024 || begin < 0 || begin > 1024 || end < 0 || end > 1024 || more < 0 || more > 1024 ||
            (dilation != NULL && dilation->ints[i] != 1) || (i > 0 && s != t->stride[0])) {
            return false;
        }
        const int64_t reach = k + more - end, blocks = reach < 1 ? 0 : (reach + s - 1) / s;
        const int64_t whole = begin / s, first = whole < blocks - 1 ? whole : blocks - 1; /* an input of 1 still gives the convolution a place */
        t->stride[i] = s;
        t->kernel[i] = k;
        t->taps[i] = (k + s - 1) / s;
        t->pads[i] = t->taps[i] - 1 - first;
        t->pads[axes + i] = blocks - 1;
        t->crop_begin[i] = begin - first * s;
        t->crop_end[i] = blocks * s - reach;
        t->phases *= s;
        kept *= k;
        made *= s * t->taps[i];
        if (blocks < 1 || t->pads[i] < 0) {
            return false;
        }
    }
    return t->in > 0 && t->out > 0 && made <= GROWTH_MAX * kept;
}

/* Codes of 8 bits, one scale or one per output channel; or plain floats. */
static bool read_weight(const FbConst *weight, const Transposed *t, size_t *element)
{
    const FbEncoding *e = weight->encoding;
    *element = sizeof(float);
    if (e == NULL) {
        return weight->dtype == FB_DTYPE_F32;
    }
    *element = 1;
    const bool bytes = e->code->levels == NULL && (e->code->storage == FB_DTYPE_S8 || e->code->storage == FB_DTYPE_U8);
    const bool grain = e->grain == FB_GRAIN_TENSOR || (e->grain == FB_GRAIN_AXIS && e->axis == 1 && t->group == 1);
    return bytes && grain && e->scale == FB_DTYPE_F32;
}

static FbStatus no_memory(const Transposed *t) { return fb_error_memory(t->base.graph->context, t->base.err, "rewriting ConvTranspose", 0); }

static FbStatus make_plane(const Transposed *t, FbConst *constant, FbPlaneKind kind, size_t bytes, uint8_t **data)
{
    FbPlane *plane = &constant->planes[kind];
    *plane = (FbPlane){.bytes = bytes, .buffer = fb_buffer_create(t->base.graph->context, bytes)};
    if (plane->buffer == NULL) {
        return no_memory(t);
    }
    *data = fb_buffer_data(plane->buffer);
    return FB_OK;
}

/* Tap j of the convolution (from the left) of phase r reads what the transposed one has at (taps - 1 - j) s + r. */
static int64_t source_tap(const Transposed *t, int64_t tap, int64_t phase)
{
    int64_t at = 0, scale = 1;
    for (int i = t->spatial - 1; i >= 0; i--) {
        const int64_t from = (t->taps[i] - 1 - tap % t->taps[i]) * t->stride[i] + phase % t->stride[i];
        if (from >= t->kernel[i]) {
            return -1;
        }
        at += from * scale;
        scale *= t->kernel[i];
        tap /= t->taps[i];
        phase /= t->stride[i];
    }
    return at;
}

/* [group * in][out][kernel] to [group * out * phases][in][taps]. */
static void permute(const Transposed *t, size_t element, const uint8_t *from, const uint8_t *zeros, bool zero_each, uint8_t *to)
{
    int64_t taps = 1, kernel = 1;
    for (int i = 0; i < t->spatial; i++) {
        taps *= t->taps[i];
        kernel *= t->kernel[i];
    }
    for (int64_t g = 0; g < t->group; g++) {
        for (int64_t m = 0; m < t->out; m++) {
            for (int64_t phase = 0; phase < t->phases; phase++) {
                for (int64_t c = 0; c < t->in; c++) {
                    for (int64_t tap = 0; tap < taps; tap++, to += element) {
                        const int64_t source = source_tap(t, tap, phase);
                        if (source < 0) {
                            memset(to, zeros == NULL ? 0 : zeros[zero_each ? m : 0], element);
                        } else {
                            memcpy(to, from + (size_t)(((g * t->in + c) * t->out + m) * kernel + source) * element, element);
                        }
                    }
                }
            }
        }
    }
}

/* Scales or zero points, repeated for the phases of each channel. */
static FbStatus repeat_plane(const Transposed *t, FbPlaneKind kind, size_t element, FbConst *to)
{
    const FbPlane *from = &t->weight->planes[kind];
    const size_t count = (size_t)from->bytes / element, phases = (size_t)t->phases;
    uint8_t *data = NULL, *read = fb_arena_alloc(t->base.arena, (size_t)from->bytes + 1);
    if (read == NULL) {
        return no_memory(t);
    }
    FB_TRY(fb_plane_read(from, 0, read, (size_t)from->bytes, t->base.err));
    const size_t times = t->weight->encoding->grain == FB_GRAIN_AXIS ? phases : 1;
    FB_TRY(make_plane(t, to, kind, count * times * element, &data));
    for (size_t i = 0; i < count * times; i++) {
        memcpy(data + i * element, read + i / times * element, element);
    }
    return FB_OK;
}

static FbStatus make_weight(const Transposed *t, size_t element, FbId *value)
{
    FbConst *made = fb_graph_new_const(t->base.graph);
    uint8_t *from = NULL, *to = NULL;
    const uint64_t bytes = t->weight->planes[FB_PLANE_CODES].bytes;
    if (made == NULL || (from = fb_alloc(t->base.graph->context, (size_t)bytes + 1)) == NULL) {
        return no_memory(t);
    }
    made->dtype = t->weight->dtype;
    made->shape = t->weight->shape;
    made->shape.dims[0] = t->group * t->out * t->phases;
    made->shape.dims[1] = t->in;
    size_t count = (size_t)(made->shape.dims[0] * t->in);
    for (int i = 0; i < t->spatial; i++) {
        made->shape.dims[2 + i] = t->taps[i];
        count *= (size_t)t->taps[i];
    }
    FbStatus status = fb_plane_read(&t->weight->planes[FB_PLANE_CODES], 0, from, (size_t)bytes, t->base.err);
    if (status == FB_OK && t->weight->encoding != NULL) {
        FbEncoding *encoding = fb_arena_alloc(t->base.graph->arena, sizeof *encoding);
        status = encoding == NULL ? no_memory(t) : repeat_plane(t, FB_PLANE_SCALE, sizeof(float), made);
        if (status == FB_OK) {
            *encoding = *t->weight->encoding;
            encoding->axis = 0;
            made->encoding = encoding;
            status = encoding->has_zero ? repeat_plane(t, FB_PLANE_ZERO, 1, made) : FB_OK;
        }
    }
    if (status == FB_OK) {
        status = make_plane(t, made, FB_PLANE_CODES, count * element, &to);
    }
    if (status == FB_OK) {
        uint8_t *zeros = NULL;
        if (t->weight->encoding != NULL && t->weight->encoding->has_zero) {
            zeros = fb_arena_alloc(t->base.arena, (size_t)t->weight->planes[FB_PLANE_ZERO].bytes + 1);
            status = zeros == NULL ? no_memory(t)
                                   : fb_plane_read(&t->weight->planes[FB_PLANE_ZERO], 0, zeros, (size_t)t->weight->planes[FB_PLANE_ZERO].bytes,
                                                   t->base.err);
        }
        if (status == FB_OK) {
            permute(t, element, from, zeros, t->weight->encoding != NULL && t->weight->encoding->grain == FB_GRAIN_AXIS, to);
        }
    }
    fb_free(t->base.graph->context, from);
    FB_TRY(status);
    FB_TRY(fb_expand_value(&t->base, t->base.graph->values[t->node->inputs[1]].name, "_phases", value));
    return fb_graph_set_initializer(t->base.graph, *value, made, t->base.err);
}

/* The bias of each channel for all its phases; FB_NONE: none. */
static FbStatus make_bias(const Transposed *t, FbId *value)
{
    const FbId bias = t->node->input_count > 2 ? t->node->inputs[2] : FB_NONE;
    const size_t channels = (size_t)(t->group * t->out), phases = (size_t)t->phases;
    *value = FB_NONE;
    if (bias == FB_NONE) {
        return FB_OK;
    }
    float *numbers = fb_arena_array(t->base.arena, channels * phases, sizeof *numbers);
    if (numbers == NULL) {
        return no_memory(t);
    }
    FB_TRY(fb_const_read_f32(t->base.graph->context, fb_graph_constant(t->base.graph, bias), 0, channels, numbers, t->base.err));
    for (size_t i = channels * phases; i-- > 0;) {
        numbers[i] = numbers[i / phases];
    }
    FbTensor tensor = {.dtype = FB_DTYPE_F32, .rank = 1, .dims = {(int64_t)(channels * phases)}, .data = numbers,
                       .bytes = channels * phases * sizeof *numbers};
    const char *text = fb_arena_printf(t->base.graph->arena, "%s_phases", t->base.graph->values[bias].name);
    const char *name = text == NULL ? NULL : fb_graph_unique_name(t->base.graph, text);
    return name == NULL ? no_memory(t) : fb_graph_add_constant(t->base.graph, name, &tensor, value, t->base.err);
}

static FbStatus make_ints(const Transposed *t, const char *suffix, const int64_t *values, size_t count, FbId *value)
{
    FbTensor tensor = {.dtype = FB_DTYPE_S64, .rank = 1, .dims = {(int64_t)count}, .data = (void *)(uintptr_t)values, .bytes = count * sizeof *values};
    const char *text = fb_arena_printf(t->base.graph->arena, "%s%s", t->base.graph->values[t->node->outputs[0]].name, suffix);
    const char *name = text == NULL ? NULL : fb_graph_unique_name(t->base.graph, text);
    return name == NULL ? no_memory(t) : fb_graph_add_constant(t->base.graph, name, &tensor, value, t->base.err);
}

/* [N, C s, L] to [N, C, L s], or [N, C s s, H, W] to [N, C, H s, W s]. */
static FbStatus shuffle(const Transposed *t, FbId *value)
{
    const int64_t channels = t->group * t->out;
    FbId made = FB_NONE, shape = FB_NONE;
    FbNode *node = NULL;
    if (t->phases == 1) {
        return FB_OK;
    }
    if (t->spatial == 2) {
        FB_TRY(fb_expand_emit(&t->base, t->node, "DepthToSpace", 13, value, 1, &made, &node));
        FB_TRY(fb_graph_set_attribute_int(t->base.graph, node->id, "blocksize", t->stride[0], t->base.err));
        FB_TRY(fb_graph_set_attribute_string(t->base.graph, node->id, "mode", "CRD", t->base.err));
        *value = made;
        return FB_OK;
    }
    FB_TRY(make_ints(t, "_phases", (int64_t[]){0, channels, t->phases, -1}, 4, &shape));
    FB_TRY(fb_expand_emit(&t->base, t->node, "Reshape", 13, (FbId[]){*value, shape}, 2, &made, NULL));
    *value = made;
    made = FB_NONE;
    FB_TRY(fb_expand_emit(&t->base, t->node, "Transpose", 13, value, 1, &made, &node));
    FB_TRY(fb_graph_set_attribute_ints(t->base.graph, node->id, "perm", (int64_t[]){0, 1, 3, 2}, 4, t->base.err));
    *value = made;
    made = FB_NONE;
    FB_TRY(make_ints(t, "_line", (int64_t[]){0, channels, -1}, 3, &shape));
    FB_TRY(fb_expand_emit(&t->base, t->node, "Reshape", 13, (FbId[]){*value, shape}, 2, &made, NULL));
    *value = made;
    return FB_OK;
}

static FbStatus crop(const Transposed *t, FbId *value)
{
    int64_t start[AXES], end[AXES], axes[AXES];
    bool any = false;
    for (int i = 0; i < t->spatial; i++) {
        start[i] = t->crop_begin[i];
        end[i] = t->crop_end[i] > 0 ? -t->crop_end[i] : INT64_MAX;
        axes[i] = 2 + i;
        any = any || t->crop_begin[i] > 0 || t->crop_end[i] > 0;
    }
    FbId inputs[4] = {*value, FB_NONE, FB_NONE, FB_NONE}, made = FB_NONE;
    if (!any) {
        return FB_OK;
    }
    const size_t count = (size_t)t->spatial;
    FB_TRY(make_ints(t, "_starts", start, count, &inputs[1]));
    FB_TRY(make_ints(t, "_ends", end, count, &inputs[2]));
    FB_TRY(make_ints(t, "_axes", axes, count, &inputs[3]));
    FB_TRY(fb_expand_emit(&t->base, t->node, "Slice", 13, inputs, 4, &made, NULL));
    *value = made;
    return FB_OK;
}

/* A node that may stand in front of the shuffle: element by element, with parameters of one number. */
static bool commutes(const FbGraph *graph, const FbNode *node)
{
    static const char *const types[] = {"Relu", "Clip", "LeakyRelu", "Sigmoid", "Tanh", "HardSigmoid", "HardSwish", "Elu"};
    bool known = fb_node_is(node, "fewbit", "Quant");
    for (size_t i = 0; i < sizeof types / sizeof types[0]; i++) {
        known = known || fb_node_is(node, "", types[i]);
    }
    for (uint32_t i = 1; i < node->input_count; i++) {
        const FbConst *constant = node->inputs[i] == FB_NONE ? NULL : fb_graph_constant(graph, node->inputs[i]);
        known = known && (node->inputs[i] == FB_NONE || (constant != NULL && fb_shape_elements(&constant->shape) == 1));
    }
    return known && node->output_count == 1;
}

/* The last of the nodes behind `value` that move in front of the shuffle; NULL: none. */
static FbNode *last_to_move(const FbGraph *graph, const FbUses *uses, const FbKeep *keep, FbId value)
{
    FbNode *last = NULL;
    for (;;) {
        const uint32_t begin = uses->start[value];
        if (uses->start[value + 1] - begin != 1 || uses->items[begin].index != 0 || fb_graph_is_output(graph, value) || fb_keep_value(keep, value)) {
            return last;
        }
        FbNode *node = graph->nodes[uses->items[begin].node];
        if (node->removed || !commutes(graph, node)) {
            return last;
        }
        last = node;
        value = node->outputs[0];
    }
}

static FbStatus rewrite(const Transposed *t, const FbUses *uses, const FbKeep *keep, size_t element)
{
    FbGraph *graph = t->base.graph;
    FbId inputs[3] = {t->node->inputs[0], FB_NONE, FB_NONE}, value = FB_NONE;
    FbNode *conv = NULL;
    FB_TRY(make_weight(t, element, &inputs[1]));
    FB_TRY(make_bias(t, &inputs[2]));
    FB_TRY(fb_expand_emit(&t->base, t->node, "Conv", 11, inputs, inputs[2] == FB_NONE ? 2 : 3, &value, &conv));
    FB_TRY(fb_graph_set_attribute_ints(graph, conv->id, "pads", t->pads, (size_t)(2 * t->spatial), t->base.err));
    FB_TRY(fb_graph_set_attribute_int(graph, conv->id, "group", t->group, t->base.err));
    FbNode *last = last_to_move(graph, uses, keep, t->node->outputs[0]);
    FbId result = t->node->outputs[0];
    if (last != NULL) { /* the nodes stay, between the convolution and the shuffle; what they made comes out of the shuffle */
        const FbUse first = uses->items[uses->start[result]];
        result = last->outputs[0];
        fb_graph_set_input(graph, first.node, first.index, value);
        FB_TRY(fb_expand_value(&t->base, graph->values[result].name, "_phases", &value));
        last->outputs[0] = value;
        graph->values[value].producer = last->id;
        graph->values[result].producer = FB_NONE;
    }
    FB_TRY(shuffle(t, &value));
    FB_TRY(crop(t, &value));
    fb_graph_remove_node(graph, t->node->id);
    /* An Identity would be one more node: the last node made takes over the value that others read. */
    FbNode *final = graph->nodes[graph->values[value].producer];
    graph->values[value].producer = FB_NONE;
    final->outputs[0] = result;
    graph->values[result].producer = final->id;
    return FB_OK;
}

static FbStatus expand_one(FbGraph *graph, FbArena *arena, const FbUses *uses, const FbKeep *keep, FbId n, FbError *err)
{
    const FbNode *node = graph->nodes[n];
    if (node->removed || !fb_node_is(node, "", "ConvTranspose") || node->input_count < 2 || node->inputs[0] == FB_NONE ||
        node->inputs[1] == FB_NONE || node->output_count != 1 || node->outputs[0] == FB_NONE) {
        return FB_OK;
    }
    Transposed t = {.base = {graph, arena, err}, .node = node, .weight = fb_graph_constant(graph, node->inputs[1])};
    const FbConst *bias = node->input_count > 2 && node->inputs[2] != FB_NONE ? fb_graph_constant(graph, node->inputs[2]) : NULL;
    const bool has_bias = node->input_count > 2 && node->inputs[2] != FB_NONE;
    size_t element;
    if (t.weight == NULL || t.weight->shape.rank < 3 || t.weight->shape.rank > 2 + AXES || fb_shape_elements(&t.weight->shape) <= 0 ||
        !read_window(node, &t.weight->shape, &t) || !read_weight(t.weight, &t, &element)) {
        return FB_OK;
    }
    if (has_bias && (bias == NULL || bias->dtype != FB_DTYPE_F32 || fb_shape_elements(&bias->shape) != t.group * t.out)) {
        return FB_OK;
    }
    return rewrite(&t, uses, keep, element);
}

FbStatus fb_pass_expand_conv_transpose(FbGraph *graph, const FbKeep *keep, FbError *err)
{
    FbArena *arena = fb_arena_create(graph->context);
    if (arena == NULL) {
        return fb_error_memory(graph->context, err, "rewriting ConvTranspose", 0);
    }
    FbStatus status = FB_OK;
    const size_t count = graph->node_count;
    for (size_t n = 0; status == FB_OK && n < count; n++) {
        if (fb_node_is(graph->nodes[n], "", "ConvTranspose")) {
            FbUses uses; /* few nodes of this kind; each rewriting changes the uses */
            status = fb_graph_uses(graph, arena, &uses, err);
            status = status == FB_OK ? expand_one(graph, arena, &uses, keep, (FbId)n, err) : status;
        }
    }
    fb_arena_free(arena);
    return status;
}
