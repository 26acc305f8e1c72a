/* Options: one table for parsing, --help and the manual pages. */
#ifndef FEWBIT_CLI_OPTIONS_H
#define FEWBIT_CLI_OPTIONS_H

#include "command.h"

typedef enum CliOptionKind { CLI_FLAG, CLI_TEXT, CLI_COUNT, CLI_COUNTS, CLI_NUMBER, CLI_SIZE, CLI_TEXTS } CliOptionKind;

typedef struct CliOption {
    const char *name;
    char letter; /* 0: long form only */
    const char *argument, *help;
    CliOptionKind kind;
    size_t offset; /* in CliOptions */
    unsigned mask;
} CliOption;

extern const CliOption cli_options[];
extern const size_t cli_option_count;

/* Reads argv[first...] for cli->command into cli->options and cli->operands; 0, or the exit code after the error was printed. */
int cli_parse(Cli *cli, int argc, const char **argv, int first);

/* --mode, already checked; `otherwise` when it was not given. */
FbMode cli_mode(const Cli *cli, FbMode otherwise);
const char *cli_mode_name(FbMode mode);

#endif
