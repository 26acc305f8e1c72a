/* The steps of a pre-tokenizer: words to smaller words. */
#include <string.h>

#include "data/tokenizer_parts.h"
#include "data/tokenizer_unicode.h"

/* Receives a word's pieces in order, matches of the step's pattern and what is between them, and keeps words as its behavior says. */
typedef struct SplitSink {
    FbTokenWork *work;
    FbSplitBehavior behavior;
    size_t first;      /* words of earlier pieces are left alone */
    bool previous;     /* the last piece was a match */
    bool failed;
} SplitSink;

static void add_word(SplitSink *sink, size_t begin, size_t end)
{
    FbTokenWork *work = sink->work;
    if (begin == end || sink->failed) {
        return;
    }
    if (work->words[1].count == work->words[1].capacity && !fb_array_grow(work->context, &work->words[1])) {
        sink->failed = true;
        return;
    }
    work->words[1].items[work->words[1].count++] = (FbWord){begin, end};
}

static void add_piece(SplitSink *sink, size_t begin, size_t end, bool match)
{
    FbTokenWork *work = sink->work;
    FbWord *last = work->words[1].count > sink->first ? &work->words[1].items[work->words[1].count - 1] : NULL;
    bool join = false;
    if (begin == end) {
        return;
    }
    switch (sink->behavior) {
    case FB_SPLIT_REMOVED:
        if (!match) {
            add_word(sink, begin, end);
        }
        return;
    case FB_SPLIT_ISOLATED:
        break;
    case FB_SPLIT_CONTIGUOUS:
        join = last != NULL && match == sink->previous;
        break;
    case FB_SPLIT_MERGED_PREVIOUS:
        join = last != NULL && match && !sink->previous;
        break;
    case FB_SPLIT_MERGED_NEXT:
        join = last != NULL && !match && sink->previous;
        break;
    }
    sink->previous = match;
    if (join) {
        last->end = end;
    } else {
        add_word(sink, begin, end);
    }
}

static FbStatus by_pattern(SplitSink *sink, const FbSplitStep *step, const char *text, FbWord word)
{
    FbTokenWork *work = sink->work;
    const FbTokenizer *tokenizer = work->tokenizer;
    FbPatternRun **run = &work->runs[tokenizer->normals.count + (size_t)(step - tokenizer->splits.items)];
    size_t bytes = word.end - word.begin, from = 0, kept = 0;
    const char *start = text + word.begin;
    if (*run == NULL) {
        FB_TRY(fb_pattern_start(work->context, step->pattern, run, work->err));
    }
    while (from < bytes) {
        size_t begin, end;
        bool found;
        FB_TRY(fb_pattern_next(*run, start, bytes, from, &begin, &end, &found, work->err));
        if (!found) {
            break;
        }
        add_piece(sink, word.begin + kept, word.begin + begin, step->invert);
        add_piece(sink, word.begin + begin, word.begin + end, !step->invert);
        kept = from = end;
        if (begin == end && from < bytes) {
            (void)fb_utf8_next(start, &from);
        }
    }
    add_piece(sink, word.begin + kept, word.end, step->invert);
    return FB_OK;
}

static bool one_of(const FbSplitStep *step, uint32_t code)
{
    switch (step->kind) {
    case FB_SPLIT_WHITESPACE:
        return fb_is_space(code);
    case FB_SPLIT_PUNCTUATION:
        return fb_is_punctuation(code);
    case FB_SPLIT_DIGITS:
        return fb_is_number(code);
    default:
        return false;
    }
}

/* Every character of the kind is a match of its own. */
static void by_character(SplitSink *sink, const FbSplitStep *step, const char *text, FbWord word)
{
    size_t kept = word.begin;
    for (size_t at = word.begin; at < word.end;) {
        size_t start = at;
        uint32_t code = fb_utf8_next(text, &at);
        if (one_of(step, code)) {
            add_piece(sink, kept, start, false);
            add_piece(sink, start, at, true);
            kept = at;
        }
    }
    add_piece(sink, kept, word.end, false);
}

/* Runs of word characters and runs of anything else that is visible; BERT has each mark alone, and ends words at marks only. */
static void by_words(SplitSink *sink, bool bert, const char *text, FbWord word)
{
    size_t kept = word.begin;
    int previous = -1; /* 0: word character, 1: mark, -1: neither */
    for (size_t at = word.begin; at < word.end;) {
        size_t start = at;
        uint32_t code = fb_utf8_next(text, &at);
        int kind = fb_is_space(code) ? -1 : bert ? fb_is_punctuation(code) : !fb_is_word(code);
        if (kind != previous || (bert && kind == 1)) {
            if (previous >= 0) {
                add_piece(sink, kept, start, false);
            }
            kept = start;
            previous = kind;
        }
    }
    if (previous >= 0) {
        add_piece(sink, kept, word.end, false);
    }
}

static void by_mark(SplitSink *sink, const FbSplitStep *step, const char *text, FbWord word)
{
    size_t kept = word.begin, length = step->mark.count;
    for (size_t at = word.begin; at + length <= word.end;) {
        if (memcmp(text + at, step->mark.data, length) == 0) {
            add_piece(sink, kept, at, false);
            add_piece(sink, at, at + length, true);
            at += length;
            kept = at;
        } else {
            at++;
        }
    }
    add_piece(sink, kept, word.end, false);
}

/* Adds a word to the step's new text. */
static FbWord rewrite(FbTokenWork *work, const FbSplitStep *step, const char *text, FbWord word, FbText *out)
{
    FbWord written = {out->length, 0};
    const char *start = text + word.begin;
    size_t bytes = word.end - word.begin;
    bool continued = work->continued && word.begin == 0;
    if (step->kind == FB_SPLIT_PREFIX_SPACE) {
        fb_text_add_n(out, " ", start[0] != ' ' && !continued);
        fb_text_add_n(out, start, bytes);
    } else {
        const char *mark = (const char *)step->mark.data;
        size_t length = step->mark.count;
        bool marked = start[0] == ' ' || (bytes >= length && memcmp(start, mark, length) == 0);
        bool prefix = step->prepend == FB_PREPEND_ALWAYS || (step->prepend == FB_PREPEND_FIRST && work->first && word.begin == 0);
        if (prefix && !marked && !continued) {
            fb_text_add_n(out, mark, length);
        }
        for (size_t i = 0; i < bytes;) {
            size_t from = i;
            while (i < bytes && start[i] != ' ') {
                i++;
            }
            fb_text_add_n(out, start + from, i - from);
            if (i < bytes) {
                fb_text_add_n(out, mark, length);
                i++;
            }
        }
    }
    written.end = out->length;
    return written;
}

static FbStatus split_word(SplitSink *sink, const FbSplitStep *step, const char *text, FbWord word)
{
    sink->behavior = step->behavior;
    sink->first = sink->work->words[1].count;
    sink->previous = false;
    switch (step->kind) {
    case FB_SPLIT_PATTERN:
        return by_pattern(sink, step, text, word);
    case FB_SPLIT_WHITESPACE:
    case FB_SPLIT_PUNCTUATION:
    case FB_SPLIT_DIGITS:
        by_character(sink, step, text, word);
        break;
    case FB_SPLIT_WORDS:
    case FB_SPLIT_BERT:
        by_words(sink, step->kind == FB_SPLIT_BERT, text, word);
        break;
    case FB_SPLIT_METASPACE:
        if (step->split) {
            sink->behavior = FB_SPLIT_MERGED_NEXT;
            by_mark(sink, step, text, word);
        } else {
            add_word(sink, word.begin, word.end);
        }
        break;
    case FB_SPLIT_CHARACTER:
        by_mark(sink, step, text, word);
        break;
    case FB_SPLIT_PREFIX_SPACE:
        add_word(sink, word.begin, word.end);
        break;
    }
    return FB_OK;
}

static FbStatus run_split(FbTokenWork *work, const FbSplitStep *step, const char **text, FbText *rewritten)
{
    SplitSink sink = {.work = work};
    bool rewrites = step->kind == FB_SPLIT_METASPACE || step->kind == FB_SPLIT_PREFIX_SPACE;
    work->words[1].count = 0;
    rewritten->length = 0;
    for (size_t i = 0; rewrites && i < work->words[0].count; i++) {
        work->words[0].items[i] = rewrite(work, step, *text, work->words[0].items[i], rewritten);
        if (rewritten->failed) {
            return fb_work_memory(work, "a text with its spaces marked");
        }
    }
    *text = rewrites ? rewritten->data : *text;
    for (size_t i = 0; i < work->words[0].count; i++) {
        FB_TRY(split_word(&sink, step, *text, work->words[0].items[i]));
    }
    if (sink.failed) {
        return fb_work_memory(work, "words");
    }
    void *swapped = work->words[0].items;
    size_t capacity = work->words[0].capacity;
    work->words[0].items = work->words[1].items;
    work->words[0].count = work->words[1].count;
    work->words[0].capacity = work->words[1].capacity;
    work->words[1].items = swapped;
    work->words[1].capacity = capacity;
    return FB_OK;
}

FbStatus fb_split_words(FbTokenWork *work, const char *text, size_t bytes, const char **out, const FbWord **words, size_t *count)
{
    const FbTokenizer *tokenizer = work->tokenizer;
    int turn = 0;
    if (work->words[0].capacity == 0 && !fb_array_grow(work->context, &work->words[0])) {
        return fb_work_memory(work, "words");
    }
    work->words[0].items[0] = (FbWord){0, bytes};
    work->words[0].count = bytes > 0;
    for (size_t i = 0; i < tokenizer->splits.count && work->words[0].count > 0; i++) {
        FB_TRY(run_split(work, &tokenizer->splits.items[i], &text, &work->split[turn]));
        turn = !turn;
    }
    *out = text;
    *words = work->words[0].items;
    *count = work->words[0].count;
    return FB_OK;
}
