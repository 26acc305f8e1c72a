/* fewbit generate MODEL: text from a language model. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "console.h"
#include "generate_text.h"
#include "options.h"

enum { TOKENS_DEFAULT = 128, CHAT_TOKENS_DEFAULT = 1024 };

typedef struct GeneratedText { /* of one prompt */
    FbTokenStream *stream;   /* NULL: ids only */
    char *text;
    size_t bytes, made;
    int32_t last;            /* the last id made, which a full context does not hold any more */
    const char *stop;        /* why it ended; NULL: not yet */
} GeneratedText;

int cli_generation_step(CliGeneration *run, int32_t *ids)
{
    FbError err;
    size_t made = 0, sequences = run->prompts.count ? run->prompts.count : 1;
    double begin = cli_seconds();
    if (fb_generator_step(run->generator, ids, &err) != FB_OK) {
        return cli_error(run->cli, &err);
    }
    double seconds = cli_seconds() - begin;
    for (size_t s = 0; s < sequences; s++) {
        made += ids[s] != FB_NO_TOKEN;
    }
    run->made_tokens += made;
    if (run->fed) {
        run->prompt_seconds += seconds;
        run->fed = 0;
    } else {
        run->generation_seconds += seconds;
        run->timed_tokens += made;
    }
    if (run->first_seconds == 0) {
        run->first_seconds = cli_seconds() - run->cli->started;
    }
    return 0;
}

void cli_generation_notes(CliGeneration *run)
{
    char prompt[64] = "", made[64] = "";
    if (run->prompt_seconds > 0) {
        snprintf(prompt, sizeof prompt, ", %.1f per second", (double)run->prompt_tokens / run->prompt_seconds);
    }
    if (run->generation_seconds > 0) {
        snprintf(made, sizeof made, ", %.1f per second", (double)run->timed_tokens / run->generation_seconds);
    }
    cli_note(run->cli, "prompt: %zu tokens%s; made: %zu tokens%s; first token after %.2f s (loading %.2f s); cache %s", run->prompt_tokens, prompt,
             run->made_tokens, made, run->first_seconds, run->load_seconds, cli_bytes(fb_generator_cache_bytes(run->generator)));
}

static int append(CliGeneration *run, GeneratedText *made, const char *text, size_t bytes)
{
    char *grown = realloc(made->text, made->bytes + bytes + 1);
    if (!grown) {
        FbError err = {FB_ERR_NO_MEMORY, "out of memory: the text"};
        return cli_error(run->cli, &err);
    }
    memcpy(grown + made->bytes, text, bytes);
    made->text = grown;
    made->bytes += bytes;
    grown[made->bytes] = '\0';
    if (run->prompts.count == 1 && run->cli->options.format != CLI_FORMAT_JSON) {
        cli_write_text(text, bytes);
    }
    return 0;
}

/* A token of one text, or the end of it. */
static int take_token(CliGeneration *run, size_t which, GeneratedText *made, int32_t id)
{
    const char *text;
    char number[16];
    size_t bytes, held = fb_generator_tokens(run->generator, which, NULL), context = fb_generator_context(run->generator);
    FbError err;
    if (run->tokenizer && fb_tokenizer_ends(run->tokenizer, id)) {
        made->stop = "end";
        return 0;
    }
    if (made->stream) {
        if (fb_token_stream_add(made->stream, id, &text, &bytes, &err) != FB_OK) {
            return cli_error(run->cli, &err);
        }
    } else {
        bytes = (size_t)snprintf(number, sizeof number, made->made ? " %d" : "%d", (int)id);
        text = number;
    }
    made->made++;
    made->last = id;
    made->stop = (int64_t)made->made >= run->limit ? "length" : held >= context ? "context" : NULL;
    return append(run, made, text, bytes);
}

static int finish_text(CliGeneration *run, GeneratedText *made)
{
    const char *text = "";
    size_t bytes = 0;
    if (made->stream) {
        fb_token_stream_end(made->stream, &text, &bytes);
    }
    return append(run, made, text, bytes);
}

/* Steps until every text has ended. */
static int make_texts(CliGeneration *run, GeneratedText *made)
{
    size_t count = run->prompts.count, left = count;
    int32_t *ids = malloc(count * sizeof *ids);
    int exit_code = 0;
    if (!ids) {
        FbError err = {FB_ERR_NO_MEMORY, "out of memory: a step"};
        return cli_error(run->cli, &err);
    }
    while (left > 0 && !exit_code) {
        exit_code = cli_generation_step(run, ids);
        for (size_t s = 0; s < count && !exit_code; s++) {
            if (!made[s].stop) {
                exit_code = take_token(run, s, &made[s], ids[s]);
                if (made[s].stop) {
                    fb_generator_cut(run->generator, s, SIZE_MAX); /* takes no further part */
                    exit_code = exit_code ? exit_code : finish_text(run, &made[s]);
                    left--;
                }
            }
        }
    }
    free(ids);
    return exit_code;
}

static int is_utf8(const char *text, size_t bytes)
{
    json_t *json = json_stringn(text, bytes);
    json_decref(json);
    return json != NULL;
}

/* A text may end in the middle of a character: bytes that are no UTF-8 become U+FFFD. */
static json_t *text_json(const char *text, size_t bytes)
{
    json_t *json = text ? json_stringn(text, bytes) : json_string("");
    char *mended = json ? NULL : malloc(3 * bytes + 1);
    size_t used = 0;
    for (size_t at = 0; mended && at < bytes;) {
        size_t length = 1;
        while (length < 4 && at + length < bytes && !is_utf8(text + at, length)) {
            length++;
        }
        int known = is_utf8(text + at, length);
        length = known ? length : 1;
        memcpy(mended + used, known ? text + at : "\xef\xbf\xbd", known ? length : 3);
        used += known ? length : 3;
        at += length;
    }
    json = mended ? json_stringn(mended, used) : json;
    free(mended);
    return json;
}

static int print_json(CliGeneration *run, const GeneratedText *made)
{
    json_t *document = cli_document("generate"), *results = json_array();
    json_object_set_new(document, "model", text_json(run->cli->operands[0], strlen(run->cli->operands[0])));
    for (size_t s = 0; s < run->prompts.count; s++) {
        const CliPrompt *prompt = &run->prompts.items[s];
        const int32_t *ids;
        size_t count = fb_generator_tokens(run->generator, s, &ids);
        json_t *row = json_object(), *list = json_array();
        if (prompt->text) {
            json_object_set_new(row, "prompt", text_json(prompt->text, strlen(prompt->text)));
        }
        json_object_set_new(row, "prompt_tokens", json_integer((json_int_t)prompt->count));
        json_object_set_new(row, "tokens", json_integer((json_int_t)made[s].made));
        for (size_t i = prompt->count; i < prompt->count + made[s].made; i++) {
            json_array_append_new(list, json_integer(i < count ? ids[i] : made[s].last));
        }
        json_object_set_new(row, "ids", list);
        json_object_set_new(row, "text", text_json(made[s].text, made[s].bytes));
        json_object_set_new(row, "stop", json_string(made[s].stop ? made[s].stop : ""));
        json_array_append_new(results, row);
    }
    json_object_set_new(document, "results", results);
    json_object_set_new(document, "load_seconds", json_real(run->load_seconds));
    json_object_set_new(document, "first_token_seconds", json_real(run->first_seconds));
    json_object_set_new(document, "prompt_tps", json_real(run->prompt_seconds > 0 ? (double)run->prompt_tokens / run->prompt_seconds : 0));
    json_object_set_new(document, "generation_tps",
                        json_real(run->generation_seconds > 0 ? (double)run->timed_tokens / run->generation_seconds : 0));
    json_object_set_new(document, "cache_bytes", json_integer((json_int_t)fb_generator_cache_bytes(run->generator)));
    return cli_print_document(run->cli, document);
}

/* Several texts are printed when all are done, each behind its prompt. */
static int print_texts(CliGeneration *run, const GeneratedText *made)
{
    if (run->cli->options.format == CLI_FORMAT_JSON) {
        return print_json(run, made);
    }
    if (run->prompts.count == 1) {
        cli_write_text("\n", 1);
        return 0;
    }
    for (size_t s = 0; s < run->prompts.count; s++) {
        const char *prompt = run->prompts.items[s].text;
        printf("%s[%zu] %s\n", s ? "\n" : "", s + 1, prompt ? cli_shown(prompt) : "");
        cli_write_text(made[s].text, made[s].bytes);
        cli_write_text("\n", 1);
    }
    return 0;
}

/* A stream that has seen the prompt: whether a text begins with a space, or in the middle of a character, is decided there. */
static FbStatus open_stream(CliGeneration *run, const CliPrompt *prompt, GeneratedText *made, FbError *err)
{
    const char *text;
    size_t bytes;
    FbStatus status = fb_token_stream_create(run->tokenizer, 0, &made->stream, err);
    for (size_t i = 0; i < prompt->count && status == FB_OK; i++) {
        status = fb_token_stream_add(made->stream, prompt->ids[i], &text, &bytes, err);
    }
    return status;
}

static int generate_texts(CliGeneration *run)
{
    size_t count = run->prompts.count;
    GeneratedText *made = calloc(count, sizeof *made);
    FbError err = {FB_ERR_NO_MEMORY, "out of memory: the texts"};
    int exit_code = 0;
    if (!made) {
        return cli_error(run->cli, &err);
    }
    for (size_t s = 0; s < count && !exit_code; s++) {
        const CliPrompt *prompt = &run->prompts.items[s];
        run->prompt_tokens += prompt->count;
        run->fed = 1;
        FbStatus status = fb_generator_feed(run->generator, s, prompt->ids, prompt->count, &err);
        if (status == FB_OK && run->tokenizer) {
            status = open_stream(run, prompt, &made[s], &err);
        }
        exit_code = status == FB_OK ? 0 : cli_error(run->cli, &err);
    }
    exit_code = exit_code ? exit_code : make_texts(run, made);
    if (!exit_code) {
        exit_code = print_texts(run, made);
    } else if (made[0].bytes > 0 && count == 1) {
        cli_write_text("\n", 1);
    }
    for (size_t s = 0; s < count; s++) {
        fb_token_stream_free(made[s].stream);
        free(made[s].text);
    }
    free(made);
    return exit_code;
}

static int check_options(Cli *cli)
{
    const CliOptions *o = &cli->options;
    size_t given = o->prompts.count + o->ids.count + (o->prompt_file != NULL);
    if (o->chat && (given > 0 || o->format == CLI_FORMAT_JSON)) {
        return cli_usage(cli, "--chat reads lines from the terminal; --prompt, --prompts, --ids and --json do not go with it");
    }
    if (!o->chat && given == 0) {
        return cli_usage(cli, "there is no prompt; give --prompt TEXT, --prompts FILE or --chat");
    }
    if (o->system && !o->chat) {
        return cli_usage(cli, "--system goes with --chat");
    }
    if (o->format == CLI_FORMAT_MD || o->format == CLI_FORMAT_CSV) {
        return cli_usage(cli, "text has no form md or csv; --json gives a document");
    }
    return 0;
}

static int open_generator(CliGeneration *run)
{
    Cli *cli = run->cli;
    const CliOptions *o = &cli->options;
    FbGeneratorOptions options = {.struct_bytes = sizeof options, .mode = cli_mode(cli, FB_MODE_INTEGER), .context = (uint64_t)run->positions,
                                  .sequences = run->prompts.count, .sampling = {.temperature = (float)o->temperature, .top_k = (int32_t)o->top_k,
                                  .top_p = (float)o->top_p, .min_p = (float)o->min_p, .seed = (uint64_t)o->seed}};
    FbError err;
    int exit_code = cli_cache_type(cli, &options.cache_type);
    if (!exit_code && o->top_k > INT32_MAX) {
        exit_code = cli_usage(cli, "--top-k is at most %d", INT32_MAX);
    }
    if (!exit_code && fb_generator_create(cli->context, run->model, &options, &run->generator, &err) != FB_OK) {
        exit_code = cli_error(cli, &err);
    }
    if (!exit_code && run->positions > fb_language_info(run->model)->context_length) {
        cli_warn(cli, "long-context", "a context of %lld tokens, but the model was made for %lld", (long long)run->positions,
                 (long long)fb_language_info(run->model)->context_length);
    }
    fb_model_free(run->model); /* its weights are packed now */
    run->model = NULL;
    return exit_code;
}

/* The positions that the longest prompt and what follows it need, where that is more than a model usually gets; otherwise --context. */
static int64_t positions_wanted(const CliGeneration *run)
{
    enum { USUAL = 4096 };
    int64_t most = 0;
    for (size_t i = 0; i < run->prompts.count; i++) {
        most = (int64_t)run->prompts.items[i].count > most ? (int64_t)run->prompts.items[i].count : most;
    }
    most = run->limit < INT32_MAX && most < INT32_MAX ? most + run->limit : most;
    return run->cli->options.positions || most <= USUAL ? run->cli->options.positions : most;
}

static int run(Cli *cli)
{
    const CliOptions *o = &cli->options;
    CliGeneration generation = {.cli = cli};
    int exit_code = check_options(cli);
    if (exit_code) {
        return exit_code;
    }
    int64_t otherwise = o->chat ? CHAT_TOKENS_DEFAULT : TOKENS_DEFAULT;
    generation.limit = o->token_limit < 0 ? otherwise : o->token_limit == 0 ? INT64_MAX : o->token_limit;
    double begin = cli_seconds();
    int ids_only = o->ids.count > 0 && o->prompts.count == 0 && !o->prompt_file;
    if (!cli_is_language(cli, cli->operands[0])) {
        return cli_load_language(cli, cli->context, cli->operands[0], 0, &generation.model); /* says what it is instead */
    }
    exit_code = cli_load_tokenizer(cli, cli->operands[0], ids_only, &generation.tokenizer);
    exit_code = exit_code || o->chat ? exit_code : cli_read_prompts(&generation);
    generation.positions = positions_wanted(&generation);
    exit_code = exit_code ? exit_code : cli_load_language(cli, cli->context, cli->operands[0], generation.positions, &generation.model);
    if (!exit_code) {
        cli_check_tokenizer(cli, generation.tokenizer, generation.model);
        exit_code = open_generator(&generation);
    }
    generation.load_seconds = cli_seconds() - begin;
    exit_code = exit_code ? exit_code : o->chat ? cli_chat(&generation) : generate_texts(&generation);
    if (generation.generator && generation.first_seconds > 0) {
        cli_generation_notes(&generation);
    }
    fb_generator_free(generation.generator);
    fb_tokenizer_free(generation.tokenizer);
    fb_model_free(generation.model);
    cli_free_prompts(&generation.prompts);
    return exit_code;
}

static const char *const examples[] = {
    "fewbit generate SmolLM2-135M-Instruct/ -p \"Once upon a time\" -n 64", "text from a Hugging Face folder",
    "fewbit generate model.gguf --chat --temperature 0.7 --top-p 0.9", "talk to it",
    "fewbit generate model.gguf --prompts questions.txt --json", "many prompts at a time, as a document", NULL};

const CliCommand cli_generate = {
    .name = "generate",
    .summary = "text from a language model",
    .operands = "MODEL (-p TEXT | --prompts FILE | --ids N,N,... | --chat)",
    .mask = CLI_GENERATE,
    .least_operands = 1,
    .most_operands = 1,
    .run = run,
    .description = "Goes on from a prompt, token by token, and prints the text as it comes. MODEL is a Hugging Face folder, a safetensors or GGUF file, or a "
                   ".bin of llama2.c; the tokenizer lies in or beside it. Low-bit weights are multiplied as they are, with activations rounded to blocks "
                   "of 8 bits on the fly (--mode float leaves them). Without --temperature the most probable token is taken every time, and the text "
                   "depends on nothing but model and prompt; with it, on the seed, too. Several prompts are made in one batch, each as if it were alone.",
    .examples = examples};
