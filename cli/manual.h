/* --help, manual pages and completion from one source: the tables of commands and options. */
#ifndef FEWBIT_CLI_MANUAL_H
#define FEWBIT_CLI_MANUAL_H

#include <stdio.h>

#include "command.h"

void cli_print_overview(FILE *out);
void cli_print_help(FILE *out, const CliCommand *command);
void cli_print_completion(FILE *out); /* a script for bash */
void cli_print_man(FILE *out, const CliCommand *command); /* roff; NULL: fewbit(1) itself */

#endif
