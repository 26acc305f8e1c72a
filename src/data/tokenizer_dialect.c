/* Oniguruma to PCRE2: the two agree on most of what tokenizers use; the rest is rewritten or refused, see tokenizer_dialect.h. */
#include "data/tokenizer_dialect.h"

#include <stdio.h>
#include <string.h>

#define SPACE "\\t-\\r\\x{85}\\p{Z}"         /* White_Space; PCRE2's own \s has U+180E too */
#define WORD "\\p{L}\\p{M}\\p{Nd}\\p{Pc}"    /* PCRE2's own \w lacks marks */

typedef struct Dialect {
    const char *regex;
    size_t bytes, at;
    bool in_class;
    FbText *out;
    FbError *err;
} Dialect;

static char peek(const Dialect *dialect, size_t ahead)
{
    return dialect->at + ahead < dialect->bytes ? dialect->regex[dialect->at + ahead] : '\0';
}

static FbStatus refuse(const Dialect *dialect, size_t count, const char *why)
{
    char shown[40], piece[16];
    size_t left = dialect->bytes - dialect->at;
    count = count < left ? count : left;
    count = count < sizeof piece ? count : sizeof piece - 1;
    memcpy(piece, dialect->regex + dialect->at, count);
    piece[count] = '\0';
    return fb_error_set(dialect->err, FB_ERR_UNSUPPORTED, "the pattern has '%s' at byte %zu: %s", fb_escape(piece, shown, sizeof shown),
                        dialect->at, why);
}

static void copy(Dialect *dialect, size_t count)
{
    fb_text_add_n(dialect->out, dialect->regex + dialect->at, count);
    dialect->at += count;
}

static void put(Dialect *dialect, const char *plain, const char *in_class, size_t taken)
{
    fb_text_add(dialect->out, dialect->in_class ? in_class : plain);
    dialect->at += taken;
}

static FbStatus unicode_escape(Dialect *dialect)
{
    char code[16] = "\\x{";
    for (size_t i = 0; i < 4; i++) {
        char digit = peek(dialect, 2 + i);
        if (digit == '\0' || strchr("0123456789abcdefABCDEF", digit) == NULL) {
            return refuse(dialect, 2, "four hexadecimal digits must follow");
        }
        code[3 + i] = digit;
    }
    strcpy(code + 7, "}");
    put(dialect, code, code, 6);
    return FB_OK;
}

static FbStatus escape(Dialect *dialect)
{
    char letter = peek(dialect, 1);
    switch (letter) {
    case 's':
        put(dialect, "[" SPACE "]", SPACE, 2);
        return FB_OK;
    case 'S':
        put(dialect, "[^" SPACE "]", "\\S", 2);
        return FB_OK;
    case 'w':
        put(dialect, "[" WORD "]", WORD, 2);
        return FB_OK;
    case 'W':
        put(dialect, "[^" WORD "]", "\\W", 2);
        return FB_OK;
    case 'h':
        put(dialect, "[0-9A-Fa-f]", "0-9A-Fa-f", 2);
        return FB_OK;
    case 'v':
        put(dialect, "\\x0b", "\\x0b", 2);
        return FB_OK;
    case 'u':
        return unicode_escape(dialect);
    default:
        break;
    }
    bool letter_or_digit = (letter >= 'a' && letter <= 'z') || (letter >= 'A' && letter <= 'Z') || (letter >= '0' && letter <= '9');
    if (letter == '\0' || (letter_or_digit && strchr(dialect->in_class ? "dDpPtnrfaex" : "dDpPtnrfaexbBAzZX", letter) == NULL)) {
        return refuse(dialect, 2, "this escape is not supported");
    }
    size_t length = 2;
    if ((letter == 'p' || letter == 'P' || letter == 'x') && peek(dialect, 2) == '{') {
        while (peek(dialect, length) != '\0' && peek(dialect, length) != '}') {
            length++;
        }
        length += peek(dialect, length) == '}';
    }
    copy(dialect, length);
    return FB_OK;
}

static FbStatus in_class(Dialect *dialect)
{
    char here = peek(dialect, 0);
    if (here == '[' && peek(dialect, 1) == ':') {
        const char *start = dialect->regex + dialect->at, *end = dialect->regex + dialect->bytes;
        size_t length = 2;
        while (start + length + 1 < end && !(start[length] == ':' && start[length + 1] == ']')) {
            length++;
        }
        if (start + length + 1 >= end) {
            return refuse(dialect, 2, "the class does not end");
        }
        copy(dialect, length + 2);
        return FB_OK;
    }
    if (here == '[' || (here == '&' && peek(dialect, 1) == '&')) {
        return refuse(dialect, 2, "sets of sets are not supported");
    }
    dialect->in_class = here != ']';
    copy(dialect, 1);
    return FB_OK;
}

/* "(" and what says which group it is. */
static FbStatus group(Dialect *dialect)
{
    if (peek(dialect, 1) == '*') {
        return refuse(dialect, 8, "verbs are not supported");
    }
    if (peek(dialect, 1) != '?') {
        copy(dialect, 1);
        return FB_OK;
    }
    char kind = peek(dialect, 2);
    if (kind == ':' || kind == '=' || kind == '!' || kind == '>') {
        copy(dialect, 3);
        return FB_OK;
    }
    if (kind == '<' && (peek(dialect, 3) == '=' || peek(dialect, 3) == '!')) {
        copy(dialect, 4);
        return FB_OK;
    }
    size_t length = 2;
    while (peek(dialect, length) == 'i' || peek(dialect, length) == '-') {
        length++;
    }
    bool alone = peek(dialect, length) == ')'; /* in Oniguruma it takes the alternatives behind it into a group: the same at the start only */
    if (length > 2 && (peek(dialect, length) == ':' || (alone && dialect->at == 0))) {
        copy(dialect, length + 1);
        return FB_OK;
    }
    return refuse(dialect, 8, "groups of this kind are not supported");
}

/* "{2,3}": Oniguruma knows "{,3}" but not "{,}", reads a plus behind an interval as one more repetition, and "{2}?" as "not at all, or twice". */
static FbStatus interval(Dialect *dialect)
{
    size_t length = 1;
    while (peek(dialect, length) != '\0' && strchr("0123456789,", peek(dialect, length)) != NULL) {
        length++;
    }
    bool numbers = memchr(dialect->regex + dialect->at, ',', length) == NULL, comma = length == 2 && !numbers;
    if (peek(dialect, length) != '}' || length == 1 || comma) {
        fb_text_add(dialect->out, "\\");
        copy(dialect, 1);
        return FB_OK;
    }
    if (peek(dialect, length + 1) == '+' || (numbers && peek(dialect, length + 1) == '?')) {
        return refuse(dialect, length + 2, "repeated intervals are not supported");
    }
    fb_text_add(dialect->out, peek(dialect, 1) == ',' ? "{0" : "{");
    dialect->at++;
    copy(dialect, length);
    return FB_OK;
}

FbStatus fb_dialect_translate(const char *regex, size_t bytes, FbText *out, FbError *err)
{
    Dialect dialect = {regex, bytes, 0, false, out, err};
    while (dialect.at < bytes) {
        char here = regex[dialect.at];
        if (here == '\\') {
            FB_TRY(escape(&dialect));
        } else if (dialect.in_class) {
            FB_TRY(in_class(&dialect));
        } else if (here == '[') {
            dialect.in_class = true;
            copy(&dialect, peek(&dialect, 1) == '^' ? 2 : 1);
            copy(&dialect, peek(&dialect, 0) == ']'); /* the first one does not end the class */
        } else if (here == '(') {
            FB_TRY(group(&dialect));
        } else if (here == '{') {
            FB_TRY(interval(&dialect));
        } else {
            copy(&dialect, 1);
        }
    }
    return FB_OK;
}
