/* roundtrip IN OUT [external | OPSET]: loads and saves an ONNX file, with external data or rewritten for a newer operator set. For the judge
 * scripts. Prints the numbers of Quants and encoded weights. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "fewbit/fewbit.h"
#include "graph/model.h"
#include "passes/upgrade_opset.h"

static void count(const FbGraph *graph, size_t *quants, size_t *encoded)
{
    for (size_t n = 0; n < graph->node_count; n++) {
        *quants += !graph->nodes[n]->removed && fb_node_is(graph->nodes[n], "fewbit", "Quant");
    }
    for (size_t v = 0; v < graph->value_count; v++) {
        *encoded += graph->values[v].constant != NULL && graph->values[v].constant->encoding != NULL;
    }
    for (size_t i = 0; i < graph->subgraph_count; i++) {
        count(graph->subgraphs[i], quants, encoded);
    }
}

int main(int argc, char **argv)
{
    FbError err = {0};
    FbContext *context = NULL;
    FbModel *model = NULL;
    if (argc < 3 || fb_context_create(NULL, &context, &err) != FB_OK) {
        return 2;
    }
    FbSaveOptions options = {.struct_bytes = sizeof options, .overwrite = 1, .force_external = argc > 3 && strcmp(argv[3], "external") == 0};
    FbStatus status = fb_model_load(context, argv[1], &model, &err);
    if (status == FB_OK) {
        size_t quants = 0;
        size_t encoded = 0;
        count(model->graph, &quants, &encoded);
        printf("%zu %zu\n", quants, encoded);
        if (argc > 3 && atoi(argv[3]) > 0) {
            model->ir_version = 10;
            status = fb_model_upgrade_opset(model, atoi(argv[3]), &err);
        }
    }
    if (status == FB_OK) {
        status = fb_model_save(context, model, argv[2], &options, NULL, &err);
    }
    if (status != FB_OK) {
        fprintf(stderr, "%s\n", err.message);
    }
    fb_model_free(model);
    fb_context_free(context);
    return fb_status_exit_code(status);
}
