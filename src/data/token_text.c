/* Reads a text, lines of JSON with texts or token ids, or questions with choices. */
#include "data/token_text.h"

#include <stdio.h>
#include <string.h>

#include "base/array.h"
#include "base/file.h"
#include "base/json.h"

enum { TEXT_BYTES_MAX = 1 << 30, JSON_LINE_MAX = 16 << 20, CHOICES_MAX = 1024 };

/* Where a line comes from, and what it is read with. */
typedef struct TextReader {
    FbTokenText *text;
    const FbTokenizer *tokenizer;
    size_t vocabulary;
    const char *path;
    size_t line;
} TextReader;

void fb_token_text_reset(FbTokenText *text)
{
    fb_free(text->context, text->ids);
    fb_free(text->context, text->choices);
    fb_free(text->context, text->questions);
    memset(text, 0, sizeof *text);
}

static FbStatus add_id(const TextReader *reader, int64_t id, FbError *err)
{
    FbTokenText *text = reader->text;
    if (id < 0 || (uint64_t)id >= reader->vocabulary) {
        return fb_error_set(err, FB_ERR_ARGUMENT, "token id %lld, but the model's vocabulary has %zu", (long long)id, reader->vocabulary);
    }
    if (!fb_array_reserve_bytes(text->context, (void **)&text->ids, text->count, &text->capacity, sizeof *text->ids)) {
        return fb_error_memory(text->context, err, "token ids", text->count * sizeof *text->ids);
    }
    text->ids[text->count++] = (int32_t)id;
    return FB_OK;
}

static FbStatus add_text(const TextReader *reader, const char *bytes, size_t count, FbError *err)
{
    int32_t *ids = NULL;
    size_t id_count = 0;
    if (reader->tokenizer == NULL) {
        return fb_error_set(err, FB_ERR_ARGUMENT, "text needs the model's tokenizer: none is beside the model; name it with --tokenizer FILE");
    }
    FbStatus status = fb_tokenizer_encode(reader->tokenizer, bytes, count, FB_TOKENS_ADD_SPECIAL, &ids, &id_count, err);
    for (size_t i = 0; i < id_count && status == FB_OK; i++) {
        status = add_id(reader, ids[i], err);
    }
    fb_tokens_free(reader->text->context, ids);
    return status;
}

static FbStatus add_ids(const TextReader *reader, const json_t *ids, FbError *err)
{
    size_t count = json_array_size(ids);
    for (size_t i = 0; i < count; i++) {
        const json_t *id = json_array_get(ids, i);
        if (!json_is_integer(id)) {
            return fb_error_set(err, FB_ERR_FORMAT, "\"ids\" must be whole numbers");
        }
        FB_TRY(add_id(reader, json_integer_value(id), err));
    }
    return FB_OK;
}

/* ---- questions ---- */

static size_t count_characters(const char *text)
{
    size_t count = 0;
    for (; *text; text++) {
        count += ((unsigned char)*text & 0xc0) != 0x80;
    }
    return count > 0 ? count : 1;
}

static bool is_space(char c) { return c == ' ' || c == '\n' || c == '\t'; }

/* The tokens of the question with the answer, of which those beyond the question's own count as the answer's. A space stands between both,
 * unless there is one. */
static FbStatus add_choice(const TextReader *reader, const char *question, const char *answer, FbError *err)
{
    FbTokenText *text = reader->text;
    FbTokenChoice choice = {.offset = text->count, .characters = count_characters(answer)};
    size_t length = strlen(question), answer_length = strlen(answer);
    while (length > 0 && is_space(question[length - 1])) {
        length--;
    }
    FB_TRY(add_text(reader, question, length, err));
    choice.answer = text->count - choice.offset;
    text->count = choice.offset;
    bool spaced = length > 0 && question[length] == '\0' && !is_space(answer[0]);
    size_t gap = spaced ? 1 : strlen(question + length);
    char *whole = fb_alloc(text->context, length + gap + answer_length + 1);
    if (whole == NULL) {
        return fb_error_memory(text->context, err, "a question", length + answer_length);
    }
    memcpy(whole, question, length);
    memcpy(whole + length, spaced ? " " : question + length, gap);
    memcpy(whole + length + gap, answer, answer_length);
    FbStatus status = add_text(reader, whole, length + gap + answer_length, err);
    fb_free(text->context, whole);
    FB_TRY(status);
    choice.count = text->count - choice.offset;
    if (choice.count < 2) {
        return fb_error_set(err, FB_ERR_FORMAT, "a question and a choice of %zu tokens together: there is none to score", choice.count);
    }
    choice.answer = choice.answer < 1 ? 1 : choice.answer < choice.count ? choice.answer : choice.count - 1;
    if (!fb_array_reserve_bytes(text->context, (void **)&text->choices, text->choice_count, &text->choice_capacity, sizeof choice)) {
        return fb_error_memory(text->context, err, "choices", text->choice_count * sizeof choice);
    }
    text->choices[text->choice_count++] = choice;
    return FB_OK;
}

static FbStatus add_question(const TextReader *reader, const json_t *document, FbError *err)
{
    static const char *const keys[] = {"question", "context", "choices", "answer"};
    FbTokenText *text = reader->text;
    const json_t *choices = json_object_get(document, "choices");
    const char *question = NULL, *before = NULL;
    FbTokenQuestion added = {.first = text->choice_count, .count = json_array_size(choices)};
    int64_t right = -1;
    FB_TRY(fb_json_check_keys(document, keys, 4, "the question", err));
    FB_TRY(fb_json_get_string(document, "question", "the question", &question, err));
    FB_TRY(fb_json_get_string(document, "context", "the question", &before, err));
    if ((question == NULL) == (before == NULL)) {
        return fb_error_set(err, FB_ERR_FORMAT, "a line with \"choices\" has \"question\" or \"context\", one of them");
    }
    if (added.count < 2 || added.count > CHOICES_MAX) {
        return fb_error_set(err, FB_ERR_FORMAT, "\"choices\" must be 2 to %d texts", CHOICES_MAX);
    }
    FB_TRY(fb_json_get_int(document, "answer", "the question", 0, (int64_t)added.count - 1, &right, err));
    if (right < 0) {
        return fb_error_set(err, FB_ERR_FORMAT, "\"answer\" is missing: which of the choices is right, from 0");
    }
    added.right = (size_t)right;
    for (size_t i = 0; i < added.count; i++) {
        const char *answer = json_string_value(json_array_get(choices, i));
        if (answer == NULL) {
            return fb_error_set(err, FB_ERR_FORMAT, "\"choices\" must be texts");
        }
        FB_TRY(add_choice(reader, question != NULL ? question : before, answer, err));
    }
    if (!fb_array_reserve_bytes(text->context, (void **)&text->questions, text->question_count, &text->question_capacity, sizeof added)) {
        return fb_error_memory(text->context, err, "questions", text->question_count * sizeof added);
    }
    text->questions[text->question_count++] = added;
    return FB_OK;
}

/* ---- lines ---- */

static FbStatus add_document(const TextReader *reader, const json_t *document, FbError *err)
{
    static const char *const keys[] = {"text", "ids"};
    FbTokenText *text = reader->text;
    bool is_choice = json_object_get(document, "choices") != NULL, first = text->count == 0 && text->question_count == 0;
    if (!json_is_object(document)) {
        return fb_error_set(err, FB_ERR_FORMAT, "expected an object");
    }
    if (!first && is_choice != text->is_choice) {
        return fb_error_set(err, FB_ERR_FORMAT, "questions and texts do not mix");
    }
    text->is_choice = is_choice;
    if (is_choice) {
        return add_question(reader, document, err);
    }
    const json_t *ids = json_object_get(document, "ids");
    const char *words = NULL;
    FB_TRY(fb_json_check_keys(document, keys, 2, "the line", err));
    FB_TRY(fb_json_get_string(document, "text", "the line", &words, err));
    if ((words == NULL) == (ids == NULL) || (ids != NULL && !json_is_array(ids))) {
        return fb_error_set(err, FB_ERR_FORMAT, "a line has \"text\", or \"ids\" as an array");
    }
    return ids != NULL ? add_ids(reader, ids, err) : add_text(reader, words, json_string_length(json_object_get(document, "text")), err);
}

static FbStatus add_line(const TextReader *reader, const char *line, size_t bytes, FbError *err)
{
    json_t *document = NULL;
    char where[64];
    FbStatus status = fb_check_cancel(reader->text->context, err);
    if (status != FB_OK) {
        return status;
    }
    snprintf(where, sizeof where, "line %zu", reader->line);
    status = fb_json_parse(line, bytes, JSON_LINE_MAX, where, &document, err);
    if (status == FB_OK) {
        status = add_document(reader, document, err);
        status = status == FB_OK ? FB_OK : fb_error_context(err, status, "%s", where);
    }
    json_decref(document);
    return status == FB_OK ? FB_OK : fb_error_context(err, status, "%s", reader->path);
}

static bool is_blank(char c) { return is_space(c) || c == '\r'; }

static FbStatus add_lines(TextReader *reader, const char *data, size_t bytes, FbError *err)
{
    reader->line = 0;
    for (size_t at = 0; at < bytes;) {
        const char *line = data + at, *end = memchr(line, '\n', bytes - at);
        size_t length = end != NULL ? (size_t)(end - line) : bytes - at;
        reader->line++;
        at += length + 1;
        size_t blank = 0; /* not strspn, which would go on through all blank lines that follow */
        while (blank < length && is_blank(line[blank])) {
            blank++;
        }
        if (blank < length) {
            FB_TRY(add_line(reader, line, length, err));
        }
    }
    return FB_OK;
}

/* A text by its name, or when the first line is no JSON object. */
static bool is_plain_text(const char *path, const char *data, size_t bytes)
{
    size_t length = strlen(path), blank = strspn(data, " \t\r\n");
    return (length > 4 && strcmp(path + length - 4, ".txt") == 0) || blank == bytes || data[blank] != '{';
}

/* What the tokenizer puts before every text is seen in a text. */
static FbStatus find_bos(FbTokenText *text, const FbTokenizer *tokenizer, FbError *err)
{
    int32_t *ids = NULL, bos = fb_tokenizer_special(tokenizer, FB_TOKEN_BOS);
    size_t count = 0;
    FB_TRY(fb_tokenizer_encode(tokenizer, "a", 1, FB_TOKENS_ADD_SPECIAL, &ids, &count, err));
    text->bos = count > 0 && ids[0] == bos ? bos : -1;
    fb_tokens_free(text->context, ids);
    return FB_OK;
}

FbStatus fb_token_text_parse(FbTokenText *text, FbContext *context, const FbTokenizer *tokenizer, const char *name, const char *data, size_t bytes,
                             size_t vocabulary, FbError *err)
{
    TextReader reader = {.text = text, .tokenizer = tokenizer, .vocabulary = vocabulary, .path = name};
    *text = (FbTokenText){.context = context, .bos = -1};
    if (tokenizer != NULL) {
        FB_TRY(find_bos(text, tokenizer, err));
    }
    if (!is_plain_text(name, data, bytes)) {
        return add_lines(&reader, data, bytes, err);
    }
    const char *zero = memchr(data, '\0', bytes);
    FbStatus status = zero != NULL ? fb_error_set(err, FB_ERR_FORMAT, "byte %zu is zero: no text", (size_t)(zero - data)) : add_text(&reader, data, bytes, err);
    return status == FB_OK ? FB_OK : fb_error_context(err, status, "%s", name);
}

FbStatus fb_token_text_load(FbTokenText *text, FbContext *context, const FbTokenizer *tokenizer, const char *path, size_t vocabulary, FbError *err)
{
    char *data = NULL;
    size_t bytes = 0;
    *text = (FbTokenText){.context = context, .bos = -1};
    FB_TRY(fb_file_read_all(context, path, TEXT_BYTES_MAX, &data, &bytes, err));
    FbStatus status = fb_token_text_parse(text, context, tokenizer, path, data, bytes, vocabulary, err);
    fb_free(context, data);
    return status;
}
