/* fewbit bench MODEL: how long one run takes here. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bench_inputs.h"
#include "console.h"
#include "machine.h"
#include "model_input.h"

enum { WARM_UPS = 3, RUNS_LEAST = 7, RUNS_MOST = 1000 };

typedef struct Bench {
    const char *path;
    FbModel *model;
    FbSession *session;
    BenchInputs inputs;
    FbTensor *outputs;
    size_t output_count;
    double *ms;
    size_t runs;
} Bench;

static int prepare(Cli *cli, const char *path, Bench *bench)
{
    FbError err;
    bench->path = path;
    int exit_code = cli_load_model(cli, path, &bench->model);
    if (!exit_code) {
        exit_code = cli_bench_inputs(cli, bench->model, &bench->inputs);
    }
    if (!exit_code && fb_session_create(cli->context, bench->model, NULL, &bench->session, &err) != FB_OK) {
        exit_code = cli_error(cli, &err);
    }
    if (!exit_code) {
        bench->output_count = fb_model_output_count(bench->model);
        bench->outputs = calloc(bench->output_count + 1, sizeof *bench->outputs);
        bench->ms = calloc(RUNS_MOST, sizeof *bench->ms);
        if (!bench->outputs || !bench->ms) {
            err = (FbError){FB_ERR_NO_MEMORY, "out of memory: the timings"};
            exit_code = cli_error(cli, &err);
        }
    }
    return exit_code;
}

static void release(Bench *bench)
{
    free(bench->ms);
    free(bench->outputs);
    fb_session_free(bench->session);
    cli_bench_inputs_free(&bench->inputs);
    fb_model_free(bench->model);
}

static int run_once(Cli *cli, Bench *bench, double *ms)
{
    FbError err;
    int stopped = cli_stopped(cli);
    if (stopped) {
        return stopped;
    }
    double begin = cli_seconds();
    FbStatus status = fb_session_run(bench->session, bench->inputs.tensors, bench->inputs.count, bench->outputs, bench->output_count, &err);
    *ms = 1e3 * (cli_seconds() - begin);
    return status == FB_OK ? 0 : cli_error(cli, &err);
}

/* Alternates between the models, so that a slow moment of the machine meets both. */
static int measure(Cli *cli, Bench *benches, size_t count)
{
    double unused;
    for (int i = 0; i < WARM_UPS; i++) {
        for (size_t b = 0; b < count; b++) {
            int exit_code = run_once(cli, &benches[b], &unused);
            if (exit_code) {
                return exit_code;
            }
        }
    }
    size_t wanted = cli->options.runs ? (size_t)cli->options.runs : RUNS_MOST;
    wanted = wanted > RUNS_MOST ? RUNS_MOST : wanted;
    double begin = cli_seconds();
    for (size_t run = 0; run < wanted; run++) {
        if (!cli->options.runs && run >= RUNS_LEAST && cli_seconds() - begin > 1.0 * (double)count) {
            break;
        }
        for (size_t b = 0; b < count; b++) {
            int exit_code = run_once(cli, &benches[b], &benches[b].ms[run]);
            if (exit_code) {
                return exit_code;
            }
            benches[b].runs = run + 1;
        }
    }
    return 0;
}

static int by_size(const void *left, const void *right)
{
    double a = *(const double *)left, b = *(const double *)right;
    return a < b ? -1 : a > b;
}

/* The value that `share` of the sorted times do not exceed (nearest rank). */
static double quantile(const Bench *bench, double share)
{
    size_t rank = (size_t)(share * (double)bench->runs + 0.999999);
    return bench->ms[rank ? rank - 1 : 0];
}

static int print_table(Cli *cli, const Bench *benches, size_t count)
{
    static const FbColumn columns[] = {{"model", 0}, {"threads", 1}, {"batch", 1}, {"min ms", 1}, {"median ms", 1}, {"p95 ms", 1}, {"per second", 1}};
    FbTable *table = NULL;
    FbError err;
    if (fb_table_create(cli->context, columns, 7, &table, &err) != FB_OK) {
        return cli_error(cli, &err);
    }
    for (size_t b = 0; b < count; b++) {
        char threads[24], batch[24], least[32], median[32], slow[32], rate[32];
        snprintf(threads, sizeof threads, "%d", fb_context_threads(cli->context));
        snprintf(batch, sizeof batch, "%lld", (long long)benches[b].inputs.batch);
        snprintf(least, sizeof least, "%.3f", benches[b].ms[0]);
        snprintf(median, sizeof median, "%.3f", quantile(&benches[b], 0.5));
        snprintf(slow, sizeof slow, "%.3f", quantile(&benches[b], 0.95));
        snprintf(rate, sizeof rate, "%.1f", 1e3 * (double)benches[b].inputs.batch / quantile(&benches[b], 0.5));
        fb_table_add(table, (const char *const[]){benches[b].path, threads, batch, least, median, slow, rate});
    }
    int exit_code = cli_table(cli, table, NULL, 1);
    fb_table_free(table);
    if (count == 2) {
        cli_line(cli, "ratio of the minima, model to baseline: %.3f", benches[0].ms[0] / benches[1].ms[0]);
    }
    cli_line(cli, "%zu runs each, %s; quantized models run simulated in float: no speed claim", benches[0].runs, fb_context_isa(cli->context));
    return exit_code;
}

static int print_json(Cli *cli, const Bench *benches, size_t count)
{
    char name[128];
    cli_cpu_name(name, sizeof name);
    json_t *document = cli_document("bench"), *results = json_array();
    json_object_set_new(document, "machine", json_pack("{s:s, s:s, s:i}", "cpu", name, "isa", fb_context_isa(cli->context), "cores", cli_core_count()));
    for (size_t b = 0; b < count; b++) {
        const Bench *bench = &benches[b];
        json_t *row = json_object();
        json_object_set_new(row, "model", json_string(bench->path));
        json_object_set_new(row, "threads", json_integer(fb_context_threads(cli->context)));
        json_object_set_new(row, "batch", json_integer(bench->inputs.batch));
        json_object_set_new(row, "p50_ms", json_real(quantile(bench, 0.5)));
        json_object_set_new(row, "p95_ms", json_real(quantile(bench, 0.95)));
        json_object_set_new(row, "p99_ms", json_real(quantile(bench, 0.99)));
        json_object_set_new(row, "min_ms", json_real(bench->ms[0]));
        json_object_set_new(row, "runs", json_integer((json_int_t)bench->runs));
        json_object_set_new(row, "throughput", json_real(1e3 * (double)bench->inputs.batch / quantile(bench, 0.5)));
        json_object_set_new(row, "peak_bytes", json_integer((json_int_t)fb_context_memory_peak(cli->context)));
        json_object_set_new(row, "execution", json_string("float"));
        json_array_append_new(results, row);
    }
    json_object_set_new(document, "results", results);
    return cli_print_document(cli, document);
}

static int run(Cli *cli)
{
    Bench benches[2];
    memset(benches, 0, sizeof benches);
    size_t count = cli->options.baseline ? 2 : 1;
    int exit_code = prepare(cli, cli->operands[0], &benches[0]);
    if (!exit_code && count == 2) {
        exit_code = prepare(cli, cli->options.baseline, &benches[1]);
    }
    if (!exit_code) {
        exit_code = measure(cli, benches, count);
    }
    if (!exit_code) {
        for (size_t b = 0; b < count; b++) {
            qsort(benches[b].ms, benches[b].runs, sizeof *benches[b].ms, by_size);
        }
        exit_code = cli->options.format == CLI_FORMAT_JSON ? print_json(cli, benches, count) : print_table(cli, benches, count);
    }
    release(&benches[1]);
    release(&benches[0]);
    return exit_code;
}

static const char *const examples[] = {"fewbit bench model.onnx --threads 1", "latency of one run, batch 1, one thread",
                                       "fewbit bench model.onnx --shape input=8x3x224x224", "a batch of eight", NULL};

const CliCommand cli_bench = {
    .name = "bench",
    .summary = "how long a run takes here",
    .operands = "MODEL [--baseline MODEL]",
    .mask = CLI_BENCH,
    .least_operands = 1,
    .most_operands = 1,
    .run = run,
    .description = "Times a model on seeded inputs: three warm-ups, then runs for about a second; smallest, median and 95th percentile. A first axis "
                   "without a fixed size is 1; any other needs --shape. With --baseline the two alternate.",
    .examples = examples};
