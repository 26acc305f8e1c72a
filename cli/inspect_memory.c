/* fewbit inspect MODEL --context N: what running a language model takes of memory. */
#include "inspect_memory.h"

#include <inttypes.h>
#include <jansson.h>
#include <stdio.h>

#include "console.h"
#include "language_input.h"

enum { BLOCK = 64 };

typedef struct MemoryNeed {
    FbMemoryForecast f;
    uint64_t total, fitting; /* fitting: the largest context within --memory, at most the model's */
    FbLanguageInfo info;
} MemoryNeed;

static int find_need(Cli *cli, const FbModel *model, FbCacheType type, MemoryNeed *need)
{
    FbGeneratorOptions options = {.struct_bytes = sizeof options, .mode = FB_MODE_INTEGER, .context = (uint64_t)cli->options.positions, .cache_type = type};
    FbError err;
    if (fb_generator_forecast(cli->context, model, &options, &need->f, &err) != FB_OK) {
        return cli_error(cli, &err);
    }
    need->info = *fb_language_info(model);
    need->total = need->f.weights + need->f.cache + need->f.scratch;
    uint64_t fixed = need->f.weights + need->f.scratch, left = cli->options.memory > fixed ? cli->options.memory - fixed : 0;
    need->fitting = left / need->f.per_block * BLOCK;
    if (need->info.context_length > 0 && need->fitting > (uint64_t)need->info.context_length) {
        need->fitting = (uint64_t)need->info.context_length;
    }
    return 0;
}

static int print_document(Cli *cli, const char *path, FbCacheType type, const MemoryNeed *need)
{
    json_t *document = cli_document("inspect"), *memory = json_object(), *name = json_string(path);
    json_object_set_new(document, "input", name ? name : json_string(cli_shown(path)));
    json_object_set_new(memory, "context", json_integer(cli->options.positions));
    json_object_set_new(memory, "model_context", json_integer(need->info.context_length));
    json_object_set_new(memory, "cache_type", json_string(cli_cache_name(type)));
    json_object_set_new(memory, "weights_bytes", json_integer((json_int_t)need->f.weights));
    json_object_set_new(memory, "cache_bytes", json_integer((json_int_t)need->f.cache));
    json_object_set_new(memory, "scratch_bytes", json_integer((json_int_t)need->f.scratch));
    json_object_set_new(memory, "total_bytes", json_integer((json_int_t)need->total));
    if (cli->options.memory) {
        json_object_set_new(memory, "memory_bytes", json_integer((json_int_t)cli->options.memory));
        json_object_set_new(memory, "fits", json_boolean(need->total <= cli->options.memory));
        json_object_set_new(memory, "fitting_context", json_integer((json_int_t)need->fitting));
    }
    json_object_set_new(document, "memory", memory);
    return cli_print_document(cli, document);
}

static int print_table(Cli *cli, const char *path, FbCacheType type, const MemoryNeed *need)
{
    static const FbColumn columns[] = {{"memory of", 0}, {"bytes", 1}, {"", 1}};
    const struct { const char *name; uint64_t bytes; } rows[] = {
        {"weights", need->f.weights}, {"keys and values", need->f.cache}, {"values of a run, about", need->f.scratch}, {"together", need->total}};
    FbTable *table = NULL;
    FbError err;
    cli_line(cli, "%s: %s, %" PRId64 " layers, made for a context of %s; a context of %s with keys and values in %s", cli_shown(path),
             cli_shown(need->info.architecture), need->info.layers, cli_grouped((uint64_t)need->info.context_length),
             cli_grouped((uint64_t)cli->options.positions), cli_cache_name(type));
    if (fb_table_create(cli->context, columns, 3, &table, &err) != FB_OK) {
        return cli_error(cli, &err);
    }
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        char number[32];
        snprintf(number, sizeof number, "%" PRIu64, rows[i].bytes);
        fb_table_add(table, (const char *const[]){rows[i].name, cli->options.format == CLI_FORMAT_CSV ? number : cli_grouped(rows[i].bytes),
                                                  cli_bytes(rows[i].bytes)});
    }
    int exit_code = cli_table(cli, table, NULL, 1);
    fb_table_free(table);
    int all = need->fitting == (uint64_t)need->info.context_length;
    if (!exit_code && cli->options.memory && need->total <= cli->options.memory) {
        cli_line(cli, "\nfits into %s; %s %s", cli_bytes(cli->options.memory),
                 all ? "so does all that the model was made for," : "the largest context that does is", cli_grouped(need->fitting));
    } else if (!exit_code && cli->options.memory && need->fitting > 0) {
        cli_line(cli, "\ndoes not fit into %s; a context of %s would", cli_bytes(cli->options.memory), cli_grouped(need->fitting));
    } else if (!exit_code && cli->options.memory) {
        cli_line(cli, "\ndoes not fit into %s with any context", cli_bytes(cli->options.memory));
    }
    return exit_code;
}

int cli_inspect_memory(Cli *cli, const char *path)
{
    FbModel *model = NULL;
    FbCacheType type = FB_CACHE_F16;
    MemoryNeed need;
    int exit_code = cli_cache_type(cli, &type);
    exit_code = exit_code ? exit_code : cli_load_language(cli, cli->context, path, 1, &model); /* the tables of the graph are no part of the question */
    exit_code = exit_code ? exit_code : find_need(cli, model, type, &need);
    if (!exit_code) {
        exit_code = cli->options.format == CLI_FORMAT_JSON ? print_document(cli, path, type, &need) : print_table(cli, path, type, &need);
    }
    fb_model_free(model);
    return exit_code;
}
