/* Timing language models: prompts and generation, in tokens per second. */
#ifndef FEWBIT_CLI_BENCH_LANGUAGE_H
#define FEWBIT_CLI_BENCH_LANGUAGE_H

#include "command.h"

/* The whole command for a language model; the exit code. */
int cli_bench_language(Cli *cli);

#endif
