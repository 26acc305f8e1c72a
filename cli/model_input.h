/* Opening what the person named as a model, with advice where it is none. */
#ifndef FEWBIT_CLI_MODEL_INPUT_H
#define FEWBIT_CLI_MODEL_INPUT_H

#include <jansson.h>

#include "command.h"

/* 0, or the exit code after the error was printed. */
int cli_load_model(Cli *cli, const char *path, FbModel **model);
/* The inspect document of a model, parsed; NULL after the error was printed (*exit_code set). */
json_t *cli_inspect_model(Cli *cli, const FbModel *model, int *exit_code);
/* Whether both paths name one existing file. */
int cli_same_file(const char *a, const char *b);
int cli_exists(const char *path);
/* 0 when an output of this name would not replace what is being read; otherwise the exit code after the error was printed. */
int cli_check_replaced(Cli *cli, const char *path);
/* Before any work: 0 when a result can go to `path`; otherwise prints why not and returns the exit code. */
int cli_check_output(Cli *cli, const char *path, int force);

#endif
