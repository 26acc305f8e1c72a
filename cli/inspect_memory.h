/* fewbit inspect MODEL --context N: what running a language model takes of memory. */
#ifndef FEWBIT_CLI_INSPECT_MEMORY_H
#define FEWBIT_CLI_INSPECT_MEMORY_H

#include "command.h"

/* The exit code. */
int cli_inspect_memory(Cli *cli, const char *path);

#endif
