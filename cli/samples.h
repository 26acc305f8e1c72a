/* What quantize and calibrate share: collecting statistics with the options of the command line. */
#ifndef FEWBIT_CLI_SAMPLES_H
#define FEWBIT_CLI_SAMPLES_H

#include "command.h"

/* 0, or the exit code after the error was printed. */
int cli_open_data(Cli *cli, const FbModel *model, const char *path, FbDataset **data);
int cli_collect(Cli *cli, const FbModel *model, const char *path, FbStatistics **statistics);

#endif
