/* Codes of quantized values in both executions. A quantized value is observed as the real that its code stands for: equal codes are equal
 * reals. */
#include "evaluate/code_count.h"

#include <string.h>

#include "graph/model.h"

static bool has_fixed_range(const FbNode *node)
{
    const FbAttribute *dynamic = fb_node_is(node, "fewbit", "Quant") ? fb_node_attribute(node, "dynamic") : NULL;
    return fb_node_is(node, "fewbit", "Quant") && (dynamic == NULL || dynamic->i == 0) && node->output_count == 1 && node->outputs[0] != FB_NONE;
}

static FbStatus find_names(FbCodeCount *count, const FbGraph *graph, FbError *err)
{
    count->names = fb_arena_array(count->arena, graph->node_count + 1, sizeof *count->names);
    count->kept = fb_arena_array(count->arena, graph->node_count + 1, sizeof *count->kept);
    if (count->names == NULL || count->kept == NULL) {
        return fb_error_memory(count->context, err, "evaluation", graph->node_count);
    }
    for (size_t n = 0; n < graph->node_count; n++) {
        const FbNode *node = graph->nodes[n];
        if (node != NULL && has_fixed_range(node)) {
            count->names[count->name_count++] = graph->values[node->outputs[0]].name;
        }
    }
    return FB_OK;
}

static FbStatus keep_value(void *user, size_t index, const FbTensor *tensor, int channels_last, FbError *err)
{
    FbCodeCount *count = user;
    FbKeptValue *kept = &count->kept[index];
    void *data = kept->tensor.data;
    if (kept->capacity < tensor->bytes || data == NULL) {
        fb_free(count->context, data);
        *kept = (FbKeptValue){0};
        data = fb_alloc(count->context, tensor->bytes);
        if (data == NULL) {
            return fb_error_memory(count->context, err, "a quantized value", tensor->bytes);
        }
        kept->capacity = tensor->bytes;
    }
    kept->tensor = *tensor;
    kept->tensor.data = data;
    kept->channels_last = channels_last;
    memcpy(data, tensor->data, tensor->bytes);
    return FB_OK;
}

/* Where element (image, channel, place) stands. */
static size_t element_at(const FbTensor *tensor, int channels_last, size_t places, size_t index)
{
    const size_t channels = (size_t)tensor->dims[1], place = index % places, channel = index / places % channels, image = index / places / channels;
    return channels_last ? (image * places + place) * channels + channel : index;
}

static FbStatus compare_value(void *user, size_t index, const FbTensor *tensor, int channels_last, FbError *err)
{
    FbCodeCount *count = user;
    const FbKeptValue *kept = &count->kept[index];
    const float *a = kept->tensor.data, *b = tensor->data;
    (void)err;
    if (kept->tensor.data == NULL || tensor->dtype != FB_DTYPE_F32 || kept->tensor.dtype != FB_DTYPE_F32 || kept->tensor.bytes != tensor->bytes) {
        return FB_OK;
    }
    const size_t elements = tensor->bytes / sizeof(float);
    size_t places = 1;
    for (int i = 2; i < tensor->rank; i++) {
        places *= (size_t)tensor->dims[i];
    }
    const bool reorder = kept->channels_last != channels_last && tensor->rank > 2;
    for (size_t i = 0; i < elements; i++) {
        const float x = a[reorder ? element_at(tensor, kept->channels_last, places, i) : i];
        const float y = b[reorder ? element_at(tensor, channels_last, places, i) : i];
        count->differing += x != y;
    }
    count->compared += elements;
    return FB_OK;
}

static FbStatus open_session(FbCodeCount *count, const FbModel *model, FbMode mode, FbObserve observe, FbSession **session, FbError *err)
{
    FbSessionOptions options = {.struct_bytes = sizeof options, .mode = mode, .observed = count->names, .observed_count = count->name_count,
                                .observe = observe, .observe_user = count};
    return fb_session_create(count->context, model, &options, session, err);
}

FbStatus fb_code_count_init(FbCodeCount *count, FbContext *context, const FbModel *model, FbError *err)
{
    count->context = context;
    count->arena = fb_arena_create(context);
    if (count->arena == NULL) {
        return fb_error_memory(context, err, "evaluation", sizeof *count);
    }
    FB_TRY(find_names(count, model->graph, err));
    if (count->name_count == 0) {
        return FB_OK;
    }
    count->output_count = fb_model_output_count(model);
    count->outputs = fb_arena_array(count->arena, count->output_count + 1, sizeof *count->outputs);
    if (count->outputs == NULL) {
        return fb_error_memory(context, err, "evaluation", count->output_count);
    }
    FB_TRY(open_session(count, model, FB_MODE_INTEGER, keep_value, &count->integer, err));
    return open_session(count, model, FB_MODE_SIMULATED, compare_value, &count->simulated, err);
}

static void close_sessions(FbCodeCount *count)
{
    for (size_t i = 0; count->kept != NULL && i < count->name_count; i++) {
        fb_free(count->context, count->kept[i].tensor.data);
        count->kept[i] = (FbKeptValue){0};
    }
    fb_session_free(count->integer);
    fb_session_free(count->simulated);
    count->integer = count->simulated = NULL;
}

FbStatus fb_code_count_add(FbCodeCount *count, const FbSample *sample, FbError *err)
{
    if (count->simulated == NULL) {
        return FB_OK;
    }
    FB_TRY(fb_session_run(count->integer, sample->inputs, sample->input_count, count->outputs, count->output_count, err));
    FB_TRY(fb_session_run(count->simulated, sample->inputs, sample->input_count, count->outputs, count->output_count, err));
    if (++count->samples == FB_CODE_SAMPLES) {
        close_sessions(count);
    }
    return FB_OK;
}

void fb_code_count_reset(FbCodeCount *count)
{
    if (count->context != NULL) {
        close_sessions(count);
        fb_arena_free(count->arena);
    }
    memset(count, 0, sizeof *count);
}
