/* Timing models: warm-up, alternating blocks, what the times say. */
#ifndef FEWBIT_CLI_BENCH_RUN_H
#define FEWBIT_CLI_BENCH_RUN_H

#include <jansson.h>

#include "bench_inputs.h"

enum { BENCH_MODELS_MAX = 2 };

/* A model in a context of its own number of threads. */
typedef struct BenchModel {
    const char *path;
    FbModel *model;
    FbSession *session;
    BenchInputs inputs;
    FbTensor *outputs;
    size_t output_count;
    double load_seconds;      /* opening and compiling */
    uint64_t memory_before, memory_held; /* of the context: before the model; what model, session and first binding added */
    double *ms;
    size_t runs;
} BenchModel;

typedef struct BenchStats {
    double min, p50, p95, p99, spread; /* ms; spread: (p75 - p25) / p50 */
} BenchStats;

/* Each returns 0 or the exit code after the error was printed. */
int cli_bench_open(Cli *cli, FbContext *context, const char *path, FbMode mode, BenchModel *bench);
/* Inputs of this batch (0: as the model has it) and a first run. */
int cli_bench_feed(Cli *cli, int64_t batch, BenchModel *bench);
/* Warms up, then fills ms and runs of every model. */
int cli_bench_time(Cli *cli, BenchModel *models, size_t count);
/* Runs a few more times with the steps timed. */
int cli_bench_profile(Cli *cli, BenchModel *bench);
void cli_bench_close(BenchModel *bench);

/* Sorts ms. */
BenchStats cli_bench_stats(BenchModel *bench);

#endif
