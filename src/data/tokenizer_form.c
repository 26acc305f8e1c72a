/* Decomposition, order of marks and composition (Unicode Standard Annex 15), see tokenizer_form.h. The tables are utf8proc's; the ordering is
 * ours, because utf8proc's takes quadratic time. */
#include "data/tokenizer_form.h"

#include <string.h>
#include <utf8proc.h>

#include "data/tokenizer_unicode.h"

enum { CHUNK = 4096, SHORT_RUN = 16, CHARACTER_MAX = 64 };

typedef struct FormWork {
    FbContext *context;
    FB_ARRAY(utf8proc_int32_t) codes;
    FB_ARRAY(utf8proc_int32_t) sorted;
    utf8proc_option_t options;
    bool compose;
} FormWork;

static utf8proc_propval_t class_of(utf8proc_int32_t code) { return utf8proc_get_property(code)->combining_class; }

static bool push(FormWork *work, utf8proc_int32_t code)
{
    if (work->codes.count == work->codes.capacity && !fb_array_grow(work->context, &work->codes)) {
        return false;
    }
    work->codes.items[work->codes.count++] = code;
    return true;
}

/* Marks of one letter by their class, stable. */
static bool sort_run(FormWork *work, utf8proc_int32_t *codes, size_t count)
{
    if (count <= SHORT_RUN) {
        for (size_t i = 1; i < count; i++) {
            utf8proc_int32_t code = codes[i];
            size_t at = i;
            while (at > 0 && class_of(codes[at - 1]) > class_of(code)) {
                codes[at] = codes[at - 1];
                at--;
            }
            codes[at] = code;
        }
        return true;
    }
    size_t starts[257] = {0};
    work->sorted.count = 0;
    while (work->sorted.capacity < count) {
        work->sorted.count = work->sorted.capacity;
        if (!fb_array_grow(work->context, &work->sorted)) {
            return false;
        }
    }
    for (size_t i = 0; i < count; i++) {
        starts[(class_of(codes[i]) & 255) + 1]++;
    }
    for (size_t i = 1; i < 257; i++) {
        starts[i] += starts[i - 1];
    }
    for (size_t i = 0; i < count; i++) {
        work->sorted.items[starts[class_of(codes[i]) & 255]++] = codes[i];
    }
    memcpy(codes, work->sorted.items, count * sizeof *codes);
    return true;
}

static bool sort_marks(FormWork *work)
{
    utf8proc_int32_t *codes = work->codes.items;
    size_t count = work->codes.count;
    for (size_t i = 0; i < count;) {
        size_t end = i;
        while (end < count && class_of(codes[end]) != 0) {
            end++;
        }
        if (end - i > 1 && !sort_run(work, codes + i, end - i)) {
            return false;
        }
        i = end + 1;
    }
    return true;
}

static bool finish_chunk(FormWork *work, FbText *out)
{
    if (!sort_marks(work)) {
        return false;
    }
    utf8proc_ssize_t count = (utf8proc_ssize_t)work->codes.count;
    if (work->compose && count > 0) {
        count = utf8proc_normalize_utf32(work->codes.items, count, UTF8PROC_STABLE | UTF8PROC_COMPOSE);
    }
    for (utf8proc_ssize_t i = 0; i < count; i++) {
        fb_utf8_add(out, (uint32_t)work->codes.items[i]);
    }
    work->codes.count = 0;
    return true;
}

/* Chunks end before ASCII, with which nothing composes backwards. */
static bool apply(FormWork *work, const char *text, size_t bytes, FbText *out)
{
    for (size_t at = 0; at < bytes;) {
        if ((uint8_t)text[at] < 0x80 && work->codes.count >= CHUNK && !finish_chunk(work, out)) {
            return false;
        }
        uint32_t code = fb_utf8_next(text, &at);
        utf8proc_int32_t parts[CHARACTER_MAX];
        int boundary = 0;
        utf8proc_ssize_t count = 1;
        parts[0] = (utf8proc_int32_t)code;
        if (code >= 0x80) {
            count = utf8proc_decompose_char((utf8proc_int32_t)code, parts, CHARACTER_MAX, work->options, &boundary);
        }
        for (utf8proc_ssize_t i = 0; i < count && i < CHARACTER_MAX; i++) {
            if (!push(work, parts[i])) {
                return false;
            }
        }
    }
    return finish_chunk(work, out);
}

FbStatus fb_form_apply(FbContext *context, FbUnicodeForm form, const char *text, size_t bytes, FbText *out, FbError *err)
{
    bool ascii = true;
    for (size_t i = 0; i < bytes && ascii; i++) {
        ascii = (uint8_t)text[i] < 0x80;
    }
    if (ascii) {
        fb_text_add_n(out, text, bytes);
        return FB_OK;
    }
    FormWork work = {.context = context, .compose = form == FB_FORM_C || form == FB_FORM_KC};
    work.options = UTF8PROC_STABLE | UTF8PROC_DECOMPOSE | (form == FB_FORM_KC || form == FB_FORM_KD ? UTF8PROC_COMPAT : 0);
    bool ok = apply(&work, text, bytes, out);
    fb_array_free(context, &work.codes);
    fb_array_free(context, &work.sorted);
    return ok ? FB_OK : fb_error_memory(context, err, "a normalized text", bytes);
}
