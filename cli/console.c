/* What the person sees: errors, warnings, progress, tables, JSON documents. */
#define _XOPEN_SOURCE 700 /* sigaction, SIGXFSZ, isatty, clock_gettime */
#include "console.h"

#include <errno.h>
#include <math.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

static volatile sig_atomic_t stop_signal; /* the signal that asked to stop */
static volatile int cancel;               /* the token that the library polls */

static void on_signal(int signal_number)
{
    if (stop_signal) {
        _exit(128 + signal_number); /* asked twice: at once. The temporary file is taken over by the next run. */
    }
    stop_signal = signal_number;
    cancel = 1;
}

void cli_console_start(Cli *cli)
{
    struct sigaction action;
    memset(&action, 0, sizeof action);
    sigemptyset(&action.sa_mask);
    action.sa_handler = on_signal;
    action.sa_flags = SA_RESTART;
    sigaction(SIGINT, &action, NULL);
    sigaction(SIGTERM, &action, NULL);
    signal(SIGPIPE, SIG_IGN); /* a closed pipe is a failed write, seen by cli_console_finish */
    signal(SIGXFSZ, SIG_IGN); /* so is a file that reached the limit of the process */
    cli->terminal = isatty(STDERR_FILENO);
}

double cli_seconds(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + 1e-9 * (double)now.tv_nsec;
}

static void clear_progress(Cli *cli)
{
    if (cli->progress_shown) {
        fputs("\r\033[K", stderr);
        cli->progress_shown = 0;
    }
}

int cli_console_finish(Cli *cli, int exit_code)
{
    clear_progress(cli);
    if (fflush(stdout) != 0 || ferror(stdout)) {
        if (errno != EPIPE) {
            fputs("fewbit: error: the output could not be written (no space left?)\n", stderr);
        }
        return exit_code ? exit_code : CLI_EXIT_IO;
    }
    return exit_code;
}

static int coloured(const Cli *cli)
{
    const char *off = getenv("NO_COLOR"), *term = getenv("TERM");
    return cli->terminal && !(off && *off) && term && strcmp(term, "dumb") != 0;
}

static void print_error(Cli *cli, const char *message)
{
    clear_progress(cli);
    fflush(stdout);
    const char *red = coloured(cli) ? "\033[31m" : "", *plain = coloured(cli) ? "\033[0m" : "";
    fprintf(stderr, "fewbit: %serror:%s %s\n", red, plain, message);
}

int cli_error(Cli *cli, const FbError *err)
{
    if (err->status == FB_ERR_CANCELLED && stop_signal) {
        print_error(cli, stop_signal == SIGTERM ? "terminated" : "interrupted");
        return 128 + (int)stop_signal;
    }
    print_error(cli, err->message);
    return fb_status_exit_code(err->status);
}

int cli_usage(Cli *cli, const char *format, ...)
{
    char message[1024];
    va_list args;
    va_start(args, format);
    vsnprintf(message, sizeof message, format, args);
    va_end(args);
    print_error(cli, message);
    return CLI_EXIT_USAGE;
}

void cli_note(Cli *cli, const char *format, ...)
{
    if (cli->options.quiet) {
        return;
    }
    va_list args;
    clear_progress(cli);
    fputs("fewbit: ", stderr);
    va_start(args, format);
    vfprintf(stderr, format, args);
    va_end(args);
    fputc('\n', stderr);
}

const char *cli_shown(const char *name)
{
    static char buffers[8][256];
    static unsigned next;
    char *buffer = buffers[next++ % 8];
    return fb_show_name(name, buffer, sizeof buffers[0]);
}

/* The library's log: warnings are counted for the JSON document, and told once to a person. */
static void on_log(void *user, FbLogLevel level, const char *id, const char *message)
{
    Cli *cli = user;
    if (level == FB_LOG_NOTE) {
        if (cli->options.format != CLI_FORMAT_JSON) {
            cli_note(cli, "note: %s", message);
        }
        return;
    }
    for (size_t i = 0; i < cli->warning_count; i++) {
        if (strcmp(cli->warnings[i].id, id) == 0 && strcmp(cli->warnings[i].message, message) == 0) {
            cli->warnings[i].count++;
            return;
        }
    }
    if (cli->warning_count < sizeof cli->warnings / sizeof cli->warnings[0]) {
        CliWarning *warning = &cli->warnings[cli->warning_count++];
        snprintf(warning->id, sizeof warning->id, "%s", id);
        snprintf(warning->message, sizeof warning->message, "%s", message);
        warning->count = 1;
    }
    clear_progress(cli);
    fprintf(stderr, "fewbit: warning: %s [%s]\n", message, id);
}

static void format_duration(double seconds, char *out, size_t bytes)
{
    unsigned long whole = seconds > 0 ? (unsigned long)(seconds + 0.5) : 0;
    if (whole >= 3600) {
        snprintf(out, bytes, "%luh%02lum", whole / 3600, whole / 60 % 60);
    } else if (whole >= 60) {
        snprintf(out, bytes, "%lum%02lus", whole / 60, whole % 60);
    } else {
        snprintf(out, bytes, "%lus", whole);
    }
}

/* One line that is overwritten on a terminal; elsewhere a plain line every 30 seconds. */
static void on_progress(void *user, const FbProgress *progress)
{
    Cli *cli = user;
    char spent[32], left[32], line[160];
    double now = cli_seconds();
    if (cli->options.quiet || (!cli->terminal && now - cli->progress_last < 30.0)) {
        return;
    }
    cli->progress_last = now;
    format_duration(progress->seconds, spent, sizeof spent);
    format_duration(progress->eta_seconds, left, sizeof left);
    int used = snprintf(line, sizeof line, "%s %llu", progress->phase, (unsigned long long)progress->done);
    if (progress->total) {
        used += snprintf(line + used, sizeof line - (size_t)used, "/%llu", (unsigned long long)progress->total);
    }
    used += snprintf(line + used, sizeof line - (size_t)used, ", %s", spent);
    if (progress->eta_seconds >= 0) {
        snprintf(line + used, sizeof line - (size_t)used, ", %s left", left);
    }
    if (cli->terminal) {
        fprintf(stderr, "\r\033[K%.78s", line);
        fflush(stderr);
        cli->progress_shown = 1;
    } else {
        fprintf(stderr, "fewbit: %s\n", line);
    }
}

int cli_stopped(Cli *cli)
{
    FbError err = {FB_ERR_CANCELLED, "interrupted"};
    return cancel ? cli_error(cli, &err) : 0;
}

void cli_warn(Cli *cli, const char *id, const char *format, ...)
{
    char message[512];
    va_list args;
    va_start(args, format);
    vsnprintf(message, sizeof message, format, args);
    va_end(args);
    on_log(cli, FB_LOG_WARNING, id, message);
}

int cli_make_context(Cli *cli, int64_t threads, FbContext **context)
{
    const CliOptions *options = &cli->options;
    if (threads > 256) {
        return cli_usage(cli, "--threads is at most 256");
    }
    FbContextOptions wanted = {.struct_bytes = sizeof wanted,
                               .threads = (int)threads,
                               .isa = options->isa,
                               .max_memory = options->max_memory,
                               .user = cli,
                               .log = on_log,
                               .progress = on_progress,
                               .cancel = &cancel};
    FbError err;
    return fb_context_create(&wanted, context, &err) == FB_OK ? 0 : cli_error(cli, &err);
}

int cli_open_context(Cli *cli)
{
    cli->progress_last = cli_seconds();
    return cli_make_context(cli, cli->options.threads, &cli->context);
}

int cli_table(Cli *cli, FbTable *table, const char *title, int primary)
{
    static const FbTableFormat formats[] = {FB_TABLE_ALIGNED, FB_TABLE_MARKDOWN, FB_TABLE_CSV, FB_TABLE_CSV};
    CliFormat format = cli->options.format;
    if (format == CLI_FORMAT_JSON || (format == CLI_FORMAT_CSV && !primary)) {
        return 0;
    }
    char *text = NULL;
    FbError err;
    if (fb_table_text(table, formats[format], &text, &err) != FB_OK) {
        return cli_error(cli, &err);
    }
    clear_progress(cli);
    if (format != CLI_FORMAT_CSV) {
        printf("%s", cli->printed ? "\n" : "");
        if (title) {
            printf(format == CLI_FORMAT_MD ? "### %s\n\n" : "%s\n", title);
        }
    }
    fputs(text, stdout);
    cli->printed = 1;
    fb_text_free(cli->context, text);
    return 0;
}

void cli_line(Cli *cli, const char *format, ...)
{
    if (cli->options.format == CLI_FORMAT_JSON || cli->options.format == CLI_FORMAT_CSV) {
        return;
    }
    va_list args;
    clear_progress(cli);
    va_start(args, format);
    vprintf(format, args);
    va_end(args);
    putchar('\n');
    fflush(stdout);
    cli->printed = 1;
}

json_t *cli_document(const char *name)
{
    return json_pack("{s:o, s:s}", "schema", json_sprintf("fewbit.%s/1", name), "version", fb_version());
}

int cli_print_document(Cli *cli, json_t *document)
{
    json_t *warnings = json_array();
    int failed = !document || !warnings;
    for (size_t i = 0; i < cli->warning_count && !failed; i++) {
        const CliWarning *warning = &cli->warnings[i];
        failed = json_array_append_new(warnings, json_pack("{s:s, s:s, s:i}", "id", warning->id, "message", warning->message, "count",
                                                           (int)warning->count)) != 0;
    }
    failed = failed || json_object_set(document, "warnings", warnings) != 0;
    json_decref(warnings);
    clear_progress(cli);
    if (!failed) {
        failed = json_dumpf(document, stdout, JSON_INDENT(2) | JSON_REAL_PRECISION(17)) != 0 && !ferror(stdout);
        putchar('\n');
    }
    json_decref(document);
    if (failed) {
        FbError err = {FB_ERR_NO_MEMORY, "out of memory: the JSON document"};
        return cli_error(cli, &err);
    }
    return 0;
}

const char *cli_bytes(uint64_t bytes)
{
    static char buffers[8][32];
    static unsigned next;
    char *out = buffers[next++ % 8];
    static const char *const units[] = {"B", "kB", "MB", "GB", "TB"};
    double value = (double)bytes;
    size_t unit = 0;
    while (value >= 999.5 && unit < 4) {
        value /= 1000;
        unit++;
    }
    snprintf(out, sizeof buffers[0], unit == 0 || value >= 99.95 ? "%.0f %s" : value >= 9.995 ? "%.1f %s" : "%.2f %s", value, units[unit]);
    return out;
}

const char *cli_grouped(uint64_t number)
{
    static char buffers[8][32];
    static unsigned next;
    char *out = buffers[next++ % 8], digits[24];
    int count = snprintf(digits, sizeof digits, "%llu", (unsigned long long)number), at = 0;
    for (int i = 0; i < count; i++) {
        if (i && (count - i) % 3 == 0) {
            out[at++] = ',';
        }
        out[at++] = digits[i];
    }
    out[at] = '\0';
    return out;
}

json_t *cli_parse_result(Cli *cli, char *text, int *exit_code)
{
    json_t *document = json_loads(text, 0, NULL);
    fb_text_free(cli->context, text);
    if (!document) {
        *exit_code = cli_error(cli, &(FbError){FB_ERR_INTERNAL, "a description that the library made is not valid JSON"});
    }
    return document;
}

int cli_print_result(Cli *cli, char *text)
{
    int exit_code = 0;
    json_t *document = cli_parse_result(cli, text, &exit_code);
    if (!document) {
        return exit_code;
    }
    json_object_set_new(document, "model", json_string(cli->operands[0]));
    json_object_set_new(document, "peak_bytes", json_integer((json_int_t)fb_context_memory_peak(cli->context)));
    return cli_print_document(cli, document);
}
