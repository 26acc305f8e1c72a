/* The steps that a session runs, as JSON and as tables: inspect --plan and bench --profile. */
#ifndef FEWBIT_CLI_STEP_LIST_H
#define FEWBIT_CLI_STEP_LIST_H

#include <jansson.h>

#include "command.h"

/* {steps: [{name, type, fused, kernel, isa, integer, reason, input, output, macs, weight, weight_bytes, input_bytes, output_bytes, seconds}], totals:
 * {...}, operators: [...], reasons: [...]} of the session's last run; seconds, and the part of the
 * product peak that a step reached, only with `peaks`: the session was profiled. Never NULL with memory. */
json_t *cli_steps_json(const FbSession *session, const FbHardwarePeaks *peaks);
/* In the order of the run; 0 or the exit code. */
int cli_print_plan(Cli *cli, const json_t *steps);
/* The slowest first, with their share of the time; then by operator. */
int cli_print_profile(Cli *cli, const json_t *steps, const char *title);

#endif
