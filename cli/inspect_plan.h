/* fewbit inspect --plan: the steps that would run here. */
#ifndef FEWBIT_CLI_INSPECT_PLAN_H
#define FEWBIT_CLI_INSPECT_PLAN_H

#include <jansson.h>

#include "command.h"

/* How many tokens of a language model the plan is for: --shape input_ids=N, or 1. 0, or the exit code after the error was printed. */
int cli_plan_tokens(Cli *cli, int64_t *tokens);
/* The steps of one run, as cli_steps_json gives them, with "mode" and "isa", and "tokens" for a language model. Inputs are seeded. NULL after the
 * error was printed (*exit_code set). */
json_t *cli_plan_graph(Cli *cli, const FbModel *model, int *exit_code);
json_t *cli_plan_language(Cli *cli, const FbModel *model, int64_t tokens, int *exit_code);

#endif
