/* Einsum: sums of products over named dimensions.
 *
 * Every letter of the equation is a dimension; an operand has a stride for each (0 where it lacks the letter, the sum of strides where it
 * repeats it: a diagonal). Output element = sum over the letters that the output lacks, in the letters' order, of the product. */
#include <math.h>

#include "base/checked.h"
#include "ops/attribute.h"
#include "ops/check.h"
#include "ops/elements.h"

enum { EINSUM_OPERANDS = 8, EINSUM_LABELS = 32, EINSUM_GRAIN = 65536 };

/* Labels: 0..51 letters, ELLIPSIS + d the d-th last dimension of "...". */
enum { ELLIPSIS = 52, EINSUM_IDS = ELLIPSIS + FB_RANK_MAX };

typedef struct EinsumTerm {
    int8_t labels[FB_RANK_MAX];
    int count;
    int ellipsis; /* position in labels, -1: none */
} EinsumTerm;

typedef struct EinsumParams {
    int operand_count;
    bool explicit_output;
    EinsumTerm terms[EINSUM_OPERANDS], output;
} EinsumParams;

static int letter_id(char c) { return c >= 'A' && c <= 'Z' ? c - 'A' : c >= 'a' && c <= 'z' ? 26 + c - 'a' : -1; }

/* Reads letters and one "..." until one of `ends` or the end of text. */
static FbStatus parse_term(const char **text, const char *ends, EinsumTerm *term, FbError *err)
{
    *term = (EinsumTerm){.ellipsis = -1};
    for (; **text && !strchr(ends, **text); (*text)++) {
        if (**text == ' ') {
            continue;
        }
        if (strncmp(*text, "...", 3) == 0 && term->ellipsis < 0) {
            term->ellipsis = term->count;
            *text += 2;
        } else if (letter_id(**text) >= 0 && term->count < FB_RANK_MAX) {
            term->labels[term->count++] = (int8_t)letter_id(**text);
        } else {
            return fb_error_set(err, FB_ERR_FORMAT, "attribute 'equation' of Einsum cannot be read");
        }
    }
    return FB_OK;
}

static FbStatus decode_einsum(const FbNode *node, FbArena *arena, void *params, FbError *err)
{
    EinsumParams *p = params;
    const char *text;
    (void)arena;
    FB_TRY(fb_attr_string(node, "equation", "", &text, err));
    if (node->input_count > EINSUM_OPERANDS) {
        return fb_error_set(err, FB_ERR_UNSUPPORTED, "Einsum of %u operands, at most %d are supported", node->input_count, EINSUM_OPERANDS);
    }
    for (uint32_t i = 0; i < node->input_count; i++) {
        FB_TRY(parse_term(&text, ",-", &p->terms[i], err));
        if (*text == ',' && i + 1 < node->input_count) {
            text++;
        } else if (i + 1 < node->input_count || *text == ',') {
            return fb_error_set(err, FB_ERR_FORMAT, "attribute 'equation' of Einsum does not name %u operands", node->input_count);
        }
    }
    p->operand_count = (int)node->input_count;
    p->explicit_output = *text == '-';
    if (p->explicit_output) {
        if (text[1] != '>') {
            return fb_error_set(err, FB_ERR_FORMAT, "attribute 'equation' of Einsum cannot be read");
        }
        text += 2;
        FB_TRY(parse_term(&text, "", &p->output, err));
    }
    return FB_OK;
}

/* The equation on shapes: labels get dense numbers, output labels first. */
typedef struct EinsumPlan {
    int label_count, output_count;
    int64_t dims[EINSUM_LABELS];
    int64_t strides[EINSUM_OPERANDS][EINSUM_LABELS];
    int broadcast_rank;
} EinsumPlan;

typedef struct LabelMap { int number[EINSUM_IDS]; } LabelMap;

static FbStatus add_label(EinsumPlan *plan, LabelMap *map, int id, FbError *err)
{
    if (map->number[id] < 0) {
        if (plan->label_count == EINSUM_LABELS) {
            return fb_error_set(err, FB_ERR_UNSUPPORTED, "Einsum with more than %d letters", EINSUM_LABELS);
        }
        plan->dims[plan->label_count] = 1;
        map->number[id] = plan->label_count++;
    }
    return FB_OK;
}

/* The labels of a term for a tensor of `rank`, "..." spelt out; *count becomes rank. */
static FbStatus spell_out(const EinsumTerm *term, int rank, int *ids, FbError *err)
{
    int hidden = rank - term->count;
    if (hidden < 0 || (term->ellipsis < 0 && hidden > 0)) {
        return fb_error_set(err, FB_ERR_FORMAT, "an operand of Einsum has rank %d, the equation names %d dimensions", rank, term->count);
    }
    int at = 0;
    for (int i = 0; i <= term->count; i++) {
        for (int h = 0; i == term->ellipsis && h < hidden; h++) {
            ids[at++] = ELLIPSIS + hidden - 1 - h;
        }
        if (i < term->count) {
            ids[at++] = (int)term->labels[i];
        }
    }
    return FB_OK;
}

/* Output labels: as given, or "..." and then the letters that occur once, in order. */
static FbStatus number_output(const EinsumParams *p, EinsumPlan *plan, LabelMap *map, FbError *err)
{
    int uses[ELLIPSIS] = {0}, ids[2 * FB_RANK_MAX], count = 0;
    for (int k = 0; k < p->operand_count; k++) {
        for (int i = 0; i < p->terms[k].count; i++) {
            uses[p->terms[k].labels[i]]++;
        }
    }
    if (p->explicit_output) {
        int rank = p->output.count + (p->output.ellipsis >= 0 ? plan->broadcast_rank : 0);
        if (rank > FB_RANK_MAX) {
            return fb_error_set(err, FB_ERR_UNSUPPORTED, "Einsum to rank %d is not supported", rank);
        }
        FB_TRY(spell_out(&p->output, rank, ids, err));
        count = rank;
        for (int i = 0; i < p->output.count; i++) {
            if (uses[p->output.labels[i]] == 0) {
                return fb_error_set(err, FB_ERR_FORMAT, "Einsum's output names a dimension that no operand has");
            }
        }
    } else {
        for (int d = plan->broadcast_rank - 1; d >= 0; d--) {
            ids[count++] = ELLIPSIS + d;
        }
        for (int id = 0; id < ELLIPSIS; id++) {
            if (uses[id] == 1) {
                if (count == FB_RANK_MAX) {
                    return fb_error_set(err, FB_ERR_UNSUPPORTED, "Einsum to a rank above %d is not supported", FB_RANK_MAX);
                }
                ids[count++] = id;
            }
        }
    }
    for (int i = 0; i < count; i++) {
        if (map->number[ids[i]] >= 0) {
            return fb_error_set(err, FB_ERR_FORMAT, "Einsum's output names a dimension twice");
        }
        FB_TRY(add_label(plan, map, ids[i], err));
    }
    plan->output_count = count;
    return FB_OK;
}

/* Sizes and strides of one operand. Unknown sizes stay unknown. */
static FbStatus place_operand(EinsumPlan *plan, LabelMap *map, int k, const EinsumTerm *term, const FbShape *shape, FbError *err)
{
    int ids[2 * FB_RANK_MAX];
    int64_t stride = 1;
    FB_TRY(spell_out(term, shape->rank, ids, err));
    for (int d = 0; d < shape->rank; d++) {
        FB_TRY(add_label(plan, map, ids[d], err));
    }
    for (int d = shape->rank - 1; d >= 0; d--) {
        int label = map->number[ids[d]];
        int64_t *size = &plan->dims[label], here = shape->dims[d];
        if (*size == 1 || here == *size) {
            *size = here;
        } else if (here != 1) {
            if (here >= 0 && *size >= 0) {
                return fb_error_set(err, FB_ERR_FORMAT, "a dimension of Einsum has %lld and %lld elements", (long long)*size, (long long)here);
            }
            *size = here >= 0 ? here : *size >= 0 ? *size : FB_DIM_UNKNOWN;
        }
        plan->strides[k][label] += here == 1 ? 0 : stride;
        stride *= here < 0 ? 1 : here;
    }
    return FB_OK;
}

static FbStatus plan_einsum(const EinsumParams *p, const FbShape *shapes, EinsumPlan *plan, FbError *err)
{
    LabelMap map;
    memset(plan, 0, sizeof *plan);
    for (int i = 0; i < EINSUM_IDS; i++) {
        map.number[i] = -1;
    }
    for (int k = 0; k < p->operand_count; k++) {
        int hidden = shapes[k].rank - p->terms[k].count;
        if (p->terms[k].ellipsis >= 0 && hidden > plan->broadcast_rank) {
            plan->broadcast_rank = hidden;
        }
    }
    FB_TRY(number_output(p, plan, &map, err));
    for (int k = 0; k < p->operand_count; k++) {
        FB_TRY(place_operand(plan, &map, k, &p->terms[k], &shapes[k], err));
    }
    return FB_OK;
}

static FbStatus infer_einsum(FbInfer *infer, FbError *err)
{
    const EinsumParams *p = infer->params;
    FbShape shapes[EINSUM_OPERANDS];
    EinsumPlan plan;
    infer->outputs[0].dtype = infer->inputs[0].dtype;
    infer->outputs[0].shape.rank = -1;
    for (int k = 0; k < p->operand_count; k++) {
        FB_TRY(fb_check_input_dtype(infer, k, FB_MASK_NUMBERS, err));
        FB_TRY(fb_check_same_dtype(infer, 0, k, err));
        shapes[k] = infer->inputs[k].shape;
        if (shapes[k].rank < 0) {
            return FB_OK;
        }
    }
    FB_TRY(plan_einsum(p, shapes, &plan, err));
    infer->outputs[0].shape = fb_shape_make(plan.output_count, plan.dims);
    return FB_OK;
}

typedef struct EinsumWork {
    const EinsumParams *params;
    const FbCall *call;
    EinsumPlan plan;
    FbWork type;
    int64_t sum_count; /* products per output element */
} EinsumWork;

/* Offsets of all operands for `index` over labels [from, to). */
static void add_offsets(const EinsumWork *work, int64_t index, int from, int to, int64_t *offsets)
{
    for (int label = to - 1; label >= from; label--) {
        int64_t at = index % work->plan.dims[label];
        index /= work->plan.dims[label];
        for (int k = 0; k < work->params->operand_count; k++) {
            offsets[k] += at * work->plan.strides[k][label];
        }
    }
}

/* Two float operands: one fma chain over the innermost summed dimension after the other. */
static float chain_f32(const float *a, int64_t a_stride, const float *b, int64_t b_stride, int64_t count, float sum)
{
    for (int64_t i = 0; i < count; i++) {
        sum = fmaf(a[i * a_stride], b[i * b_stride], sum);
    }
    return sum;
}

static void einsum_output_f32(const EinsumWork *work, const int64_t *base, int64_t at)
{
    const EinsumPlan *plan = &work->plan;
    int last = plan->label_count - 1;
    int64_t run = last >= plan->output_count ? plan->dims[last] : 1;
    float sum = 0;
    for (int64_t s = 0; s < work->sum_count; s += run) {
        int64_t offsets[2] = {base[0], base[1]};
        add_offsets(work, s, plan->output_count, plan->label_count, offsets);
        sum = chain_f32((const float *)work->call->inputs[0]->data + offsets[0], plan->strides[0][last],
                        (const float *)work->call->inputs[1]->data + offsets[1], plan->strides[1][last], run, sum);
    }
    ((float *)work->call->outputs[0]->data)[at] = sum;
}

static void einsum_output_any(const EinsumWork *work, const int64_t *base, int64_t at)
{
    double real = 0;
    uint64_t whole = 0; /* wraps alike for signed and unsigned */
    for (int64_t s = 0; s < work->sum_count; s++) {
        int64_t offsets[EINSUM_OPERANDS];
        double product = 1;
        uint64_t whole_product = 1;
        memcpy(offsets, base, sizeof offsets);
        add_offsets(work, s, work->plan.output_count, work->plan.label_count, offsets);
        for (int k = 0; k < work->params->operand_count; k++) {
            const FbTensor *x = work->call->inputs[k];
            double number;
            uint64_t code;
            if (work->type == FB_WORK_F64) {
                fb_work_load(x->dtype, x->data, offsets[k], 1, FB_WORK_F64, &number, 1);
                product *= number;
            } else {
                fb_work_load(x->dtype, x->data, offsets[k], 1, work->type, &code, 1);
                whole_product *= code;
            }
        }
        real += product;
        whole += whole_product;
    }
    FbTensor *to = work->call->outputs[0];
    fb_work_store(to->dtype, to->data, at, work->type, work->type == FB_WORK_F64 ? (const void *)&real : (const void *)&whole, 1);
}

static void einsum_task(void *arg, size_t slot, size_t begin, size_t end)
{
    const EinsumWork *work = arg;
    bool fast = work->call->inputs[0]->dtype == FB_DTYPE_F32 && work->params->operand_count == 2 && work->plan.label_count > 0;
    (void)slot;
    for (size_t i = begin; i < end; i++) {
        int64_t base[EINSUM_OPERANDS] = {0};
        add_offsets(work, (int64_t)i, 0, work->plan.output_count, base);
        if (fast) {
            einsum_output_f32(work, base, (int64_t)i);
        } else {
            einsum_output_any(work, base, (int64_t)i);
        }
    }
}

static FbStatus run_einsum(const FbCall *call, FbError *err)
{
    EinsumWork work = {.params = call->params, .call = call, .type = fb_work_of(call->inputs[0]->dtype)};
    FbShape shapes[EINSUM_OPERANDS];
    work.type = work.type == FB_WORK_F32 ? FB_WORK_F64 : work.type;
    for (int k = 0; k < work.params->operand_count; k++) {
        shapes[k] = fb_tensor_shape(call->inputs[k]);
    }
    FB_TRY(plan_einsum(work.params, shapes, &work.plan, err));
    if (!fb_product_dims(work.plan.dims + work.plan.output_count, work.plan.label_count - work.plan.output_count, &work.sum_count)) {
        return fb_error_set(err, FB_ERR_BUDGET, "Einsum over more than 2^63 products");
    }
    int64_t grain = work.sum_count > 0 && work.sum_count < EINSUM_GRAIN ? EINSUM_GRAIN / work.sum_count : 1;
    fb_parallel(call->context, einsum_task, &work, (size_t)fb_tensor_elements(call->outputs[0]), (size_t)grain);
    return FB_OK;
}

static const char *const names[] = {"equation", NULL};

static const FbOp rows[] = {
    {.domain = "", .name = "Einsum", .summary = "sums of products over named dimensions", .since = 12, .newest = FB_OPSET_NEWEST,
     .min_inputs = 1, .max_inputs = -1, .min_outputs = 1, .max_outputs = 1, .params_bytes = sizeof(EinsumParams), .decode = decode_einsum,
     .infer = infer_einsum, .run = run_einsum, .attributes = names},
};

const FbOpFamily fb_ops_einsum = {rows, sizeof rows / sizeof rows[0]};
