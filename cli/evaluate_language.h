/* fewbit evaluate of a language model. */
#ifndef FEWBIT_CLI_EVALUATE_LANGUAGE_H
#define FEWBIT_CLI_EVALUATE_LANGUAGE_H

#include "command.h"

int cli_evaluate_language(Cli *cli); /* the exit code */

#endif
