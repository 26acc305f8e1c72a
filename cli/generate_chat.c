/* `fewbit generate --chat`: lines of the person, answers of the model, the whole conversation as context. */
#define _POSIX_C_SOURCE 200809L /* poll */
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "console.h"
#include "generate_text.h"

typedef struct ChatTalk {
    FbChatMessage *messages;
    size_t count, capacity;
} ChatTalk;

static int no_memory(Cli *cli)
{
    FbError err = {FB_ERR_NO_MEMORY, "out of memory: the conversation"};
    return cli_error(cli, &err);
}

static int add_message(CliGeneration *run, ChatTalk *talk, const char *role, const char *text, size_t bytes)
{
    if (talk->count == talk->capacity) {
        size_t capacity = talk->capacity ? 2 * talk->capacity : 8;
        FbChatMessage *messages = realloc(talk->messages, capacity * sizeof *messages);
        if (!messages) {
            return no_memory(run->cli);
        }
        talk->messages = messages;
        talk->capacity = capacity;
    }
    char *copy = malloc(bytes + 1);
    if (!copy) {
        return no_memory(run->cli);
    }
    memcpy(copy, text, bytes);
    copy[bytes] = '\0';
    talk->messages[talk->count++] = (FbChatMessage){role, copy};
    return 0;
}

static void free_talk(ChatTalk *talk)
{
    for (size_t i = 0; i < talk->count; i++) {
        free((void *)(uintptr_t)talk->messages[i].content);
    }
    free(talk->messages);
}

/* Makes the conversation so far the generator's tokens; what it holds already is not run again. */
static int feed_talk(CliGeneration *run, const ChatTalk *talk)
{
    Cli *cli = run->cli;
    char *text;
    int32_t *ids;
    const int32_t *held;
    size_t count, same = 0, known = fb_generator_tokens(run->generator, 0, &held);
    FbError err;
    if (fb_chat_render(cli->context, run->tokenizer, talk->messages, talk->count, true, &text, &err) != FB_OK) {
        return cli_error(cli, &err);
    }
    FbStatus status = fb_tokenizer_encode(run->tokenizer, text, strlen(text), FB_TOKENS_PARSE_SPECIAL, &ids, &count, &err);
    fb_text_free(cli->context, text);
    if (status != FB_OK) {
        return cli_error(cli, &err);
    }
    while (same < known && same + 1 < count && held[same] == ids[same]) {
        same++;
    }
    fb_generator_cut(run->generator, 0, same);
    status = fb_generator_feed(run->generator, 0, ids + same, count - same, &err);
    run->prompt_tokens += count - same;
    run->fed = 1;
    fb_tokens_free(cli->context, ids);
    return status == FB_OK ? 0 : cli_error(cli, &err);
}

/* Whether the model's chat form is known: told before the person has said something. */
static int check_form(CliGeneration *run)
{
    const FbChatMessage message = {"user", "?"};
    char *text;
    FbError err;
    if (fb_chat_render(run->cli->context, run->tokenizer, &message, 1, true, &text, &err) != FB_OK) {
        return cli_error(run->cli, &err);
    }
    fb_text_free(run->cli->context, text);
    return 0;
}

/* Streams one answer and adds it to the conversation. */
static int answer(CliGeneration *run, ChatTalk *talk)
{
    FbTokenStream *stream;
    FbError err;
    const char *text;
    size_t bytes, first = fb_generator_tokens(run->generator, 0, NULL);
    int exit_code = 0, done = 0;
    if (fb_token_stream_create(run->tokenizer, 0, &stream, &err) != FB_OK) {
        return cli_error(run->cli, &err);
    }
    for (int64_t made = 0; made < run->limit && !exit_code && !done; made++) {
        int32_t id;
        exit_code = cli_generation_step(run, &id);
        done = exit_code || id == FB_NO_TOKEN || fb_tokenizer_ends(run->tokenizer, id);
        if (!done && fb_token_stream_add(stream, id, &text, &bytes, &err) != FB_OK) {
            exit_code = cli_error(run->cli, &err);
        } else if (!done) {
            cli_write_text(text, bytes);
        }
        done = done || fb_generator_tokens(run->generator, 0, NULL) == fb_generator_context(run->generator);
    }
    fb_token_stream_end(stream, &text, &bytes);
    cli_write_text(text, bytes);
    fb_token_stream_free(stream);
    cli_write_text("\n", 1);
    if (exit_code) {
        return exit_code;
    }
    const int32_t *ids;
    char *said;
    size_t count = fb_generator_tokens(run->generator, 0, &ids);
    if (fb_tokenizer_decode(run->tokenizer, ids + first, count - first, 0, &said, &bytes, &err) != FB_OK) {
        return cli_error(run->cli, &err);
    }
    exit_code = add_message(run, talk, "assistant", said, strlen(said));
    fb_text_free(run->cli->context, said);
    return exit_code;
}

/* Waits for input, so that a signal ends the waiting; 0: there is some, or its end. */
static int wait_for_line(Cli *cli, int terminal)
{
    struct pollfd in = {.fd = STDIN_FILENO, .events = POLLIN};
    if (!terminal) {
        return cli_stopped(cli); /* lines of a file may lie in the stream's buffer */
    }
    while (poll(&in, 1, -1) < 0 && errno == EINTR) {
        int stopped = cli_stopped(cli);
        if (stopped) {
            return stopped;
        }
    }
    return 0;
}

int cli_chat(CliGeneration *run)
{
    ChatTalk talk = {0};
    Cli *cli = run->cli;
    CliLine line = {0};
    int terminal = isatty(STDIN_FILENO), exit_code = check_form(run);
    if (cli->options.system && !exit_code) {
        exit_code = add_message(run, &talk, "system", cli->options.system, strlen(cli->options.system));
    }
    if (terminal && !exit_code) {
        cli_note(cli, "say something; an empty line or Ctrl-D ends the conversation");
    }
    while (!exit_code) {
        if (terminal) {
            fputs("> ", stderr);
        }
        exit_code = wait_for_line(cli, terminal);
        if (exit_code || !cli_read_line(cli, stdin, "-", &line, &exit_code) || line.bytes == 0) {
            break;
        }
        exit_code = add_message(run, &talk, "user", line.text, line.bytes);
        exit_code = exit_code ? exit_code : feed_talk(run, &talk);
        exit_code = exit_code ? exit_code : answer(run, &talk);
    }
    free(line.text);
    free_talk(&talk);
    return exit_code;
}
