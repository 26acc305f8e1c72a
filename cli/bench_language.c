/* Timing language models in llama-bench's form: pp512 is a prompt of 512 tokens, tg64 the making of 64 tokens, each repeated; mean and
 * standard deviation of tokens per second. Prompts are random token ids. */
#include "bench_language.h"

#include <jansson.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "console.h"
#include "language_input.h"
#include "machine.h"
#include "options.h"
#include "step_list.h"

enum { REPETITIONS = 5, PROMPT_DEFAULT = 512, GENERATE_DEFAULT = 64 };

typedef struct LanguageBench { /* a model with so many threads and sequences */
    Cli *cli;
    const char *path;
    FbContext *context;
    FbGenerator *generator;
    int64_t batch, vocabulary;
    int32_t *ids;
    double load_seconds, first_seconds;
    uint64_t memory;     /* held by session and cache */
} LanguageBench;

typedef struct TokenRate { double mean, deviation; } TokenRate;

static int64_t at_or_last(const CliCounts *counts, size_t i, int64_t otherwise)
{
    return counts->count == 0 ? otherwise : i < counts->count ? counts->items[i] : 0;
}

/* Pseudo-random ids, the same in every run. */
static void fill_ids(LanguageBench *bench, int64_t count, uint64_t seed)
{
    uint64_t state = seed * 2 + 1;
    for (int64_t i = 0; i < count; i++) {
        state = state * 6364136223846793005u + 1442695040888963407u; /* Knuth's MMIX */
        bench->ids[i] = (int32_t)((state >> 33) % (uint64_t)bench->vocabulary);
    }
}

/* Forgets everything and feeds every sequence `count` tokens. */
static int feed_all(LanguageBench *bench, int64_t count, uint64_t seed)
{
    for (int64_t s = 0; s < bench->batch; s++) {
        FbError err;
        fill_ids(bench, count, seed * 1000 + (uint64_t)s);
        fb_generator_cut(bench->generator, (size_t)s, 0);
        if (fb_generator_feed(bench->generator, (size_t)s, bench->ids, (size_t)count, &err) != FB_OK) {
            return cli_error(bench->cli, &err);
        }
    }
    return 0;
}

/* Steps `count` times; *seconds for all. */
static int step_all(LanguageBench *bench, int64_t count, double *seconds)
{
    double begin = cli_seconds();
    for (int64_t i = 0; i < count; i++) {
        FbError err;
        if (fb_generator_step(bench->generator, bench->ids, &err) != FB_OK) {
            return cli_error(bench->cli, &err);
        }
    }
    *seconds = cli_seconds() - begin;
    return 0;
}

/* One repetition: a prompt of `prompt` tokens, or the making of `generate`. */
static int time_once(LanguageBench *bench, int64_t prompt, int64_t generate, uint64_t seed, double *rate)
{
    double seconds = 0;
    int exit_code = feed_all(bench, prompt > 0 ? prompt : 1, seed);
    exit_code = exit_code ? exit_code : step_all(bench, prompt > 0 ? 1 : generate, &seconds);
    *rate = (double)(bench->batch * (prompt > 0 ? prompt : generate)) / seconds;
    return exit_code;
}

static int time_test(LanguageBench *bench, int64_t prompt, int64_t generate, TokenRate *rate)
{
    int64_t runs = bench->cli->options.runs > 0 ? bench->cli->options.runs : REPETITIONS;
    double sum = 0, squares = 0, one;
    int exit_code = time_once(bench, prompt, generate > 16 ? 16 : generate, 0, &one); /* warms up */
    for (int64_t r = 1; r <= runs && !exit_code; r++) {
        exit_code = time_once(bench, prompt, generate, (uint64_t)r, &one);
        sum += one;
        squares += one * one;
    }
    rate->mean = sum / (double)runs;
    double variance = runs > 1 ? (squares - sum * rate->mean) / (double)(runs - 1) : 0;
    rate->deviation = variance > 0 ? sqrt(variance) : 0;
    return exit_code;
}

static json_t *rate_json(double value, int there)
{
    return there ? json_real(value) : json_null();
}

/* The steps' shortest times in a prompt, or in the making of tokens. */
static int profile_test(LanguageBench *bench, int64_t prompt, int64_t generate, json_t *row)
{
    const FbHardwarePeaks none = {0};
    double unused;
    FbSession *session = fb_generator_session(bench->generator);
    fb_session_profile(session, 1);
    int exit_code = time_once(bench, prompt, generate, 1, &unused);
    json_object_set_new(row, prompt > 0 ? "prompt_profile" : "generation_profile", cli_steps_json(session, &none));
    fb_session_profile(session, 0);
    return exit_code;
}

static int add_row(LanguageBench *bench, size_t test, json_t *results)
{
    const CliOptions *o = &bench->cli->options;
    int both = !o->prompt_sizes.count && !o->generate_sizes.count;
    int64_t prompt = at_or_last(&o->prompt_sizes, test, both ? PROMPT_DEFAULT : 0);
    int64_t generate = at_or_last(&o->generate_sizes, test, both ? GENERATE_DEFAULT : 0);
    TokenRate fed = {0}, made = {0};
    int exit_code = prompt > 0 ? time_test(bench, prompt, 0, &fed) : 0;
    exit_code = exit_code || generate == 0 ? exit_code : time_test(bench, 0, generate, &made);
    json_t *row = json_object(), *path = json_string(bench->path);
    json_object_set_new(row, "model", path ? path : json_string(cli_shown(bench->path)));
    json_object_set_new(row, "threads", json_integer(fb_context_threads(bench->context)));
    json_object_set_new(row, "batch", json_integer(bench->batch));
    json_object_set_new(row, "isa", json_string(fb_context_isa(bench->context)));
    json_object_set_new(row, "mode", json_string(cli_mode_name(cli_mode(bench->cli, FB_MODE_INTEGER))));
    json_object_set_new(row, "prompt_tokens", json_integer(prompt));
    json_object_set_new(row, "generate_tokens", json_integer(generate));
    json_object_set_new(row, "prompt_tps", rate_json(fed.mean, prompt > 0));
    json_object_set_new(row, "prompt_tps_deviation", rate_json(fed.deviation, prompt > 0));
    json_object_set_new(row, "generation_tps", rate_json(made.mean, generate > 0));
    json_object_set_new(row, "generation_tps_deviation", rate_json(made.deviation, generate > 0));
    json_object_set_new(row, "load_ms", json_real(1e3 * bench->load_seconds));
    json_object_set_new(row, "first_token_ms", json_real(1e3 * bench->first_seconds));
    json_object_set_new(row, "session_bytes", json_integer((json_int_t)bench->memory));
    json_object_set_new(row, "cache_bytes", json_integer((json_int_t)fb_generator_cache_bytes(bench->generator)));
    json_object_set_new(row, "peak_bytes", json_integer((json_int_t)cli_process_peak()));
    if (bench->cli->options.profile) {
        exit_code = exit_code || prompt == 0 ? exit_code : profile_test(bench, prompt, 0, row);
        exit_code = exit_code || generate == 0 ? exit_code : profile_test(bench, 0, generate, row);
    }
    json_array_append_new(results, row);
    return exit_code;
}

/* The positions that the longest test needs. */
static int64_t positions_needed(const CliOptions *o)
{
    int64_t most = o->positions;
    int both = !o->prompt_sizes.count && !o->generate_sizes.count;
    for (size_t i = 0; i < CLI_COUNTS_MAX; i++) {
        int64_t prompt = at_or_last(&o->prompt_sizes, i, both ? PROMPT_DEFAULT : 0) + 1;
        int64_t generate = at_or_last(&o->generate_sizes, i, both ? GENERATE_DEFAULT : 0) + 1;
        most = prompt > most ? prompt : most;
        most = generate > most ? generate : most;
    }
    return most;
}

static int open_bench(LanguageBench *bench, double begin)
{
    Cli *cli = bench->cli;
    FbGeneratorOptions options = {.struct_bytes = sizeof options, .mode = cli_mode(cli, FB_MODE_INTEGER), .sequences = (size_t)bench->batch,
                                  .context = (uint64_t)positions_needed(&cli->options)};
    FbModel *model = NULL;
    FbError err;
    double opened = cli_seconds();
    uint64_t before = fb_context_memory_now(bench->context);
    int exit_code = cli_cache_type(cli, &options.cache_type);
    exit_code = exit_code ? exit_code : cli_load_language(cli, bench->context, bench->path, (int64_t)options.context, &model);
    if (!exit_code) {
        bench->vocabulary = fb_language_info(model)->vocabulary;
        bench->ids = calloc((size_t)options.context + (size_t)bench->batch, sizeof *bench->ids);
        err = (FbError){FB_ERR_NO_MEMORY, "out of memory: token ids"};
        FbStatus status = bench->ids ? fb_generator_create(bench->context, model, &options, &bench->generator, &err) : FB_ERR_NO_MEMORY;
        exit_code = status == FB_OK ? 0 : cli_error(cli, &err);
    }
    fb_model_free(model);
    if (exit_code || !bench->ids) {
        return exit_code;
    }
    bench->load_seconds = cli_seconds() - opened;
    double unused;
    exit_code = feed_all(bench, 1, 0);
    exit_code = exit_code ? exit_code : step_all(bench, 1, &unused);
    bench->first_seconds = cli_seconds() - begin;
    bench->memory = fb_context_memory_now(bench->context) - before;
    return exit_code;
}

static int bench_one(Cli *cli, const char *path, int64_t threads, int64_t batch, double begin, json_t *results)
{
    LanguageBench bench = {.cli = cli, .path = path, .batch = batch > 0 ? batch : 1};
    const CliOptions *o = &cli->options;
    size_t tests = o->prompt_sizes.count > o->generate_sizes.count ? o->prompt_sizes.count : o->generate_sizes.count;
    int exit_code = cli_make_context(cli, threads, &bench.context);
    exit_code = exit_code ? exit_code : open_bench(&bench, begin);
    for (size_t t = 0; t < (tests ? tests : 1) && !exit_code; t++) {
        exit_code = add_row(&bench, t, results);
    }
    fb_generator_free(bench.generator);
    fb_context_free(bench.context);
    free(bench.ids);
    return exit_code;
}

/* ---- showing ---- */

static double number_of(const json_t *row, const char *key)
{
    return json_number_value(json_object_get(row, key));
}

static void add_line(FbTable *table, const json_t *row, const char *kind, int64_t tokens, const char *key, const char *deviation)
{
    char threads[16], batch[16], test[32], rate[32], spread[32], first[32], held[32];
    snprintf(threads, sizeof threads, "%.0f", number_of(row, "threads"));
    snprintf(batch, sizeof batch, "%.0f", number_of(row, "batch"));
    snprintf(test, sizeof test, "%s%lld", kind, (long long)tokens);
    snprintf(rate, sizeof rate, "%.2f", number_of(row, key));
    snprintf(spread, sizeof spread, "%.2f", number_of(row, deviation));
    snprintf(first, sizeof first, "%.0f", number_of(row, "first_token_ms"));
    snprintf(held, sizeof held, "%s", cli_bytes((uint64_t)number_of(row, "session_bytes")));
    fb_table_add(table, (const char *const[]){cli_shown(json_string_value(json_object_get(row, "model"))), threads, batch, test, rate, spread, first, held});
}

static int print_rows(Cli *cli, const json_t *results)
{
    static const FbColumn columns[] = {{"model", 0}, {"threads", 1}, {"batch", 1}, {"test", 0}, {"tokens/s", 1}, {"+-", 1}, {"first token ms", 1}, {"held in memory", 1}};
    FbTable *table = NULL;
    FbError err;
    size_t i;
    json_t *row;
    if (fb_table_create(cli->context, columns, sizeof columns / sizeof columns[0], &table, &err) != FB_OK) {
        return cli_error(cli, &err);
    }
    json_array_foreach(results, i, row)
    {
        int64_t prompt = json_integer_value(json_object_get(row, "prompt_tokens")), generate = json_integer_value(json_object_get(row, "generate_tokens"));
        if (prompt > 0) {
            add_line(table, row, "pp", prompt, "prompt_tps", "prompt_tps_deviation");
        }
        if (generate > 0) {
            add_line(table, row, "tg", generate, "generation_tps", "generation_tps_deviation");
        }
    }
    int exit_code = cli_table(cli, table, NULL, !cli->options.profile);
    fb_table_free(table);
    json_array_foreach(results, i, row)
    {
        static const char *const keys[2] = {"prompt_profile", "generation_profile"};
        for (int k = 0; k < 2 && !exit_code; k++) {
            json_t *profile = json_object_get(row, keys[k]);
            exit_code = profile ? cli_print_profile(cli, profile, k ? "time by step: making one token" : "time by step: the last run of a prompt") : 0;
        }
    }
    if (!exit_code) {
        cli_line(cli, "\ninstructions in use: %s; peak memory of this process: %s", fb_context_isa(cli->context), cli_bytes(cli_process_peak()));
    }
    return exit_code;
}

static int print_document(Cli *cli, json_t *results)
{
    char name[128];
    cli_cpu_name(name, sizeof name);
    json_t *document = cli_document("bench");
    json_object_set_new(document, "machine", json_pack("{s:s, s:s, s:i}", "cpu", name, "isa", fb_context_isa(cli->context), "cores", cli_core_count()));
    json_object_set(document, "results", results);
    return cli_print_document(cli, document);
}

int cli_bench_language(Cli *cli)
{
    static const CliCounts as_it_is = {{0}, 1};
    const CliCounts *threads = cli->options.thread_counts.count ? &cli->options.thread_counts : &as_it_is;
    const CliCounts *batches = cli->options.batches.count ? &cli->options.batches : &as_it_is;
    const char *const paths[2] = {cli->operands[0], cli->options.baseline};
    json_t *results = json_array();
    double begin = cli->started; /* the first row tells the time from the start of the process */
    int exit_code = 0;
    for (size_t t = 0; t < threads->count && !exit_code; t++) {
        for (size_t b = 0; b < batches->count && !exit_code; b++) {
            for (size_t m = 0; m < 2 && paths[m] && !exit_code; m++) {
                exit_code = bench_one(cli, paths[m], threads->items[t], batches->items[b], begin, results);
                begin = cli_seconds();
            }
        }
    }
    exit_code = exit_code ? exit_code : cli->options.format == CLI_FORMAT_JSON ? print_document(cli, results) : print_rows(cli, results);
    json_decref(results);
    return exit_code;
}
