/* Searching within limits, see tokenizer_pattern.h. */
#include "data/tokenizer_pattern.h"

#include <string.h>

#define PCRE2_CODE_UNIT_WIDTH 8
#include <pcre2.h>

#include "base/text.h"
#include "data/tokenizer_dialect.h"

enum {
    TEXT_MAX = 1024,              /* bytes of a fixed text */
    DEPTH_MAX = 64,               /* parentheses inside each other */
    HEAP_KIB = 64 << 10,          /* of the interpreter */
    STACK_FIRST = 32 << 10, STACK_MAX = 8 << 20, /* of compiled patterns, once theirs of 32 KiB is not enough */
    WINDOW_LEAST = 16             /* starts that are tried before the clock is read */
};
static const double seconds_least = 2.0, seconds_per_byte = 2e-6; /* a hundred times what the patterns in use need */

struct FbPattern {
    FbContext *context;
    pcre2_general_context *memory;
    pcre2_code *code; /* NULL: a fixed text */
    char *text;
    size_t bytes;
};

struct FbPatternRun {
    FbContext *context;
    const FbPattern *pattern;
    pcre2_match_context *limits;
    pcre2_match_data *match;
    pcre2_jit_stack *stack;
    bool interpreted;
    size_t window;
    double last, spent; /* seconds: when the clock was read; in all searches */
    double seen;        /* bytes */
};

static void *allocate(size_t bytes, void *context) { return fb_alloc(context, bytes); }
static void release(void *pointer, void *context) { fb_free(context, pointer); }

static FbStatus create(FbContext *context, FbPattern **out, FbError *err)
{
    FbPattern *pattern = fb_alloc_zero(context, sizeof *pattern);
    *out = NULL;
    if (pattern == NULL) {
        return fb_error_memory(context, err, "a pattern", sizeof *pattern);
    }
    pattern->context = context;
    *out = pattern;
    return FB_OK;
}

FbStatus fb_pattern_text(FbContext *context, const char *text, size_t bytes, FbPattern **out, FbError *err)
{
    *out = NULL;
    if (bytes == 0 || bytes > TEXT_MAX) {
        return fb_error_set(err, FB_ERR_FORMAT, "a text to look for has %zu bytes, expected 1 to %d", bytes, TEXT_MAX);
    }
    FB_TRY(create(context, out, err));
    (*out)->text = fb_alloc(context, bytes);
    (*out)->bytes = bytes;
    if ((*out)->text == NULL) {
        fb_pattern_free(*out);
        *out = NULL;
        return fb_error_memory(context, err, "a pattern", bytes);
    }
    memcpy((*out)->text, text, bytes);
    return FB_OK;
}

static FbStatus compile(FbPattern *pattern, const FbText *translated, FbError *err)
{
    int problem = 0;
    size_t place = 0;
    pattern->memory = pcre2_general_context_create(allocate, release, pattern->context);
    pcre2_compile_context *settings = pattern->memory != NULL ? pcre2_compile_context_create(pattern->memory) : NULL;
    if (settings == NULL) {
        return fb_error_memory(pattern->context, err, "a pattern", 0);
    }
    pcre2_set_parens_nest_limit(settings, DEPTH_MAX);
    uint32_t options = PCRE2_UTF | PCRE2_UCP | PCRE2_MULTILINE | PCRE2_NEVER_BACKSLASH_C | PCRE2_NO_AUTO_CAPTURE | PCRE2_USE_OFFSET_LIMIT;
    pattern->code = pcre2_compile((PCRE2_SPTR)translated->data, translated->length, options, &problem, &place, settings);
    pcre2_compile_context_free(settings);
    if (pattern->code == NULL && problem == PCRE2_ERROR_HEAP_FAILED) {
        return fb_error_memory(pattern->context, err, "a pattern", 0);
    }
    if (pattern->code == NULL) {
        char message[128] = "";
        pcre2_get_error_message(problem, (PCRE2_UCHAR *)message, sizeof message);
        return fb_error_set(err, FB_ERR_FORMAT, "the pattern is not valid: %s (byte %zu as PCRE2 reads it)", message, place);
    }
    (void)pcre2_jit_compile(pattern->code, PCRE2_JIT_COMPLETE); /* where that is not to be had, the interpreter gives the same answers */
    return FB_OK;
}

FbStatus fb_pattern_regex(FbContext *context, const char *regex, size_t bytes, FbPattern **out, FbError *err)
{
    FbText translated;
    *out = NULL;
    if (bytes == 0 || bytes > FB_PATTERN_BYTES_MAX) {
        return fb_error_set(err, bytes == 0 ? FB_ERR_FORMAT : FB_ERR_BUDGET, "a pattern of %zu bytes, expected 1 to %d", bytes,
                            FB_PATTERN_BYTES_MAX);
    }
    FB_TRY(create(context, out, err));
    fb_text_init(&translated, context);
    FbStatus status = fb_dialect_translate(regex, bytes, &translated, err);
    if (status == FB_OK) {
        status = translated.failed ? fb_error_memory(context, err, "a pattern", bytes) : compile(*out, &translated, err);
    }
    fb_text_reset(&translated);
    if (status != FB_OK) {
        fb_pattern_free(*out);
        *out = NULL;
    }
    return status;
}

void fb_pattern_free(FbPattern *pattern)
{
    if (pattern != NULL) {
        pcre2_code_free(pattern->code);
        pcre2_general_context_free(pattern->memory);
        fb_free(pattern->context, pattern->text);
        fb_free(pattern->context, pattern);
    }
}

FbStatus fb_pattern_start(FbContext *context, const FbPattern *pattern, FbPatternRun **out, FbError *err)
{
    FbPatternRun *run = fb_alloc_zero(context, sizeof *run);
    *out = run;
    if (run == NULL) {
        return fb_error_memory(context, err, "a search", sizeof *run);
    }
    run->context = context;
    run->pattern = pattern;
    run->window = WINDOW_LEAST;
    if (pattern->code == NULL) {
        return FB_OK;
    }
    run->limits = pcre2_match_context_create(pattern->memory);
    run->match = run->limits != NULL ? pcre2_match_data_create(1, pattern->memory) : NULL;
    if (run->match == NULL) {
        fb_pattern_end(run);
        *out = NULL;
        return fb_error_memory(context, err, "a search", 0);
    }
    pcre2_set_heap_limit(run->limits, HEAP_KIB);
    return FB_OK;
}

void fb_pattern_end(FbPatternRun *run)
{
    if (run != NULL) {
        pcre2_match_data_free(run->match);
        pcre2_match_context_free(run->limits);
        pcre2_jit_stack_free(run->stack);
        fb_free(run->context, run);
    }
}

static bool find_text(const FbPattern *pattern, const char *text, size_t bytes, size_t from, size_t *begin)
{
    while (bytes - from >= pattern->bytes) {
        const char *first = memchr(text + from, pattern->text[0], bytes - from - pattern->bytes + 1);
        if (first == NULL) {
            return false;
        }
        if (memcmp(first, pattern->text, pattern->bytes) == 0) {
            *begin = (size_t)(first - text);
            return true;
        }
        from = (size_t)(first - text) + 1;
    }
    return false;
}

/* One search from `from` on that begins at most `window` bytes further; the stack grows, or the interpreter takes over, when it must. */
static int search(FbPatternRun *run, const char *text, size_t bytes, size_t from)
{
    pcre2_set_offset_limit(run->limits, bytes - from > run->window ? from + run->window : bytes);
    for (;;) {
        uint32_t options = PCRE2_NO_UTF_CHECK | (run->interpreted ? PCRE2_NO_JIT : 0);
        int answer = pcre2_match(run->pattern->code, (PCRE2_SPTR)text, bytes, from, options, run->match, run->limits);
        if (answer != PCRE2_ERROR_JIT_STACKLIMIT || run->interpreted) {
            return answer;
        }
        if (run->stack == NULL && (run->stack = pcre2_jit_stack_create(STACK_FIRST, STACK_MAX, run->pattern->memory)) != NULL) {
            pcre2_jit_stack_assign(run->limits, NULL, run->stack);
        } else {
            run->interpreted = true;
        }
    }
}

static FbStatus stopped(const FbPatternRun *run, int answer, size_t from, FbError *err)
{
    if (answer == PCRE2_ERROR_NOMEMORY) {
        return fb_error_memory(run->context, err, "a search", 0);
    }
    bool limit = answer == PCRE2_ERROR_MATCHLIMIT || answer == PCRE2_ERROR_DEPTHLIMIT || answer == PCRE2_ERROR_HEAPLIMIT || answer >= 0 ||
                 answer == PCRE2_ERROR_NOMATCH;
    return fb_error_set(err, limit ? FB_ERR_BUDGET : FB_ERR_INTERNAL,
                        "the tokenizer's pattern takes too long on this text (at byte %zu of a piece; PCRE2's code %d)", from, answer);
}

/* Whether the search has had its time; the clock is read once a call. */
static bool late(FbPatternRun *run, double *seconds)
{
    double now = fb_clock_seconds();
    *seconds = now - run->last;
    run->last = now;
    run->spent += *seconds;
    return run->spent > seconds_least + seconds_per_byte * run->seen;
}

FbStatus fb_pattern_next(FbPatternRun *run, const char *text, size_t bytes, size_t from, size_t *begin, size_t *end, bool *found, FbError *err)
{
    if (run->pattern->code == NULL) {
        *found = find_text(run->pattern, text, bytes, from, begin);
        *end = *found ? *begin + run->pattern->bytes : from;
        return FB_OK;
    }
    if (from == 0) {
        run->seen += (double)bytes;
        run->last = fb_clock_seconds();
        /* Every backtrack counts. A run of n characters is given back one by one in the patterns in use. */
        pcre2_set_match_limit(run->limits, bytes < (UINT32_MAX - 100000) / 16 ? (uint32_t)bytes * 16 + 100000 : UINT32_MAX);
    }
    for (;;) {
        double seconds;
        int answer = search(run, text, bytes, from);
        if ((answer < 0 && answer != PCRE2_ERROR_NOMATCH) || late(run, &seconds)) {
            return stopped(run, answer, from, err);
        }
        *found = answer >= 0;
        if (*found) {
            size_t *places = pcre2_get_ovector_pointer(run->match);
            *begin = places[0];
            *end = places[1];
        }
        if (*found || bytes - from <= run->window) {
            return FB_OK;
        }
        from += run->window;
        while (from < bytes && ((uint8_t)text[from] & 0xc0) == 0x80) {
            from++;
        }
        run->window = seconds < 1e-3 && run->window <= SIZE_MAX / 4 ? 2 * run->window : seconds > 1e-2 ? WINDOW_LEAST : run->window;
    }
}
