/* fewbit bench MODEL: how long a run takes here, against what this machine can do, and where the time goes. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bench_language.h"
#include "bench_run.h"
#include "console.h"
#include "language_input.h"
#include "machine.h"
#include "model_input.h"
#include "options.h"
#include "step_list.h"

/* What the whole command collects: rows of results, in JSON, from which the tables are made. */
typedef struct Bench {
    const char *paths[BENCH_MODELS_MAX];
    size_t model_count;
    json_t *results, *comparisons, *peaks;
} Bench;

static const char *text_of(const json_t *object, const char *key)
{
    const char *text = json_string_value(json_object_get(object, key));
    return text ? text : "";
}

static double number_of(const json_t *object, const char *key)
{
    return json_number_value(json_object_get(object, key));
}

/* ---- measuring ---- */

/* Share of the peak that `macs` in `seconds` are; null where there is nothing to compare. */
static json_t *peak_fraction(double macs, double seconds, double peak)
{
    return macs > 0 && seconds > 0 && peak > 0 ? json_real(macs / seconds / peak) : json_null();
}

/* How the model ran: integers as soon as a step did; imitated integers only where something is quantized to imitate. */
static const char *execution_of(FbMode mode, int integer_steps, const json_t *document)
{
    if (integer_steps > 0) {
        return cli_mode_name(FB_MODE_INTEGER);
    }
    json_t *activations = json_object_get(json_object_get(document, "quantized"), "activations");
    return cli_mode_name(mode != FB_MODE_FLOAT && json_integer_value(activations) > 0 ? FB_MODE_SIMULATED : FB_MODE_FLOAT);
}

static int describe_model(Cli *cli, const BenchModel *model, FbMode mode, json_t *row, const json_t *totals)
{
    int exit_code = 0;
    json_t *document = cli_inspect_model(cli, model->model, &exit_code);
    if (document) {
        json_object_set(row, "bytes", json_object_get(json_object_get(document, "model"), "bytes"));
        json_object_set_new(row, "execution", json_string(execution_of(mode, (int)number_of(totals, "integer_steps"), document)));
    }
    json_decref(document);
    return exit_code;
}

static int add_row(Cli *cli, Bench *bench, FbContext *context, BenchModel *model, FbMode mode, const FbHardwarePeaks *peaks)
{
    BenchStats stats = cli_bench_stats(model);
    json_t *steps = cli_steps_json(model->session, cli->options.profile ? peaks : NULL), *totals = json_object_get(steps, "totals"), *row = json_object();
    double macs = number_of(totals, "macs"), integer = number_of(totals, "integer_macs");
    int threads = fb_context_threads(context);
    json_t *path = json_string(model->path);
    json_object_set_new(row, "model", path ? path : json_string(cli_shown(model->path)));
    int exit_code = describe_model(cli, model, mode, row, totals);
    json_object_set_new(row, "threads", json_integer(threads));
    json_object_set_new(row, "batch", json_integer(model->inputs.batch));
    json_object_set_new(row, "isa", json_string(fb_context_isa(context)));
    json_object_set_new(row, "p50_ms", json_real(stats.p50));
    json_object_set_new(row, "p95_ms", json_real(stats.p95));
    json_object_set_new(row, "p99_ms", json_real(stats.p99));
    json_object_set_new(row, "min_ms", json_real(stats.min));
    json_object_set_new(row, "spread", json_real(stats.spread));
    json_object_set_new(row, "runs", json_integer((json_int_t)model->runs));
    json_object_set_new(row, "throughput", json_real(stats.p50 > 0 ? 1e3 * (double)model->inputs.batch / stats.p50 : 0));
    json_object_set_new(row, "load_ms", json_real(1e3 * model->load_seconds));
    json_object_set_new(row, "session_bytes", json_integer((json_int_t)model->memory_held));
    json_object_set_new(row, "peak_bytes", json_integer((json_int_t)cli_process_peak()));
    json_object_set_new(row, "macs", json_integer((json_int_t)macs));
    json_object_set_new(row, "integer_macs", json_integer((json_int_t)integer));
    json_object_set_new(row, "int8_peak_fraction", peak_fraction(integer, 1e-3 * stats.min, peaks->u8s8_macs));
    json_object_set_new(row, "f32_peak_fraction", integer > 0 ? json_null() : peak_fraction(macs, 1e-3 * stats.min, peaks->f32_macs));
    if (cli->options.profile) {
        json_object_set(row, "profile", steps);
    }
    json_decref(steps);
    json_array_append_new(bench->results, row);
    if (stats.p95 > 1.5 * stats.p50) {
        cli_warn(cli, "bench-busy", "%s, threads %d, batch %lld: one run in twenty took %.1f times as long as the median or longer: the machine was busy",
                 cli_shown(model->path), threads, (long long)model->inputs.batch, stats.p95 / stats.p50);
    }
    return exit_code;
}

/* Both models were timed in turns: the baseline's time over the model's. */
static void add_comparison(Bench *bench)
{
    size_t count = json_array_size(bench->results);
    const json_t *model = json_array_get(bench->results, count - 2), *baseline = json_array_get(bench->results, count - 1);
    json_t *row = json_object();
    json_object_set(row, "threads", json_object_get(model, "threads"));
    json_object_set(row, "batch", json_object_get(model, "batch"));
    json_object_set_new(row, "speedup_p50", json_real(number_of(baseline, "p50_ms") / number_of(model, "p50_ms")));
    json_object_set_new(row, "speedup_min", json_real(number_of(baseline, "min_ms") / number_of(model, "min_ms")));
    json_array_append_new(bench->comparisons, row);
}

static int bench_batch(Cli *cli, Bench *bench, FbContext *context, BenchModel *models, int64_t batch, FbMode mode, const FbHardwarePeaks *peaks)
{
    int exit_code = 0;
    for (size_t m = 0; m < bench->model_count && !exit_code; m++) {
        exit_code = cli_bench_feed(cli, batch, &models[m]);
    }
    exit_code = exit_code ? exit_code : cli_bench_time(cli, models, bench->model_count);
    for (size_t m = 0; m < bench->model_count && !exit_code; m++) {
        exit_code = cli->options.profile ? cli_bench_profile(cli, &models[m]) : 0;
        fb_session_profile(models[m].session, 0);
        exit_code = exit_code ? exit_code : add_row(cli, bench, context, &models[m], mode, peaks);
    }
    if (!exit_code && bench->model_count == 2) {
        add_comparison(bench);
    }
    return exit_code;
}

/* The peaks are measured before the models: their code and data are not in the caches yet. */
static int measure_peaks(Cli *cli, Bench *bench, FbContext *context, FbHardwarePeaks *peaks)
{
    FbError err;
    if (fb_hardware_measure(context, FB_MEASURE_PRODUCTS, peaks, &err) != FB_OK) {
        return cli_error(cli, &err);
    }
    json_array_append_new(bench->peaks, json_pack("{s:i, s:f, s:f}", "threads", peaks->threads, "f32_gflops", 2e-9 * peaks->f32_macs, "int8_gops",
                                                  2e-9 * peaks->u8s8_macs));
    return 0;
}

static int bench_threads(Cli *cli, Bench *bench, int64_t threads)
{
    static const CliCounts as_it_is = {{0}, 1};
    const CliCounts *batches = cli->options.batches.count ? &cli->options.batches : &as_it_is;
    FbMode mode = cli_mode(cli, FB_MODE_INTEGER);
    BenchModel models[BENCH_MODELS_MAX];
    FbHardwarePeaks peaks;
    FbContext *context = NULL;
    memset(models, 0, sizeof models);
    int exit_code = cli_make_context(cli, threads, &context);
    exit_code = exit_code ? exit_code : measure_peaks(cli, bench, context, &peaks);
    for (size_t m = 0; m < bench->model_count && !exit_code; m++) {
        exit_code = cli_bench_open(cli, context, bench->paths[m], mode, &models[m]);
        exit_code = exit_code ? exit_code : cli_bench_feed(cli, batches->items[0], &models[m]);
        if (!exit_code) {
            models[m].memory_held = fb_context_memory_now(context) - models[m].memory_before;
        }
    }
    for (size_t b = 0; b < batches->count && !exit_code; b++) {
        exit_code = bench_batch(cli, bench, context, models, batches->items[b], mode, &peaks);
    }
    for (size_t m = 0; m < BENCH_MODELS_MAX; m++) {
        cli_bench_close(&models[m]);
    }
    fb_context_free(context);
    return exit_code;
}

/* ---- showing ---- */

typedef enum CellKind { CELL_TEXT, CELL_COUNT, CELL_MS, CELL_RATE, CELL_PERCENT, CELL_BYTES, CELL_PEAK } CellKind;

/* A column of the result tables: of times, of models, or of the one table of --format csv. */
typedef struct ResultColumn {
    FbColumn column;
    const char *key;
    CellKind kind;
    int in_times, in_models, in_csv;
} ResultColumn;

static const ResultColumn result_columns[] = {
    {{"model", 0}, "model", CELL_TEXT, 1, 1, 1},
    {{"runs on", 0}, "execution", CELL_TEXT, 1, 0, 1},
    {{"threads", 1}, "threads", CELL_COUNT, 1, 1, 1},
    {{"batch", 1}, "batch", CELL_COUNT, 1, 0, 1},
    {{"p50 ms", 1}, "p50_ms", CELL_MS, 1, 0, 1},
    {{"p95 ms", 1}, "p95_ms", CELL_MS, 1, 0, 1},
    {{"p99 ms", 1}, "p99_ms", CELL_MS, 1, 0, 1},
    {{"min ms", 1}, "min_ms", CELL_MS, 1, 0, 1},
    {{"per second", 1}, "throughput", CELL_RATE, 1, 0, 1},
    {{"spread %", 1}, "spread", CELL_PERCENT, 1, 0, 1},
    {{"of peak", 1}, NULL, CELL_PEAK, 1, 0, 0},
    {{"int8 peak %", 1}, "int8_peak_fraction", CELL_PERCENT, 0, 0, 1},
    {{"float peak %", 1}, "f32_peak_fraction", CELL_PERCENT, 0, 0, 1},
    {{"runs", 1}, "runs", CELL_COUNT, 0, 0, 1},
    {{"file", 1}, "bytes", CELL_BYTES, 0, 1, 1},
    {{"load ms", 1}, "load_ms", CELL_RATE, 0, 1, 1},
    {{"held in memory", 1}, "session_bytes", CELL_BYTES, 0, 1, 1},
    {{"MACs", 1}, "macs", CELL_COUNT, 0, 1, 1},
    {{"on integers", 1}, "integer_macs", CELL_COUNT, 0, 1, 1},
};
enum { COLUMN_COUNT = sizeof result_columns / sizeof result_columns[0] };

static void peak_text(const json_t *row, char *out, size_t bytes)
{
    const json_t *codes = json_object_get(row, "int8_peak_fraction"), *real = json_object_get(row, "f32_peak_fraction");
    snprintf(out, bytes, "-");
    if (json_is_real(codes) || json_is_real(real)) {
        snprintf(out, bytes, "%.0f %% %s", 100 * json_real_value(json_is_real(codes) ? codes : real), json_is_real(codes) ? "int8" : "float");
    }
}

static void cell_text(const json_t *row, const ResultColumn *column, int csv, char *out, size_t bytes)
{
    double number = column->key ? number_of(row, column->key) : 0;
    switch (column->kind) {
    case CELL_TEXT:
        snprintf(out, bytes, "%s", text_of(row, column->key));
        return;
    case CELL_COUNT:
    case CELL_BYTES:
        if (csv) {
            snprintf(out, bytes, "%.0f", number);
        } else {
            snprintf(out, bytes, "%s", column->kind == CELL_BYTES ? cli_bytes((uint64_t)number) : cli_grouped((uint64_t)number));
        }
        return;
    case CELL_MS:
        snprintf(out, bytes, "%.3f", number);
        return;
    case CELL_RATE:
        snprintf(out, bytes, "%.1f", number);
        return;
    case CELL_PERCENT:
        out[0] = '\0';
        if (!json_is_null(json_object_get(row, column->key))) {
            snprintf(out, bytes, "%.1f", 100 * number);
        }
        return;
    case CELL_PEAK:
        peak_text(row, out, bytes);
        return;
    }
}

typedef enum TableKind { TABLE_TIMES, TABLE_MODELS, TABLE_ALL } TableKind;

static int print_rows(Cli *cli, const Bench *bench, TableKind kind, int primary)
{
    const ResultColumn *chosen[COLUMN_COUNT];
    FbColumn columns[COLUMN_COUNT];
    size_t count = 0, i;
    for (size_t c = 0; c < COLUMN_COUNT; c++) {
        const ResultColumn *column = &result_columns[c];
        if (kind == TABLE_ALL ? column->in_csv : kind == TABLE_TIMES ? column->in_times : column->in_models) {
            columns[count] = column->column;
            chosen[count++] = column;
        }
    }
    FbTable *table = NULL;
    FbError err;
    if (fb_table_create(cli->context, columns, count, &table, &err) != FB_OK) {
        return cli_error(cli, &err);
    }
    json_t *row;
    json_array_foreach(bench->results, i, row)
    {
        char text[COLUMN_COUNT][300];
        const char *cells[COLUMN_COUNT];
        for (size_t c = 0; c < count; c++) {
            cell_text(row, chosen[c], kind == TABLE_ALL, text[c], sizeof text[c]);
            cells[c] = text[c];
        }
        if (kind != TABLE_MODELS || json_equal(json_object_get(row, "batch"), json_object_get(json_array_get(bench->results, 0), "batch"))) {
            fb_table_add(table, cells);
        }
    }
    int exit_code = cli_table(cli, table, NULL, primary);
    fb_table_free(table);
    return exit_code;
}

static int print_profiles(Cli *cli, const Bench *bench)
{
    size_t i;
    json_t *row;
    int exit_code = 0;
    json_array_foreach(bench->results, i, row)
    {
        char title[400];
        json_t *profile = json_object_get(row, "profile");
        snprintf(title, sizeof title, "time by step: %.200s, threads %.0f, batch %.0f", cli_shown(text_of(row, "model")), number_of(row, "threads"),
                 number_of(row, "batch"));
        exit_code = exit_code || !profile ? exit_code : cli_print_profile(cli, profile, title);
    }
    return exit_code;
}

static void print_notes(Cli *cli, const Bench *bench)
{
    size_t i;
    json_t *row;
    json_array_foreach(bench->comparisons, i, row)
    {
        cli_line(cli, "%sthreads %.0f, batch %.0f: %.2f times as fast as the baseline (medians; %.2f by the shortest runs)", i ? "" : "\n", number_of(row, "threads"),
                 number_of(row, "batch"), number_of(row, "speedup_p50"), number_of(row, "speedup_min"));
    }
    cli_line(cli, "%sinstructions in use: %s; peak memory of this process: %s", i ? "" : "\n", fb_context_isa(cli->context), cli_bytes(cli_process_peak()));
}

static int print_json(Cli *cli, const Bench *bench)
{
    char name[128];
    cli_cpu_name(name, sizeof name);
    json_t *document = cli_document("bench");
    json_object_set_new(document, "machine", json_pack("{s:s, s:s, s:i, s:O}", "cpu", name, "isa", fb_context_isa(cli->context), "cores", cli_core_count(),
                                                       "peaks", bench->peaks));
    json_object_set(document, "results", bench->results);
    json_object_set(document, "comparison", bench->comparisons);
    return cli_print_document(cli, document);
}

static int print_all(Cli *cli, const Bench *bench)
{
    if (cli->options.format == CLI_FORMAT_JSON) {
        return print_json(cli, bench);
    }
    int csv = cli->options.format == CLI_FORMAT_CSV;
    int exit_code = print_rows(cli, bench, csv ? TABLE_ALL : TABLE_TIMES, !cli->options.profile);
    exit_code = exit_code || csv ? exit_code : print_rows(cli, bench, TABLE_MODELS, 0);
    exit_code = exit_code ? exit_code : print_profiles(cli, bench);
    if (!exit_code) {
        print_notes(cli, bench);
    }
    return exit_code;
}

static int bench_graphs(Cli *cli)
{
    static const CliCounts default_threads = {{0}, 1};
    const CliCounts *threads = cli->options.thread_counts.count ? &cli->options.thread_counts : &default_threads;
    Bench bench = {.paths = {cli->operands[0], cli->options.baseline}, .model_count = cli->options.baseline ? 2 : 1, .results = json_array(),
                   .comparisons = json_array(), .peaks = json_array()};
    int exit_code = 0;
    for (size_t t = 0; t < threads->count && !exit_code; t++) {
        exit_code = bench_threads(cli, &bench, threads->items[t]);
    }
    exit_code = exit_code ? exit_code : print_all(cli, &bench);
    json_decref(bench.results);
    json_decref(bench.comparisons);
    json_decref(bench.peaks);
    return exit_code;
}

static int run(Cli *cli)
{
    int is_language = cli_is_language(cli, cli->operands[0]);
    if (is_language && cli->options.shapes.count) {
        return cli_usage(cli, "--shape is for models with a graph (ONNX); of a language model --prompt, --generate and --batch say how many tokens");
    }
    return is_language ? cli_bench_language(cli) : bench_graphs(cli);
}

static const char *const examples[] = {"fewbit bench model.int8.onnx --baseline model.onnx --threads 1,2", "how much faster the quantized model is here",
                                       "fewbit bench model.onnx --batch 1,8 --shape input=1x3x224x224", "latency and throughput",
                                       "fewbit bench model.int8.onnx --profile --threads 1", "where the time goes",
                                       "fewbit bench model.gguf --prompt 512 --generate 64 --threads 1,2", "tokens per second of a language model", NULL};

const CliCommand cli_bench = {
    .name = "bench",
    .summary = "how long a run takes here, and where the time goes",
    .operands = "MODEL [--baseline MODEL]",
    .mask = CLI_BENCH,
    .least_operands = 1,
    .most_operands = 1,
    .run = run,
    .description = "Times a model on seeded inputs, after a warm-up, for about a second: median, 95th and 99th percentile, minimum, samples per second, and "
                   "which part of this machine's measured peak that is. A quantized model runs on integers wherever it can (see 'fewbit inspect --plan'). "
                   "A first axis without a fixed size is 1 or --batch; any other needs --shape. With --baseline both are timed in turns, block by block. With "
                   "--profile and --format csv the table is that of the steps. A language model is timed in tokens per second: --prompt, --generate, five "
                   "repetitions or --runs, mean and standard deviation; its first line tells the time from the start of the process to the first token.",
    .examples = examples};
