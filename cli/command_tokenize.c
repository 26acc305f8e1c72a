/* fewbit tokenize MODEL -p TEXT | --ids N,N,... */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "console.h"
#include "generate_text.h"
#include "tokenizer_input.h"

/* The tokens of one text as rows; a NUL inside a piece ends what is shown of it. */
static int add_tokens(Cli *cli, const FbTokenizer *tokenizer, const char *text, FbTable *table, json_t *texts)
{
    int32_t *ids;
    size_t count;
    FbError err;
    json_t *list = json_array();
    if (fb_tokenizer_encode(tokenizer, text, strlen(text), FB_TOKENS_ADD_SPECIAL | FB_TOKENS_PARSE_SPECIAL, &ids, &count, &err) != FB_OK) {
        json_decref(list);
        return cli_error(cli, &err);
    }
    for (size_t i = 0; i < count; i++) {
        size_t bytes;
        char number[16];
        const char *piece = fb_tokenizer_piece(tokenizer, ids[i], &bytes);
        snprintf(number, sizeof number, "%ld", (long)ids[i]);
        fb_table_add(table, (const char *const[]){number, piece});
        json_array_append_new(list, json_integer(ids[i]));
    }
    fb_tokens_free(cli->context, ids);
    if (json_array_append_new(texts, json_pack("{s:s, s:o}", "text", text, "ids", list)) != 0 && cli->options.format == CLI_FORMAT_JSON) {
        return cli_usage(cli, "the text is no UTF-8, which JSON cannot hold");
    }
    return 0;
}

static int print_text(Cli *cli, const FbTokenizer *tokenizer, const char *list)
{
    int32_t *ids = NULL;
    size_t count, bytes;
    char *text;
    FbError err;
    int exit_code = cli_parse_ids(cli, list, &ids, &count);
    if (!exit_code && fb_tokenizer_decode(tokenizer, ids, count, FB_TOKENS_SHOW_SPECIAL, &text, &bytes, &err) != FB_OK) {
        exit_code = cli_error(cli, &err);
    } else if (!exit_code) {
        cli_write_text(text, bytes);
        cli_write_text("\n", 1);
        fb_text_free(cli->context, text);
    }
    free(ids);
    return exit_code;
}

static int print_tokens(Cli *cli, const FbTokenizer *tokenizer)
{
    static const FbColumn columns[] = {{"id", 1}, {"piece", 0}};
    const CliList *prompts = &cli->options.prompts;
    FbTable *table = NULL;
    FbError err;
    json_t *texts = json_array();
    int exit_code = fb_table_create(cli->context, columns, 2, &table, &err) == FB_OK ? 0 : cli_error(cli, &err);
    for (size_t i = 0; i < prompts->count && !exit_code; i++) {
        exit_code = add_tokens(cli, tokenizer, prompts->items[i], table, texts);
    }
    if (!exit_code && cli->options.format == CLI_FORMAT_JSON) {
        exit_code = cli_print_document(cli, json_pack("{s:s, s:s, s:s, s:I, s:O}", "schema", "fewbit.tokenize/1", "version", fb_version(), "kind",
                                                      fb_tokenizer_kind(tokenizer), "tokens", (json_int_t)fb_tokenizer_count(tokenizer), "texts", texts));
    } else if (!exit_code) {
        exit_code = cli_table(cli, table, "tokens", 1);
    }
    fb_table_free(table);
    json_decref(texts);
    return exit_code;
}

static int run(Cli *cli)
{
    FbTokenizer *tokenizer = NULL;
    if (cli->options.prompts.count == 0 && cli->options.ids.count == 0) {
        return cli_usage(cli, "what is to be done? -p TEXT gives its tokens, --ids 1,2,3 their text");
    }
    int exit_code = cli_load_tokenizer(cli, cli->operands[0], 0, &tokenizer);
    if (!exit_code && cli->options.prompts.count > 0) {
        exit_code = print_tokens(cli, tokenizer);
    }
    for (size_t i = 0; i < cli->options.ids.count && !exit_code; i++) {
        exit_code = print_text(cli, tokenizer, cli->options.ids.items[i]);
    }
    fb_tokenizer_free(tokenizer);
    return exit_code;
}

static const char *const examples[] = {"fewbit tokenize model.gguf -p \"Once upon a time\"", "ids and pieces, with what the model expects around a text",
                                       "fewbit tokenize HF_DIR --ids 1,403,407", "the text of tokens", NULL};

const CliCommand cli_tokenize = {
    .name = "tokenize",
    .summary = "the tokens of a text, or the text of tokens",
    .operands = "MODEL (-p TEXT | --ids N,N,...)",
    .mask = CLI_TOKENIZE,
    .least_operands = 1,
    .most_operands = 1,
    .run = run,
    .description = "Reads the tokenizer in or beside MODEL (a Hugging Face folder, a GGUF file, a .bin of llama2.c), or a tokenizer.json, a SentencePiece "
                   ".model, or vocab.json with merges.txt. Names of special tokens in the text become those tokens.",
    .examples = examples};
