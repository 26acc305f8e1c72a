/* fewbit inspect MODEL */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "console.h"
#include "inspect_checkpoint.h"
#include "inspect_memory.h"
#include "inspect_plan.h"
#include "model_input.h"
#include "options.h"
#include "step_list.h"

enum { WEIGHTS_SHOWN = 12 };

static const char *text_of(const json_t *object, const char *key)
{
    const char *text = json_string_value(json_object_get(object, key));
    return text ? text : "";
}

static void shape_text(const int64_t *dims, int rank, char *out, size_t bytes)
{
    size_t used = 0;
    snprintf(out, bytes, rank == 0 ? "scalar" : rank < 0 ? "unknown" : "");
    for (int i = 0; i < rank && used < bytes; i++) {
        int length = dims[i] < 0 ? snprintf(out + used, bytes - used, i ? "x?" : "?")
                                 : snprintf(out + used, bytes - used, i ? "x%lld" : "%lld", (long long)dims[i]);
        used += length > 0 ? (size_t)length : 0;
    }
}

static int print_ports(Cli *cli, const FbModel *model)
{
    static const FbColumn columns[] = {{"", 0}, {"name", 0}, {"type", 0}, {"shape", 0}};
    FbTable *table = NULL;
    FbError err;
    if (fb_table_create(cli->context, columns, 4, &table, &err) != FB_OK) {
        return cli_error(cli, &err);
    }
    size_t inputs = fb_model_input_count(model), outputs = fb_model_output_count(model);
    for (size_t i = 0; i < inputs + outputs; i++) {
        FbPort port = i < inputs ? fb_model_input(model, i) : fb_model_output(model, i - inputs);
        char shape[128];
        shape_text(port.dims, port.rank, shape, sizeof shape);
        fb_table_add(table, (const char *const[]){i < inputs ? "input" : "output", port.name, fb_dtype_name(port.dtype), shape});
    }
    int exit_code = cli_table(cli, table, "inputs and outputs", 0);
    fb_table_free(table);
    return exit_code;
}

typedef struct Count {
    const char *name;
    uint64_t number;
} Count;

static int by_number(const void *left, const void *right)
{
    const Count *a = left, *b = right;
    return a->number != b->number ? (a->number < b->number ? 1 : -1) : strcmp(a->name, b->name);
}

static int print_operators(Cli *cli, const json_t *document)
{
    static const FbColumn columns[] = {{"operator", 0}, {"nodes", 1}};
    json_t *operators = json_object_get(document, "operators");
    size_t count = json_object_size(operators), used = 0;
    Count *counts = calloc(count + 1, sizeof *counts);
    FbTable *table = NULL;
    FbError err = {FB_ERR_NO_MEMORY, "out of memory: a table"};
    if (!counts || fb_table_create(cli->context, columns, 2, &table, &err) != FB_OK) {
        free(counts);
        return cli_error(cli, &err);
    }
    const char *name;
    json_t *number;
    json_object_foreach(operators, name, number)
    {
        counts[used++] = (Count){name, (uint64_t)json_integer_value(number)};
    }
    qsort(counts, used, sizeof *counts, by_number);
    for (size_t i = 0; i < used; i++) {
        fb_table_add(table, (const char *const[]){counts[i].name, cli_grouped(counts[i].number)});
    }
    int exit_code = cli_table(cli, table, "operators", 0);
    fb_table_free(table);
    free(counts);
    return exit_code;
}

typedef struct Weight {
    const json_t *json;
    uint64_t bytes;
    size_t index;
} Weight;

static int by_bytes(const void *left, const void *right)
{
    const Weight *a = left, *b = right;
    return a->bytes != b->bytes ? (a->bytes < b->bytes ? 1 : -1) : a->index < b->index ? -1 : 1;
}

/* How many weights and bytes each encoding has. */
static int print_encodings(Cli *cli, const Weight *weights, size_t count)
{
    static const FbColumn columns[] = {{"encoding", 0}, {"weights", 1}, {"bytes", 1}};
    FbTable *table = NULL;
    FbError err;
    if (fb_table_create(cli->context, columns, 3, &table, &err) != FB_OK) {
        return cli_error(cli, &err);
    }
    for (size_t i = 0; i < count; i++) {
        const char *encoding = text_of(weights[i].json, "encoding");
        uint64_t number = 0, bytes = 0;
        int seen = 0;
        for (size_t j = 0; j < count && !seen; j++) {
            if (strcmp(encoding, text_of(weights[j].json, "encoding")) == 0) {
                seen = j < i;
                number++;
                bytes += weights[j].bytes;
            }
        }
        if (!seen) {
            fb_table_add(table, (const char *const[]){encoding, cli_grouped(number), cli_grouped(bytes)});
        }
    }
    int exit_code = cli_table(cli, table, "encodings of the weights", 0);
    fb_table_free(table);
    return exit_code;
}

/* The largest weights; with CSV all of them, in the order of the file. */
static int print_weight_rows(Cli *cli, const Weight *weights, size_t count)
{
    static const FbColumn columns[] = {{"weight", 0}, {"shape", 0}, {"encoding", 0}, {"bytes", 1}};
    char title[96];
    int all = cli->options.format == CLI_FORMAT_CSV;
    size_t shown = all || count < WEIGHTS_SHOWN ? count : WEIGHTS_SHOWN;
    FbTable *table = NULL;
    FbError err;
    if (fb_table_create(cli->context, columns, 4, &table, &err) != FB_OK) {
        return cli_error(cli, &err);
    }
    for (size_t i = 0; i < shown; i++) {
        int64_t dims[FB_RANK_MAX];
        int rank = 0;
        char shape[128], bytes[32];
        size_t j;
        json_t *dim;
        json_array_foreach(json_object_get(weights[i].json, "shape"), j, dim)
        {
            if (rank < FB_RANK_MAX) {
                dims[rank++] = json_integer_value(dim);
            }
        }
        shape_text(dims, rank, shape, sizeof shape);
        snprintf(bytes, sizeof bytes, "%llu", (unsigned long long)weights[i].bytes);
        fb_table_add(table, (const char *const[]){text_of(weights[i].json, "name"), shape, text_of(weights[i].json, "encoding"),
                                                  all ? bytes : cli_grouped(weights[i].bytes)});
    }
    if (shown < count) {
        snprintf(title, sizeof title, "weights (%zu largest of %zu; --format csv lists all)", shown, count);
    } else {
        snprintf(title, sizeof title, "weights");
    }
    int exit_code = cli_table(cli, table, title, 1);
    fb_table_free(table);
    return exit_code;
}

int cli_print_weights(Cli *cli, const json_t *document)
{
    json_t *list = json_object_get(document, "weights"), *weight;
    size_t count = json_array_size(list), i;
    Weight *weights = calloc(count + 1, sizeof *weights);
    if (!weights) {
        FbError err = {FB_ERR_NO_MEMORY, "out of memory: a table"};
        return cli_error(cli, &err);
    }
    json_array_foreach(list, i, weight)
    {
        weights[i] = (Weight){weight, (uint64_t)json_integer_value(json_object_get(weight, "bytes")), i};
    }
    if (cli->options.format != CLI_FORMAT_CSV) {
        qsort(weights, count, sizeof *weights, by_bytes);
    }
    int exit_code = print_encodings(cli, weights, count);
    exit_code = exit_code ? exit_code : print_weight_rows(cli, weights, count);
    free(weights);
    return exit_code;
}

static int print_float_nodes(Cli *cli, const json_t *nodes)
{
    static const FbColumn columns[] = {{"node left in float", 0}, {"type", 0}, {"reason", 0}};
    FbTable *table = NULL;
    FbError err;
    if (fb_table_create(cli->context, columns, 3, &table, &err) != FB_OK) {
        return cli_error(cli, &err);
    }
    size_t i;
    json_t *node;
    json_array_foreach(nodes, i, node)
    {
        fb_table_add(table, (const char *const[]){text_of(node, "name"), text_of(node, "type"), text_of(node, "reason")});
    }
    int exit_code = json_array_size(nodes) ? cli_table(cli, table, NULL, 0) : 0;
    fb_table_free(table);
    return exit_code;
}

static long long number_of(const json_t *object, const char *key)
{
    json_t *value = json_object_get(object, key);
    return json_is_array(value) ? (long long)json_array_size(value) : (long long)json_number_value(value);
}

static int print_model(Cli *cli, const FbModel *model, const json_t *document)
{
    const json_t *about = json_object_get(document, "model"), *quantized = json_object_get(document, "quantized");
    cli_line(cli, "%s: %s, %s parameters", cli_shown(cli->operands[0]), cli_bytes((uint64_t)number_of(about, "bytes")),
             cli_grouped((uint64_t)number_of(about, "parameters")));
    long long weights = number_of(quantized, "weights"), activations = number_of(quantized, "activations");
    cli_line(cli, "quantized: %lld weights, %lld activations", weights, activations);
    int exit_code = print_ports(cli, model);
    exit_code = exit_code ? exit_code : print_operators(cli, document);
    exit_code = exit_code ? exit_code : cli_print_weights(cli, document);
    return exit_code || (!weights && !activations) ? exit_code : print_float_nodes(cli, json_object_get(quantized, "float_nodes"));
}

static int run(Cli *cli)
{
    FbModel *model = NULL;
    if (!cli->options.plan && (cli->options.mode || cli->options.shapes.count)) {
        return cli_usage(cli, "--%s belongs to --plan", cli->options.mode ? "mode" : "shape");
    }
    if (!cli->options.positions && (cli->options.memory || cli->options.cache_type)) {
        return cli_usage(cli, "--%s belongs to --context", cli->options.memory ? "memory" : "cache-type");
    }
    if (cli->options.positions && cli->options.plan) {
        return cli_usage(cli, "--plan and --context: give one of them");
    }
    if (cli->options.positions) {
        return cli_inspect_memory(cli, cli->operands[0]);
    }
    if (fb_checkpoint_recognized(cli->context, cli->operands[0])) {
        return cli_inspect_checkpoint(cli, cli->operands[0]);
    }
    int exit_code = cli_load_model(cli, cli->operands[0], &model);
    if (exit_code) {
        return exit_code;
    }
    json_t *document = cli_inspect_model(cli, model, &exit_code);
    json_t *plan = document && cli->options.plan ? cli_plan_graph(cli, model, &exit_code) : NULL;
    if (!exit_code && cli->options.format == CLI_FORMAT_JSON) {
        if (plan) {
            json_object_set(document, "plan", plan);
        }
        exit_code = cli_print_document(cli, json_incref(document));
    } else if (!exit_code) {
        exit_code = plan ? cli_print_plan(cli, plan) : print_model(cli, model, document);
    }
    json_decref(plan);
    json_decref(document);
    fb_model_free(model);
    return exit_code;
}

static const char *const examples[] = {"fewbit model.onnx", "inputs, outputs, operators, weights", "fewbit inspect model.onnx --json", "the same for a program",
                                       "fewbit inspect model.onnx --format csv > weights.csv", "one row per weight",
                                       "fewbit inspect model.gguf", "tensors and key-values of a language model",
                                       "fewbit inspect model.gguf --context 32768 --memory 12G", "whether that context fits, and which one would",
                                       "fewbit inspect model.int8.onnx --plan", "what would run, step by step: on integers or in float, and why",
                                       "fewbit inspect model.gguf --plan --shape input_ids=512", "the same for a prompt of 512 tokens (otherwise for one)", NULL};

const CliCommand cli_inspect = {
    .name = "inspect",
    .summary = "what is in a model: inputs, operators, sizes, what is quantized",
    .operands = "MODEL",
    .mask = CLI_INSPECT,
    .least_operands = 1,
    .most_operands = 1,
    .run = run,
    .description = "Shows a model's inputs and outputs, its operators, its weights with their encodings and sizes, and what is quantized "
                   "and what is not. 'fewbit MODEL' is short for it. Of a safetensors or GGUF file, or a folder of Hugging Face: its tensors and "
                   "key-values; with --context what running it takes of memory: weights, keys and values, scratch. With --plan: the steps that would run here, each with its kernel, its "
                   "shapes and sizes, the type of its weights, whether it works on integers, and if not, why.",
    .examples = examples};
