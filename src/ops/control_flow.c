/* If, Loop, Scan: operators whose attributes are graphs. The executor runs them by nested plans; their rows only check the form. */
#include "ops/attribute.h"
#include "ops/control_flow.h"

/* Body outputs from `skip` on give the node's outputs' types; a Loop's and Scan's shapes depend on the run. */
static void infer_from_body(FbInfer *infer, const FbGraph *body, int skip)
{
    for (int o = 0; o < infer->output_count; o++) {
        infer->outputs[o].shape.rank = -1;
        if ((size_t)(o + skip) < body->output_count) {
            infer->outputs[o].dtype = body->values[body->outputs[o + skip]].dtype;
        }
    }
}

static FbStatus graph_attribute(const FbNode *node, const char *name, FbGraph **out, FbError *err)
{
    const FbAttribute *attribute = fb_node_attribute(node, name);
    if (attribute == NULL || attribute->type != FB_ATTR_GRAPH || attribute->graph == NULL) {
        return fb_error_set(err, FB_ERR_FORMAT, "attribute '%s' must be a graph", name);
    }
    *out = attribute->graph;
    return FB_OK;
}

/* Inputs of a body that the operator feeds. */
static FbStatus check_ports(const FbGraph *body, const char *name, size_t inputs, size_t outputs, FbError *err)
{
    if (body->input_count != inputs || body->output_count != outputs) {
        return fb_error_set(err, FB_ERR_FORMAT, "its graph '%s' has %zu inputs and %zu outputs, expected %zu and %zu", name, body->input_count,
                            body->output_count, inputs, outputs);
    }
    return FB_OK;
}

static FbStatus decode_if(const FbNode *node, FbArena *arena, void *params, FbError *err)
{
    FbIfParams *decoded = params;
    (void)arena;
    FB_TRY(graph_attribute(node, "then_branch", &decoded->then_branch, err));
    FB_TRY(graph_attribute(node, "else_branch", &decoded->else_branch, err));
    FB_TRY(check_ports(decoded->then_branch, "then_branch", 0, node->output_count, err));
    return check_ports(decoded->else_branch, "else_branch", 0, node->output_count, err);
}

static FbStatus infer_if(FbInfer *infer, FbError *err)
{
    const FbIfParams *params = infer->params;
    (void)err;
    infer_from_body(infer, params->then_branch, 0);
    return FB_OK;
}

static FbStatus decode_loop(const FbNode *node, FbArena *arena, void *params, FbError *err)
{
    FbLoopParams *decoded = params;
    (void)arena;
    FB_TRY(graph_attribute(node, "body", &decoded->body, err));
    decoded->carried = node->input_count > 2 ? node->input_count - 2 : 0;
    if (decoded->body->output_count < 1 + (size_t)decoded->carried || node->output_count > decoded->body->output_count - 1) {
        return fb_error_set(err, FB_ERR_FORMAT, "its body has %zu outputs, which do not fit %u carried values and %u outputs",
                            decoded->body->output_count, decoded->carried, node->output_count);
    }
    return check_ports(decoded->body, "body", 2 + (size_t)decoded->carried, decoded->body->output_count, err);
}

static FbStatus infer_loop(FbInfer *infer, FbError *err)
{
    const FbLoopParams *params = infer->params;
    (void)err;
    infer_from_body(infer, params->body, 1);
    return FB_OK;
}

static FbStatus scan_list(const FbNode *node, const char *name, size_t want, const int64_t **list, FbError *err)
{
    size_t count = 0;
    FB_TRY(fb_attr_ints(node, name, list, &count, err));
    if (*list != NULL && count != want) {
        return fb_error_set(err, FB_ERR_FORMAT, "attribute '%s' has %zu entries, expected %zu", name, count, want);
    }
    return FB_OK;
}

static FbStatus decode_scan(const FbNode *node, FbArena *arena, void *params, FbError *err)
{
    FbScanParams *decoded = params;
    int64_t scanned = 0;
    (void)arena;
    FB_TRY(graph_attribute(node, "body", &decoded->body, err));
    FB_TRY(fb_attr_required_int(node, "num_scan_inputs", &scanned, err));
    if (scanned < 1 || scanned > (int64_t)node->input_count) {
        return fb_error_set(err, FB_ERR_FORMAT, "num_scan_inputs is %lld of %u inputs", (long long)scanned, node->input_count);
    }
    decoded->scanned = (uint32_t)scanned;
    decoded->carried = node->input_count - decoded->scanned;
    if (decoded->body->output_count < decoded->carried) {
        return fb_error_set(err, FB_ERR_FORMAT, "its body has fewer outputs than the %u carried values", decoded->carried);
    }
    size_t made = decoded->body->output_count - decoded->carried;
    FB_TRY(scan_list(node, "scan_input_axes", decoded->scanned, &decoded->input_axes, err));
    FB_TRY(scan_list(node, "scan_output_axes", made, &decoded->output_axes, err));
    FB_TRY(scan_list(node, "scan_input_directions", decoded->scanned, &decoded->input_directions, err));
    FB_TRY(scan_list(node, "scan_output_directions", made, &decoded->output_directions, err));
    return check_ports(decoded->body, "body", node->input_count, node->output_count, err);
}

static FbStatus infer_scan(FbInfer *infer, FbError *err)
{
    const FbScanParams *params = infer->params;
    (void)err;
    infer_from_body(infer, params->body, 0);
    return FB_OK;
}

static const char *const if_attributes[] = {"then_branch", "else_branch", NULL};
static const char *const loop_attributes[] = {"body", NULL};
static const char *const scan_attributes[] = {"body", "num_scan_inputs", "scan_input_axes", "scan_output_axes", "scan_input_directions",
                                              "scan_output_directions", NULL};

static const FbOp rows[] = {
    {.domain = "", .name = "If", .summary = "one of two graphs, chosen by a condition", .since = 1, .newest = FB_OPSET_NEWEST, .min_inputs = 1,
     .max_inputs = 1, .min_outputs = 1, .max_outputs = -1, .params_bytes = sizeof(FbIfParams), .flags = FB_OP_RANDOM | FB_OP_CONTROL, .decode = decode_if,
     .infer = infer_if, .attributes = if_attributes},
    {.domain = "", .name = "Loop", .summary = "a graph repeated a number of times or while a condition holds", .since = 1,
     .newest = FB_OPSET_NEWEST, .min_inputs = 0, .max_inputs = -1, .min_outputs = 1, .max_outputs = -1, .params_bytes = sizeof(FbLoopParams),
     .flags = FB_OP_RANDOM | FB_OP_CONTROL, .decode = decode_loop, .infer = infer_loop, .attributes = loop_attributes},
    {.domain = "", .name = "Scan", .summary = "a graph applied along an axis of tensors, with state", .since = 9, .newest = FB_OPSET_NEWEST,
     .min_inputs = 1, .max_inputs = -1, .min_outputs = 1, .max_outputs = -1, .params_bytes = sizeof(FbScanParams), .flags = FB_OP_RANDOM | FB_OP_CONTROL,
     .decode = decode_scan, .infer = infer_scan, .attributes = scan_attributes},
};

const FbOpFamily fb_ops_control_flow = {rows, sizeof rows / sizeof rows[0]};
