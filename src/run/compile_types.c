/* Decoding, and types as far as they are known without the shapes of a run. */
#include "base/text.h"
#include "run/compile.h"

enum { FB_TYPES_VALUE_ELEMENTS = 4096 }; /* larger constants decide no shape */

FbStatus fb_node_error(const FbNode *node, FbStatus status, FbError *err)
{
    char name[160], type[80];
    return fb_error_context(err, status, "node '%s' (%s%s%s, version %d)", fb_escape(node->name, name, sizeof name), node->domain,
                            node->domain[0] != '\0' ? "." : "", fb_escape(node->op_type, type, sizeof type), node->version);
}

/* True for a node whose outputs are constants already (Constant). */
static bool is_constant_node(const FbGraph *graph, const FbNode *node)
{
    for (uint32_t o = 0; o < node->output_count; o++) {
        if (node->outputs[o] != FB_NONE && graph->values[node->outputs[o]].constant == NULL) {
            return false;
        }
    }
    return node->output_count > 0;
}

static FbStatus check_graph(FbGraph *graph, FbArena *arena, int depth, FbError *err)
{
    if (depth > FB_CONTROL_DEPTH) {
        return fb_error_set(err, FB_ERR_BUDGET, "subgraphs are nested more than %d deep", FB_CONTROL_DEPTH);
    }
    FbId *order;
    size_t count;
    FB_TRY(fb_graph_sort(graph, arena, &order, &count, err)); /* what follows relies on there being no cycle */
    for (size_t n = 0; n < graph->node_count; n++) {
        const FbNode *node = graph->nodes[n];
        const FbOp *op;
        void *params;
        if (node->removed || is_constant_node(graph, node)) {
            continue;
        }
        FbStatus status = fb_op_decode(node, arena, &op, &params, err);
        if (status != FB_OK) {
            return fb_node_error(node, status, err);
        }
    }
    for (size_t g = 0; g < graph->subgraph_count; g++) {
        FB_TRY(check_graph(graph->subgraphs[g], arena, depth + 1, err));
    }
    return FB_OK;
}

FbStatus fb_compile_check(FbGraph *graph, int depth, FbError *err)
{
    FbArena *arena = fb_arena_create(graph->context);
    if (arena == NULL) {
        return fb_error_memory(graph->context, err, "checking a model", 0);
    }
    FbStatus status = check_graph(graph, arena, depth, err);
    fb_arena_free(arena);
    return status;
}

/* The value of a small constant, loaded into the scratch arena. */
static FbStatus constant_value(FbCompile *compile, const FbConst *constant, const FbTensor **out, FbError *err)
{
    int64_t elements = fb_shape_elements(&constant->shape);
    *out = NULL;
    if (elements < 0 || elements > FB_TYPES_VALUE_ELEMENTS || constant->dtype == FB_DTYPE_STRING) {
        return FB_OK;
    }
    FbTensor loaded;
    FB_TRY(fb_const_load(compile->context, constant, &loaded, err));
    FbShape shape = fb_tensor_shape(&loaded);
    FbTensor *tensor = fb_tensor_create(compile->scratch, loaded.dtype, &shape);
    if (tensor != NULL && loaded.bytes > 0) {
        memcpy(tensor->data, loaded.data, loaded.bytes);
    }
    fb_free(compile->context, loaded.data);
    *out = tensor;
    return tensor != NULL ? FB_OK : fb_error_memory(compile->context, err, "a constant", 0);
}

/* Another graph's symbols mean nothing here. */
static FbShape without_symbols(FbShape shape)
{
    for (int i = 0; i < shape.rank; i++) {
        if (shape.dims[i] < 0) {
            shape.dims[i] = FB_DIM_UNKNOWN;
        }
    }
    return shape;
}

/* Types of everything that no node of this graph makes: inputs, constants, captures. */
static FbStatus given_types(FbCompile *compile, FbError *err)
{
    FbGraph *graph = compile->graph;
    for (size_t v = 0; v < compile->value_count; v++) {
        const FbValue *value = &graph->values[v];
        FbType *type = &compile->types[v];
        *type = (FbType){.present = true, .shape = {.rank = -1}};
        const FbConst *constant = fb_graph_constant(graph, (FbId)v);
        if (constant != NULL) {
            type->dtype = constant->encoding != NULL ? FB_DTYPE_F32 : constant->dtype;
            type->shape = constant->shape;
            FB_TRY(constant_value(compile, constant, &type->value, err));
        } else if (value->outer != FB_NONE && compile->parent != NULL) {
            type->dtype = compile->parent->types[value->outer].dtype;
            type->shape = without_symbols(compile->parent->types[value->outer].shape);
        } else if (value->is_input) {
            if (value->dtype == FB_DTYPE_NONE && value->type_raw.count > 0) {
                char shown[160];
                return fb_error_set(err, FB_ERR_UNSUPPORTED, "input '%s' is not a tensor: sequences, maps and optional values are not supported",
                                    fb_escape(value->name, shown, sizeof shown));
            }
            type->dtype = value->dtype;
            type->shape = value->shape;
        }
    }
    return FB_OK;
}

static FbStatus infer_node(FbCompile *compile, const FbNode *node, const FbCompileNode *decoded, FbError *err)
{
    FbType *inputs = fb_arena_array(compile->scratch, node->input_count + 1u, sizeof *inputs);
    FbType *outputs = fb_arena_array(compile->scratch, node->output_count + 1u, sizeof *outputs);
    if (inputs == NULL || outputs == NULL) {
        return fb_error_memory(compile->context, err, "types", 0);
    }
    for (uint32_t i = 0; i < node->input_count; i++) {
        inputs[i] = node->inputs[i] == FB_NONE ? (FbType){.shape = {.rank = -1}} : compile->types[node->inputs[i]];
    }
    for (uint32_t o = 0; o < node->output_count; o++) {
        outputs[o] = (FbType){.present = node->outputs[o] != FB_NONE, .shape = {.rank = -1}};
    }
    FbInfer infer = {.context = compile->context, .arena = compile->scratch, .node = node, .params = decoded->params,
                     .input_count = (int)node->input_count, .output_count = (int)node->output_count, .inputs = inputs, .outputs = outputs};
    FB_TRY(decoded->op->infer(&infer, err));
    for (uint32_t o = 0; o < node->output_count; o++) {
        if (node->outputs[o] == FB_NONE) {
            continue;
        }
        FbType *type = &compile->types[node->outputs[o]];
        type->dtype = outputs[o].dtype;
        if (!infer.pending) {
            type->shape = outputs[o].shape;
        }
    }
    return FB_OK;
}

FbStatus fb_compile_types(FbCompile *compile, FbError *err)
{
    compile->types = fb_arena_array(compile->scratch, compile->value_count + 1, sizeof *compile->types);
    compile->nodes = fb_arena_array(compile->scratch, compile->node_count + 1, sizeof *compile->nodes);
    if (compile->types == NULL || compile->nodes == NULL) {
        return fb_error_memory(compile->context, err, "types", 0);
    }
    FB_TRY(given_types(compile, err));
    size_t kept = 0;
    for (size_t i = 0; i < compile->order_count; i++) {
        FbId id = compile->order[i];
        const FbNode *node = compile->graph->nodes[id];
        FbCompileNode *decoded = &compile->nodes[id];
        if (is_constant_node(compile->graph, node)) {
            continue;
        }
        compile->order[kept] = id;
        decoded->place = kept++;
        FbStatus status = fb_op_decode(node, compile->plan->arena, &decoded->op, &decoded->params, err);
        if (status == FB_OK) {
            status = infer_node(compile, node, decoded, err);
        }
        if (status != FB_OK) {
            return fb_node_error(node, status, err);
        }
    }
    compile->order_count = kept;
    return FB_OK;
}
