/* What the person sees: errors, warnings, progress, tables, JSON documents. */
#ifndef FEWBIT_CLI_CONSOLE_H
#define FEWBIT_CLI_CONSOLE_H

#include <jansson.h>

#include "command.h"

/* Signals, SIGPIPE, what kind of terminal. */
void cli_console_start(Cli *cli);
/* Flushes stdout; the exit code, or 5 when the output did not arrive whole. */
int cli_console_finish(Cli *cli, int exit_code);

/* cli->context from the options; 0 or the exit code. */
int cli_open_context(Cli *cli);
/* Another context from the options, but for the number of threads. */
int cli_make_context(Cli *cli, int64_t threads, FbContext **context);
/* Counts and prints a warning, as those of the library. */
void cli_warn(Cli *cli, const char *id, const char *format, ...) FB_PRINTF(3, 4);

/* After a signal: prints that, and returns the exit code; otherwise 0. For loops outside the library. */
int cli_stopped(Cli *cli);

/* Prints "fewbit: error: ..." and returns the exit code of the status (130 or 143 after a signal). */
int cli_error(Cli *cli, const FbError *err);
/* A usage error: prints it and returns 2. */
int cli_usage(Cli *cli, const char *format, ...) FB_PRINTF(2, 3);
void cli_note(Cli *cli, const char *format, ...) FB_PRINTF(2, 3); /* stderr, unless --quiet */
/* A name from outside, escaped, in one of a few static buffers: for messages only. */
const char *cli_shown(const char *name);

/* A table under a title, in the form the options ask for. CSV shows the primary table only. Nothing with --json. */
int cli_table(Cli *cli, FbTable *table, const char *title, int primary);
/* A line of text, where the form is a table or Markdown. */
void cli_line(Cli *cli, const char *format, ...) FB_PRINTF(2, 3);

/* {"schema": "fewbit.NAME/1", "version": ...}; NULL without memory. */
json_t *cli_document(const char *name);
/* Adds the warnings, prints the document and drops the reference; the exit code. */
int cli_print_document(Cli *cli, json_t *document);
/* A JSON text of the library, which is freed, parsed. NULL after an error was printed (*exit_code set). */
json_t *cli_parse_result(Cli *cli, char *text, int *exit_code);
/* The same about the model that was named, printed with its name and the most memory taken; the exit code. */
int cli_print_result(Cli *cli, char *text);

/* "1.2 MB", "1,234"; in one of a few static buffers. */
const char *cli_bytes(uint64_t bytes);
const char *cli_grouped(uint64_t number);
double cli_seconds(void); /* monotonic */

#endif
