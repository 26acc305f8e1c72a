/* The command's inside: one invocation, its options, and the table of commands. */
#ifndef FEWBIT_CLI_COMMAND_H
#define FEWBIT_CLI_COMMAND_H

#include <stddef.h>
#include <stdint.h>

#include "fewbit/fewbit.h"
#include "fewbit/report.h"

enum { CLI_EXIT_OK = 0, CLI_EXIT_GATE = 1, CLI_EXIT_USAGE = 2, CLI_EXIT_IO = 5, CLI_LIST_MAX = 64, CLI_COUNTS_MAX = 16 };

/* Which commands take an option. */
enum {
    CLI_INSPECT = 1 << 0,
    CLI_QUANTIZE = 1 << 1,
    CLI_CALIBRATE = 1 << 2,
    CLI_EVALUATE = 1 << 3,
    CLI_BENCH = 1 << 4,
    CLI_LIST = 1 << 5,
    CLI_CPU = 1 << 6,
    CLI_HELP = 1 << 7,
    CLI_GENERATE = 1 << 8,
    CLI_TOKENIZE = 1 << 9,
    CLI_MODEL = CLI_INSPECT | CLI_QUANTIZE | CLI_CALIBRATE | CLI_EVALUATE | CLI_BENCH | CLI_GENERATE,
    CLI_ALL = (1 << 10) - 1
};

typedef struct CliList {
    const char *items[CLI_LIST_MAX];
    size_t count;
} CliList;

typedef struct CliCounts { /* "1,2,4" */
    int64_t items[CLI_COUNTS_MAX];
    size_t count;
} CliCounts;

typedef enum CliFormat { CLI_FORMAT_TABLE = 0, CLI_FORMAT_MD, CLI_FORMAT_CSV, CLI_FORMAT_JSON } CliFormat;

typedef struct CliOptions {
    int json, quiet, force, dry_run, help, man, version, plan, profile, pure;
    const char *format_name;
    CliFormat format;
    int64_t threads, seed, samples, batch, runs;
    uint64_t max_memory;
    double max_loss, percentile, max_seconds;
    const char *isa, *output, *preset, *recipe, *calibration, *statistics, *data, *evaluation, *baseline, *baseline_outputs;
    const char *judged_output, *target, *calibrator, *activations, *layout, *selection, *preprocess, *save_inputs, *save_outputs;
    const char *mode, *imatrix;
    CliList shapes, excluded, settings, merged;
    CliCounts thread_counts, batches; /* bench */
    CliCounts prompt_sizes, generate_sizes; /* bench of a language model */
    int64_t positions;                /* --context */
    const char *cache_type;
    uint64_t memory;                  /* inspect --memory */
    int chat;                         /* generate, as all that follows */
    int64_t token_limit, top_k;
    double temperature, top_p, min_p;
    const char *prompt_file, *tokenizer, *system, *completion;
    CliList prompts, ids;
    int64_t windows;                  /* --windows; evaluate --metric */
    const char *metric;
} CliOptions;

typedef struct CliWarning {
    char id[64], message[512];
    unsigned count;
} CliWarning;

typedef struct Cli Cli;

typedef struct CliCommand {
    const char *name, *summary, *operands;
    unsigned mask;
    size_t least_operands, most_operands;
    int (*run)(Cli *cli);         /* the exit code */
    const char *description;      /* for --help and the manual page */
    const char *const *examples;  /* command, comment, command, comment, ..., NULL */
} CliCommand;

struct Cli {
    const CliCommand *command;
    CliOptions options;
    const char *operands[CLI_LIST_MAX];
    size_t operand_count;
    FbContext *context; /* NULL until cli_open_context */
    CliWarning warnings[32];
    size_t warning_count;
    int progress_shown; /* a progress line stands on the terminal */
    double progress_last;
    double started; /* when the process began, as cli_seconds */
    int terminal, printed; /* stderr is a terminal; something was printed as a table */
};

extern const CliCommand *const cli_commands[];
extern const size_t cli_command_count;
extern const CliCommand cli_inspect, cli_quantize, cli_calibrate, cli_evaluate, cli_bench, cli_list, cli_cpu, cli_help, cli_generate, cli_tokenize;

#endif
