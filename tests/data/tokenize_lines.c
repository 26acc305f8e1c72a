/* For tests/judge: texts in hexadecimal, a line each, on standard input; ids and the decoded text in hexadecimal on standard output.
 * usage: tokenize_lines TOKENIZER [plain]     plain: no special tokens, neither around a text nor in it */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "fewbit/model.h"
#include "fewbit/tokenizer.h"

static int run_line(FbContext *context, const FbTokenizer *tokenizer, unsigned flags, char *line, FbError *err)
{
    size_t bytes = strcspn(line, "\r\n") / 2, count, decoded_bytes;
    int32_t *ids;
    char *decoded;
    for (size_t i = 0; i < bytes; i++) {
        unsigned value;
        if (sscanf(line + 2 * i, "%2x", &value) != 1) {
            return 0;
        }
        line[i] = (char)value; /* i <= 2 * i: what is left to read stays */
    }
    if (fb_tokenizer_encode(tokenizer, line, bytes, flags, &ids, &count, err) != FB_OK ||
        fb_tokenizer_decode(tokenizer, ids, count, 0, &decoded, &decoded_bytes, err) != FB_OK) {
        return 0;
    }
    for (size_t i = 0; i < count; i++) {
        printf(i == 0 ? "%d" : " %d", (int)ids[i]);
    }
    printf("\t");
    for (size_t i = 0; i < decoded_bytes; i++) {
        printf("%02x", (unsigned char)decoded[i]);
    }
    printf("\n");
    fb_tokens_free(context, ids);
    fb_text_free(context, decoded);
    return 1;
}

int main(int count, char **arguments)
{
    enum { LINE_MAX_BYTES = 1 << 22 };
    FbContext *context = NULL;
    FbTokenizer *tokenizer = NULL;
    FbError err = {FB_OK, "usage: tokenize_lines TOKENIZER [plain]"};
    char *line = malloc(LINE_MAX_BYTES);
    unsigned flags = count == 3 ? 0 : FB_TOKENS_ADD_SPECIAL | FB_TOKENS_PARSE_SPECIAL;
    int ok = (count == 2 || (count == 3 && strcmp(arguments[2], "plain") == 0)) && line != NULL && fb_context_create(NULL, &context, &err) == FB_OK &&
             fb_tokenizer_open(context, arguments[1], &tokenizer, &err) == FB_OK;
    while (ok && fgets(line, LINE_MAX_BYTES, stdin) != NULL) {
        ok = run_line(context, tokenizer, flags, line, &err);
    }
    if (!ok) {
        fprintf(stderr, "%s\n", err.message);
    }
    fb_tokenizer_free(tokenizer);
    fb_context_free(context);
    free(line);
    return !ok;
}
