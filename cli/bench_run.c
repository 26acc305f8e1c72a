/* Timing models. Models take turns in blocks of runs, so that a slow moment of the machine meets all of them, and each runs several times
 * in a row, so that one does not pay for what the other did to the caches. */
#include "bench_run.h"

#include <stdlib.h>
#include <string.h>

#include "console.h"
#include "model_input.h"

enum { RUNS_LEAST = 7, RUNS_MOST = 4000, BLOCK_MOST = 64, WARM_UPS_LEAST = 3, WARM_UPS_MOST = 100, PROFILE_RUNS = 7 };
static const double seconds_per_model = 1.0, block_seconds = 0.1, warm_up_seconds = 0.2, profile_seconds = 0.5;

static int no_memory(Cli *cli)
{
    FbError err = {FB_ERR_NO_MEMORY, "out of memory: the timings"};
    return cli_error(cli, &err);
}

int cli_bench_open(Cli *cli, FbContext *context, const char *path, FbMode mode, BenchModel *bench)
{
    FbContext *kept = cli->context;
    FbSessionOptions options = {.struct_bytes = sizeof options, .mode = mode};
    FbError err;
    bench->path = path;
    bench->memory_before = fb_context_memory_now(context);
    double begin = cli_seconds();
    cli->context = context; /* cli_load_model opens it there */
    int exit_code = cli_load_model(cli, path, &bench->model);
    cli->context = kept;
    if (!exit_code && fb_session_create(context, bench->model, &options, &bench->session, &err) != FB_OK) {
        exit_code = cli_error(cli, &err);
    }
    bench->load_seconds = cli_seconds() - begin;
    if (exit_code) {
        return exit_code;
    }
    bench->output_count = fb_model_output_count(bench->model);
    bench->outputs = calloc(bench->output_count + 1, sizeof *bench->outputs);
    bench->ms = calloc(RUNS_MOST, sizeof *bench->ms);
    return bench->outputs && bench->ms ? 0 : no_memory(cli);
}

void cli_bench_close(BenchModel *bench)
{
    free(bench->ms);
    free(bench->outputs);
    fb_session_free(bench->session);
    cli_bench_inputs_free(&bench->inputs);
    fb_model_free(bench->model);
    memset(bench, 0, sizeof *bench);
}

static int run_once(Cli *cli, BenchModel *bench, double *seconds)
{
    FbError err;
    int stopped = cli_stopped(cli);
    if (stopped) {
        return stopped;
    }
    double begin = cli_seconds();
    FbStatus status = fb_session_run(bench->session, bench->inputs.tensors, bench->inputs.count, bench->outputs, bench->output_count, &err);
    *seconds = cli_seconds() - begin;
    return status == FB_OK ? 0 : cli_error(cli, &err);
}

int cli_bench_feed(Cli *cli, int64_t batch, BenchModel *bench)
{
    double unused;
    cli_bench_inputs_free(&bench->inputs);
    memset(&bench->inputs, 0, sizeof bench->inputs);
    int exit_code = cli_bench_inputs(cli, bench->model, batch, &bench->inputs);
    return exit_code ? exit_code : run_once(cli, bench, &unused);
}

/* The time of one run, once caches, page tables and clock are warm. */
static int warm_up(Cli *cli, BenchModel *bench, double *seconds)
{
    double begin = cli_seconds();
    for (int i = 0; i < WARM_UPS_MOST && (i < WARM_UPS_LEAST || cli_seconds() - begin < warm_up_seconds); i++) {
        int exit_code = run_once(cli, bench, seconds);
        if (exit_code) {
            return exit_code;
        }
    }
    return 0;
}

static int run_block(Cli *cli, BenchModel *bench, size_t block, size_t wanted)
{
    for (size_t i = 0; i < block && bench->runs < wanted; i++) {
        double seconds;
        int exit_code = run_once(cli, bench, &seconds);
        if (exit_code) {
            return exit_code;
        }
        bench->ms[bench->runs++] = 1e3 * seconds;
    }
    return 0;
}

static int enough(const Cli *cli, const BenchModel *models, size_t count, size_t wanted, double spent)
{
    size_t fewest = models[0].runs;
    for (size_t m = 1; m < count; m++) {
        fewest = models[m].runs < fewest ? models[m].runs : fewest;
    }
    return fewest >= wanted || (!cli->options.runs && fewest >= RUNS_LEAST && spent > seconds_per_model * (double)count);
}

int cli_bench_time(Cli *cli, BenchModel *models, size_t count)
{
    size_t blocks[BENCH_MODELS_MAX] = {0};
    size_t wanted = cli->options.runs ? (size_t)cli->options.runs : RUNS_MOST;
    wanted = wanted > RUNS_MOST ? RUNS_MOST : wanted;
    for (size_t m = 0; m < count; m++) {
        double seconds = 0;
        int exit_code = warm_up(cli, &models[m], &seconds);
        if (exit_code) {
            return exit_code;
        }
        size_t fit = seconds > 0 ? (size_t)(block_seconds / seconds) : BLOCK_MOST;
        blocks[m] = fit < 1 ? 1 : fit > BLOCK_MOST ? BLOCK_MOST : fit;
        models[m].runs = 0;
    }
    double begin = cli_seconds();
    while (!enough(cli, models, count, wanted, cli_seconds() - begin)) {
        for (size_t m = 0; m < count; m++) {
            int exit_code = run_block(cli, &models[m], blocks[m], wanted);
            if (exit_code) {
                return exit_code;
            }
        }
    }
    return 0;
}

int cli_bench_profile(Cli *cli, BenchModel *bench)
{
    double unused, begin = cli_seconds();
    int exit_code = 0;
    fb_session_profile(bench->session, 1);
    for (int i = 0; !exit_code && (i < PROFILE_RUNS || (i < WARM_UPS_MOST && cli_seconds() - begin < profile_seconds)); i++) {
        exit_code = run_once(cli, bench, &unused);
    }
    return exit_code;
}

static int by_size(const void *left, const void *right)
{
    double a = *(const double *)left, b = *(const double *)right;
    return a < b ? -1 : a > b;
}

/* The value that `share` of the sorted times do not exceed (nearest rank). */
static double quantile(const BenchModel *bench, double share)
{
    size_t rank = (size_t)(share * (double)bench->runs + 0.999999);
    return bench->ms[rank ? rank - 1 : 0];
}

BenchStats cli_bench_stats(BenchModel *bench)
{
    BenchStats stats = {0};
    if (bench->runs == 0) {
        return stats;
    }
    qsort(bench->ms, bench->runs, sizeof *bench->ms, by_size);
    stats.min = bench->ms[0];
    stats.p50 = quantile(bench, 0.5);
    stats.p95 = quantile(bench, 0.95);
    stats.p99 = quantile(bench, 0.99);
    stats.spread = stats.p50 > 0 ? (quantile(bench, 0.75) - quantile(bench, 0.25)) / stats.p50 : 0;
    return stats;
}
