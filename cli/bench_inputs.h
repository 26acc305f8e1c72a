/* Seeded inputs for bench. */
#ifndef FEWBIT_CLI_BENCH_INPUTS_H
#define FEWBIT_CLI_BENCH_INPUTS_H

#include "command.h"

typedef struct BenchInputs {
    FbTensor *tensors;
    size_t count;
    int64_t batch; /* first axis of the first input that leaves it open, else of the first */
} BenchInputs;

/* batch 0: as --shape and the model say, 1 for an open first axis; otherwise the first axis wherever the model leaves it open.
 * 0, or the exit code after the error was printed; cli_bench_inputs_free either way. */
int cli_bench_inputs(Cli *cli, const FbModel *model, int64_t batch, BenchInputs *inputs);
void cli_bench_inputs_free(BenchInputs *inputs);

#endif
