/* The parts of `fewbit generate`: prompts, the text as it comes, what the run was like. */
#ifndef FEWBIT_CLI_GENERATE_TEXT_H
#define FEWBIT_CLI_GENERATE_TEXT_H

#include <jansson.h>
#include <stdio.h>

#include "language_input.h"
#include "tokenizer_input.h"

typedef struct CliPrompt {
    char *text;          /* NULL: given as ids */
    int32_t *ids;
    size_t count;
} CliPrompt;

typedef struct CliPrompts {
    CliPrompt *items;
    size_t count, capacity;
} CliPrompts;

typedef struct CliGeneration { /* one run of the command */
    Cli *cli;
    FbModel *model;
    FbTokenizer *tokenizer;  /* NULL: ids only */
    FbGenerator *generator;
    CliPrompts prompts;
    int64_t positions;       /* of the context; 0: as the model usually has */
    int64_t limit;           /* tokens to make per prompt; INT64_MAX: no limit */
    double load_seconds, prompt_seconds, generation_seconds, first_seconds; /* first: from the start of the process */
    size_t prompt_tokens, made_tokens;
    size_t timed_tokens;     /* made in generation_seconds: all but the first of each prompt */
    int fed;                 /* the next step runs a prompt */
} CliGeneration;

/* A line of input without its end; the text is NUL-terminated and freed by the caller. */
typedef struct CliLine {
    char *text;
    size_t bytes, capacity;
} CliLine;
/* 1: there is a line. 0: the input has ended or cannot be read (ferror), or *exit_code says that the line is too long, which was printed. */
int cli_read_line(Cli *cli, FILE *file, const char *path, CliLine *line, int *exit_code);

/* From --prompt, --prompts and --ids. 0, or the exit code after the error was printed. */
int cli_read_prompts(CliGeneration *run);
void cli_free_prompts(CliPrompts *prompts);

/* Writes generated text to stdout at once; on a terminal, control characters do not pass. */
void cli_write_text(const char *text, size_t bytes);
/* Talks in the terminal until its end. The exit code. */
int cli_chat(CliGeneration *run);
/* One step of the generator with the times taken; 0, or the exit code after the error was printed. */
int cli_generation_step(CliGeneration *run, int32_t *ids);
/* "made 64 tokens ..." on stderr. */
void cli_generation_notes(CliGeneration *run);

#endif
