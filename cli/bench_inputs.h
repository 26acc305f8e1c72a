/* Seeded inputs for bench. */
#ifndef FEWBIT_CLI_BENCH_INPUTS_H
#define FEWBIT_CLI_BENCH_INPUTS_H

#include "command.h"

typedef struct BenchInputs {
    FbTensor *tensors;
    size_t count;
    int64_t batch; /* first axis of the first input */
} BenchInputs;

/* 0, or the exit code after the error was printed. */
int cli_bench_inputs(Cli *cli, const FbModel *model, BenchInputs *inputs);
void cli_bench_inputs_free(BenchInputs *inputs);

#endif
