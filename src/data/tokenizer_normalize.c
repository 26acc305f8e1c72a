/* The steps of a normalizer, one text after the other; Unicode's normalization forms are in tokenizer_form.c. */
#include <string.h>
#include <utf8proc.h>

#include "data/tokenizer_charsmap.h"
#include "data/tokenizer_form.h"
#include "data/tokenizer_parts.h"
#include "data/tokenizer_unicode.h"

enum { GROWTH_MAX = 64, GROWTH_FREE = 65536 }; /* bytes out per byte in, beyond what is always allowed */

static bool too_long(size_t length, size_t bytes)
{
    return length > GROWTH_FREE && (length - GROWTH_FREE) / GROWTH_MAX > bytes;
}

static FbStatus refuse_growth(const FbTokenWork *work, size_t bytes)
{
    return fb_error_set(work->err, FB_ERR_BUDGET, "the tokenizer's normalizer makes a text of %zu bytes more than %d times longer", bytes, GROWTH_MAX);
}

FbStatus fb_normalize_check(const FbTokenWork *work, const FbText *out, size_t original)
{
    return too_long(out->length, original) ? refuse_growth(work, original) : FB_OK;
}

static FbStatus replace(FbTokenWork *work, const FbNormalStep *step, const char *text, size_t bytes, size_t original, FbText *out)
{
    FbPatternRun **run = &work->runs[step - work->tokenizer->normals.items];
    size_t from = 0, kept = 0;
    if (*run == NULL) {
        FB_TRY(fb_pattern_start(work->context, step->pattern, run, work->err));
    }
    while (from <= bytes) {
        size_t begin, end;
        bool found;
        FB_TRY(fb_pattern_next(*run, text, bytes, from, &begin, &end, &found, work->err));
        if (!found) {
            break;
        }
        fb_text_add_n(out, text + kept, begin - kept);
        fb_text_add_n(out, (const char *)step->to.data, step->to.count);
        FB_TRY(fb_normalize_check(work, out, original));
        kept = from = end;
        if (begin == end) { /* an empty match: the next search begins one character later */
            if (end == bytes) {
                break;
            }
            (void)fb_utf8_next(text, &from);
        }
    }
    fb_text_add_n(out, text + kept, bytes - kept);
    return FB_OK;
}

static void lowercase(const char *text, size_t bytes, FbText *out)
{
    for (size_t at = 0; at < bytes;) {
        size_t start = at;
        while (at < bytes && (uint8_t)text[at] < 0x80) {
            at++;
        }
        fb_text_add_n(out, text + start, at - start);
        for (size_t i = 0; !out->failed && i < at - start; i++) {
            char *c = &out->data[out->length - (at - start) + i];
            *c = *c >= 'A' && *c <= 'Z' ? (char)(*c + 32) : *c;
        }
        if (at < bytes) {
            uint32_t code = fb_utf8_next(text, &at);
            fb_utf8_add(out, code == 0x130 ? 'i' : (uint32_t)utf8proc_tolower((utf8proc_int32_t)code));
            if (code == 0x130) { /* the one letter with two in lower case */
                fb_utf8_add(out, 0x307);
            }
        }
    }
}

static void strip(const FbNormalStep *step, const char *text, size_t bytes, FbText *out)
{
    size_t begin = 0, end = bytes;
    while (step->left && begin < end) {
        size_t next = begin;
        if (!fb_is_space(fb_utf8_next(text, &next))) {
            break;
        }
        begin = next;
    }
    while (step->right && end > begin) {
        size_t before = fb_utf8_before(text, end), at = before;
        if (!fb_is_space(fb_utf8_next(text, &at))) {
            break;
        }
        end = before;
    }
    fb_text_add_n(out, text + begin, end - begin);
}

/* SentencePiece's clean-up for neural translation: controls go, odd spaces become U+0020. -1: it goes. */
static int64_t nmt(uint32_t code)
{
    bool gone = (code >= 1 && code <= 8) || code == 0x0b || (code >= 0x0e && code <= 0x1f) || code == 0x7f || code == 0x8f || code == 0x9f;
    bool space = code == 9 || code == 0x0a || code == 0x0c || code == 0x0d || code == 0x1680 || (code >= 0x200b && code <= 0x200f) ||
                 code == 0x2028 || code == 0x2029 || code == 0x2581 || code == 0xfeff || code == 0xfffd;
    return gone ? -1 : space ? ' ' : (int64_t)code;
}

static int64_t bert_clean(uint32_t code)
{
    if (code == '\t' || code == '\n' || code == '\r') {
        return ' ';
    }
    return code == 0 || code == 0xfffd || fb_is_other(code) ? -1 : fb_is_space(code) ? ' ' : (int64_t)code;
}

static void each_character(FbNormalKind kind, const char *text, size_t bytes, FbText *out)
{
    for (size_t at = 0; at < bytes;) {
        size_t start = at;
        uint32_t code = fb_utf8_next(text, &at);
        int64_t kept = kind == FB_NORMAL_NMT             ? nmt(code)
                       : kind == FB_NORMAL_BERT_CLEAN    ? bert_clean(code)
                       : kind == FB_NORMAL_STRIP_ACCENTS ? (code >= 0x300 && fb_is_mark(code) ? -1 : (int64_t)code)
                       : kind == FB_NORMAL_STRIP_MARKS   ? (fb_is_nonspacing(code) ? -1 : (int64_t)code)
                                                         : (int64_t)code;
        bool alone = kind == FB_NORMAL_BERT_CHINESE && fb_is_chinese(code);
        if (alone) {
            fb_text_add_n(out, " ", 1);
        }
        if (kept == (int64_t)code) {
            fb_text_add_n(out, text + start, at - start);
        } else if (kept >= 0) {
            fb_utf8_add(out, (uint32_t)kept);
        }
        if (alone) {
            fb_text_add_n(out, " ", 1);
        }
    }
}

static FbStatus run_step(FbTokenWork *work, const FbNormalStep *step, const char *text, size_t bytes, size_t original, FbText *out)
{
    switch (step->kind) {
    case FB_NORMAL_FORM:
        return fb_form_apply(work->context, step->form, text, bytes, out, work->err);
    case FB_NORMAL_LOWERCASE:
        lowercase(text, bytes, out);
        return FB_OK;
    case FB_NORMAL_REPLACE:
        return replace(work, step, text, bytes, original, out);
    case FB_NORMAL_PREPEND:
        fb_text_add_n(out, (const char *)step->to.data, work->continued ? 0 : step->to.count);
        fb_text_add_n(out, text, bytes);
        return FB_OK;
    case FB_NORMAL_APPEND:
        fb_text_add_n(out, text, bytes);
        fb_text_add_n(out, (const char *)step->to.data, step->to.count);
        return FB_OK;
    case FB_NORMAL_STRIP:
        strip(step, text, bytes, out);
        return FB_OK;
    case FB_NORMAL_CHARSMAP:
        fb_charsmap_apply(step->charsmap, text, bytes, GROWTH_FREE + GROWTH_MAX * (original + 1), out);
        return FB_OK;
    case FB_NORMAL_PIECES:
        return fb_normalize_pieces(work, step, text, bytes, original, out);
    case FB_NORMAL_STRIP_ACCENTS:
    case FB_NORMAL_BERT_CLEAN:
    case FB_NORMAL_BERT_CHINESE:
    case FB_NORMAL_STRIP_MARKS:
    case FB_NORMAL_NMT:
        each_character(step->kind, text, bytes, out);
        return FB_OK;
    }
    return fb_error_set(work->err, FB_ERR_INTERNAL, "an unknown step of a normalizer");
}

FbStatus fb_normalize(FbTokenWork *work, const char *text, size_t bytes, const char **out, size_t *out_bytes)
{
    const FbTokenizer *tokenizer = work->tokenizer;
    size_t original = bytes;
    int turn = 0;
    for (size_t i = 0; i < tokenizer->normals.count && bytes > 0; i++) {
        FbText *to = &work->normal[turn];
        to->length = 0;
        FB_TRY(run_step(work, &tokenizer->normals.items[i], text, bytes, original, to));
        if (to->failed) {
            return fb_work_memory(work, "a normalized text");
        }
        FB_TRY(fb_normalize_check(work, to, original));
        text = to->data;
        bytes = to->length;
        turn = !turn;
    }
    work->given += original; /* pieces between added tokens may be many: what is free is free once */
    work->normalized += bytes;
    if (too_long(work->normalized, work->given)) {
        return refuse_growth(work, work->given);
    }
    *out = text;
    *out_bytes = bytes;
    return FB_OK;
}
