/* Prompts of `fewbit generate`: texts, lines of a file, token ids. */
#define _POSIX_C_SOURCE 200809L /* isatty */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "console.h"
#include "generate_text.h"

enum { PROMPTS_MAX = 4096, LINE_BYTES_MAX = 64 << 20 };

void cli_free_prompts(CliPrompts *prompts)
{
    for (size_t i = 0; i < prompts->count; i++) {
        free(prompts->items[i].text);
        free(prompts->items[i].ids);
    }
    free(prompts->items);
    *prompts = (CliPrompts){0};
}

static int no_memory(Cli *cli)
{
    FbError err = {FB_ERR_NO_MEMORY, "out of memory: the prompts"};
    return cli_error(cli, &err);
}

/* Takes over text and ids. */
static int add_prompt(CliGeneration *run, CliPrompt prompt)
{
    CliPrompts *prompts = &run->prompts;
    if (prompts->count == PROMPTS_MAX) {
        free(prompt.text);
        free(prompt.ids);
        return cli_usage(run->cli, "more than %d prompts", PROMPTS_MAX);
    }
    if (prompts->count == prompts->capacity) {
        size_t capacity = prompts->capacity ? 2 * prompts->capacity : 8;
        CliPrompt *items = realloc(prompts->items, capacity * sizeof *items);
        if (!items) {
            free(prompt.text);
            free(prompt.ids);
            return no_memory(run->cli);
        }
        prompts->items = items;
        prompts->capacity = capacity;
    }
    prompts->items[prompts->count++] = prompt;
    return 0;
}

static int add_text(CliGeneration *run, const char *text, size_t bytes)
{
    CliPrompt prompt = {.text = malloc(bytes + 1)};
    int32_t *ids;
    FbError err;
    if (!prompt.text) {
        return no_memory(run->cli);
    }
    memcpy(prompt.text, text, bytes);
    prompt.text[bytes] = '\0';
    if (fb_tokenizer_encode(run->tokenizer, text, bytes, FB_TOKENS_ADD_SPECIAL, &ids, &prompt.count, &err) != FB_OK) {
        free(prompt.text);
        return cli_error(run->cli, &err);
    }
    prompt.ids = malloc((prompt.count + 1) * sizeof *prompt.ids);
    if (prompt.ids && prompt.count > 0) {
        memcpy(prompt.ids, ids, prompt.count * sizeof *ids);
    }
    fb_tokens_free(run->cli->context, ids);
    if (!prompt.ids) {
        free(prompt.text);
        return no_memory(run->cli);
    }
    if (prompt.count == 0) {
        free(prompt.text);
        free(prompt.ids);
        return cli_usage(run->cli, "prompt %zu is empty, and this model has no token to begin with", run->prompts.count + 1);
    }
    return add_prompt(run, prompt);
}

static int add_ids(CliGeneration *run, const char *list)
{
    CliPrompt prompt = {.text = NULL};
    int exit_code = cli_parse_ids(run->cli, list, &prompt.ids, &prompt.count);
    if (exit_code) {
        free(prompt.ids);
        return exit_code;
    }
    return add_prompt(run, prompt);
}

int cli_read_line(Cli *cli, FILE *file, const char *path, CliLine *line, int *exit_code)
{
    int c = 0;
    line->bytes = 0;
    while ((c = getc(file)) != EOF && c != '\n') {
        if (line->bytes + 1 >= line->capacity) {
            size_t capacity = line->capacity ? 2 * line->capacity : 256;
            char *text = capacity <= LINE_BYTES_MAX ? realloc(line->text, capacity) : NULL;
            if (!text) {
                *exit_code = capacity > LINE_BYTES_MAX ? cli_usage(cli, "%s: a line of more than %d bytes", cli_shown(path), LINE_BYTES_MAX - 1) : no_memory(cli);
                return 0;
            }
            line->text = text;
            line->capacity = capacity;
        }
        line->text[line->bytes++] = (char)c;
    }
    if (c == EOF && (line->bytes == 0 || ferror(file))) {
        return 0;
    }
    while (line->bytes > 0 && line->text[line->bytes - 1] == '\r') {
        line->bytes--;
    }
    if (line->capacity > 0) {
        line->text[line->bytes] = '\0';
    }
    return 1;
}

/* One prompt per line; empty lines are left out. */
static int add_file(CliGeneration *run, const char *path)
{
    FILE *file = strcmp(path, "-") == 0 ? stdin : fopen(path, "rb");
    FbError err = {FB_ERR_IO, ""};
    if (!file) {
        snprintf(err.message, sizeof err.message, "%s: %s", cli_shown(path), strerror(errno));
        return cli_error(run->cli, &err);
    }
    CliLine line = {0};
    int exit_code = 0;
    while (!exit_code && cli_read_line(run->cli, file, path, &line, &exit_code)) {
        exit_code = line.bytes > 0 ? add_text(run, line.text, line.bytes) : 0;
    }
    if (!exit_code && ferror(file)) {
        snprintf(err.message, sizeof err.message, "%s: cannot be read: %s", cli_shown(path), strerror(errno));
        exit_code = cli_error(run->cli, &err);
    }
    free(line.text);
    if (file != stdin) {
        fclose(file);
    }
    return exit_code;
}

int cli_read_prompts(CliGeneration *run)
{
    const CliOptions *options = &run->cli->options;
    int exit_code = 0;
    for (size_t i = 0; i < options->prompts.count && !exit_code; i++) {
        exit_code = add_text(run, options->prompts.items[i], strlen(options->prompts.items[i]));
    }
    if (!exit_code && options->prompt_file) {
        exit_code = add_file(run, options->prompt_file);
    }
    for (size_t i = 0; i < options->ids.count && !exit_code; i++) {
        exit_code = add_ids(run, options->ids.items[i]);
    }
    return exit_code || run->prompts.count > 0 ? exit_code : cli_usage(run->cli, "%s: there is no prompt in it", cli_shown(options->prompt_file));
}

void cli_write_text(const char *text, size_t bytes)
{
    int terminal = isatty(STDOUT_FILENO);
    for (size_t i = 0; i < bytes; i++) {
        unsigned char c = (unsigned char)text[i];
        int second = i > 0 && (unsigned char)text[i - 1] == 0xc2 && c >= 0x80 && c < 0xa0; /* U+0080 to U+009F */
        if (terminal && ((c < 0x20 && c != '\n' && c != '\t') || c == 0x7f || second)) {
            c = '?';
        }
        putchar(c);
    }
    fflush(stdout);
}
