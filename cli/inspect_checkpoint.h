/* fewbit inspect of files that hold tensors but no graph. */
#ifndef FEWBIT_CLI_INSPECT_CHECKPOINT_H
#define FEWBIT_CLI_INSPECT_CHECKPOINT_H

#include "console.h"

/* The exit code. */
int cli_inspect_checkpoint(Cli *cli, const char *path);

/* The tables of encodings and weights of an inspect document (command_inspect.c); the exit code. */
int cli_print_weights(Cli *cli, const json_t *document);

#endif
