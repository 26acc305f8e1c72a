/* Seeded inputs for bench: normal floats, ids that any embedding holds, masks of ones. */
#include "bench_inputs.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "console.h"

/* SplitMix64 (Steele et al. 2014). */
static uint64_t next_random(uint64_t *state)
{
    uint64_t z = (*state += 0x9e3779b97f4a7c15u);
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    return z ^ (z >> 31);
}

static float normal(uint64_t *state)
{
    double sum = 0; /* twelve uniforms: close enough to a normal for timing */
    for (int i = 0; i < 12; i++) {
        sum += (double)(next_random(state) >> 11) * 0x1p-53;
    }
    return (float)(sum - 6.0);
}

/* "input=1x3x224x224": 1 when `text` speaks of `name`, 0 when not, -1 when it cannot be read. */
static int read_shape(const char *text, const char *name, int *rank, int64_t *dims)
{
    const char *equals = strrchr(text, '=');
    if (!equals) {
        return -1;
    }
    if (strlen(name) != (size_t)(equals - text) || strncmp(text, name, strlen(name)) != 0) {
        return 0;
    }
    *rank = 0;
    for (const char *at = equals + 1;;) {
        char *end;
        long long dim = strtoll(at, &end, 10);
        if (end == at || dim < 0 || *rank == FB_RANK_MAX || (*end && *end != 'x')) {
            return -1;
        }
        dims[(*rank)++] = dim;
        if (!*end) {
            return 1;
        }
        at = end + 1;
    }
}

static int find_given_shape(Cli *cli, const FbPort *port, int *rank, int64_t *dims)
{
    const CliList *shapes = &cli->options.shapes;
    for (size_t i = 0; i < shapes->count; i++) {
        int found = read_shape(shapes->items[i], port->name, rank, dims);
        if (found < 0) {
            return cli_usage(cli, "--shape needs NAME=DIMS as in input=1x3x224x224, not '%s'", cli_shown(shapes->items[i]));
        }
        if (found) {
            return 0;
        }
    }
    *rank = port->rank;
    for (int i = 0; i < port->rank; i++) {
        dims[i] = port->dims[i] < 0 && i == 0 ? 1 : port->dims[i];
        if (dims[i] < 0) {
            return cli_usage(cli, "input '%s': axis %d has no fixed size; say it with --shape %s=1x...", cli_shown(port->name), i, cli_shown(port->name));
        }
    }
    return port->rank < 0 ? cli_usage(cli, "input '%s' declares no shape; say it with --shape %s=1x...", cli_shown(port->name), cli_shown(port->name)) : 0;
}

static int is_open(const FbPort *port)
{
    return port->rank < 0 || (port->rank > 0 && port->dims[0] < 0);
}

static int find_shape(Cli *cli, const FbPort *port, int64_t batch, int *rank, int64_t *dims)
{
    int exit_code = find_given_shape(cli, port, rank, dims);
    if (!exit_code && batch > 0 && *rank > 0 && is_open(port)) {
        dims[0] = batch;
    }
    return exit_code;
}

static void fill(FbTensor *tensor, size_t elements, const char *name, uint64_t seed)
{
    uint64_t state = seed;
    int mask = strstr(name, "mask") != NULL, types = strstr(name, "type") != NULL;
    for (size_t i = 0; i < elements; i++) {
        int64_t id = mask ? 1 : types ? 0 : (int64_t)(next_random(&state) % 100);
        if (tensor->dtype == FB_DTYPE_F32) {
            ((float *)tensor->data)[i] = normal(&state);
        } else if (tensor->dtype == FB_DTYPE_S64) {
            ((int64_t *)tensor->data)[i] = id;
        } else if (tensor->dtype == FB_DTYPE_S32) {
            ((int32_t *)tensor->data)[i] = (int32_t)id;
        } else {
            ((uint8_t *)tensor->data)[i] = tensor->dtype == FB_DTYPE_BOOL ? 1 : (uint8_t)(id % 100);
        }
    }
}

static int make_input(Cli *cli, const FbPort *port, int64_t batch, uint64_t seed, FbTensor *tensor)
{
    FbError err = {.status = FB_ERR_UNSUPPORTED};
    uint64_t bytes = (uint64_t)fb_dtype_bits(port->dtype) / 8, elements = 1;
    if (port->dtype != FB_DTYPE_F32 && port->dtype != FB_DTYPE_S64 && port->dtype != FB_DTYPE_S32 && port->dtype != FB_DTYPE_U8 &&
        port->dtype != FB_DTYPE_S8 && port->dtype != FB_DTYPE_BOOL) {
        snprintf(err.message, sizeof err.message, "input '%s' has type %s; seeded inputs can be f32, s64, s32, u8, s8 and bool", cli_shown(port->name),
                 fb_dtype_name(port->dtype));
        return cli_error(cli, &err);
    }
    tensor->dtype = port->dtype;
    int exit_code = find_shape(cli, port, batch, &tensor->rank, tensor->dims);
    for (int i = 0; i < tensor->rank && !exit_code; i++) {
        elements *= (uint64_t)tensor->dims[i];
        if (elements > (uint64_t)1 << 32) {
            return cli_usage(cli, "input '%s' would have more than 2^32 elements", cli_shown(port->name));
        }
    }
    if (exit_code) {
        return exit_code;
    }
    tensor->bytes = (size_t)(elements * bytes);
    tensor->data = malloc(tensor->bytes + 64);
    if (!tensor->data) {
        err = (FbError){FB_ERR_NO_MEMORY, "out of memory: an input"};
        return cli_error(cli, &err);
    }
    fill(tensor, (size_t)elements, port->name, seed);
    return 0;
}

/* A --shape of no input is a slip of the pen. */
static int check_names(Cli *cli, const FbModel *model)
{
    const CliList *shapes = &cli->options.shapes;
    size_t count = fb_model_input_count(model);
    for (size_t i = 0; i < shapes->count; i++) {
        const char *text = shapes->items[i], *equals = strrchr(text, '=');
        size_t length = equals ? (size_t)(equals - text) : strlen(text), found = 0;
        for (size_t j = 0; j < count; j++) {
            const char *name = fb_model_input(model, j).name;
            found += strlen(name) == length && strncmp(text, name, length) == 0;
        }
        if (equals && !found && count > 0) {
            return cli_usage(cli, "--shape %s: the model has no such input; %s '%s'", cli_shown(text), count == 1 ? "its input is" : "its first one is",
                             cli_shown(fb_model_input(model, 0).name));
        }
    }
    return 0;
}

int cli_bench_inputs(Cli *cli, const FbModel *model, int64_t batch, BenchInputs *inputs)
{
    int open = 0, named = check_names(cli, model);
    inputs->count = fb_model_input_count(model);
    inputs->tensors = calloc(inputs->count + 1, sizeof *inputs->tensors);
    inputs->batch = 1;
    if (named) {
        return named;
    }
    if (!inputs->tensors) {
        FbError err = {FB_ERR_NO_MEMORY, "out of memory: the inputs"};
        return cli_error(cli, &err);
    }
    for (size_t i = 0; i < inputs->count; i++) {
        FbPort port = fb_model_input(model, i);
        int exit_code = make_input(cli, &port, batch, (uint64_t)cli->options.seed + i, &inputs->tensors[i]);
        if (exit_code) {
            return exit_code;
        }
        if (inputs->tensors[i].rank > 0 && (i == 0 || (!open && is_open(&port)))) {
            inputs->batch = inputs->tensors[i].dims[0];
        }
        open = open || is_open(&port);
    }
    if (batch > 0 && !open && inputs->batch != batch) {
        return cli_usage(cli, "--batch %lld: no input has an open first axis; this model runs %lld at a time", (long long)batch, (long long)inputs->batch);
    }
    return 0;
}

void cli_bench_inputs_free(BenchInputs *inputs)
{
    for (size_t i = 0; i < inputs->count && inputs->tensors; i++) {
        free(inputs->tensors[i].data);
    }
    free(inputs->tensors);
}
