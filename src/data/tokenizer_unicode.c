/* UTF-8 by hand, properties from utf8proc, see tokenizer_unicode.h. */
#include "data/tokenizer_unicode.h"

#include <string.h>
#include <utf8proc.h>

size_t fb_utf8_take(const char *text, size_t bytes, uint32_t *code)
{
    const uint8_t *at = (const uint8_t *)text;
    uint32_t value;
    size_t length;
    if (bytes == 0) {
        return 0;
    }
    if (at[0] < 0x80) {
        value = at[0];
        length = 1;
    } else if (at[0] >= 0xc2 && at[0] < 0xe0) {
        value = at[0] & 0x1fu;
        length = 2;
    } else if (at[0] >= 0xe0 && at[0] < 0xf0) {
        value = at[0] & 0x0fu;
        length = 3;
    } else if (at[0] >= 0xf0 && at[0] < 0xf5) {
        value = at[0] & 0x07u;
        length = 4;
    } else {
        return 0;
    }
    if (length > bytes) {
        return 0;
    }
    for (size_t i = 1; i < length; i++) {
        if ((at[i] & 0xc0) != 0x80) {
            return 0;
        }
        value = value << 6 | (at[i] & 0x3fu);
    }
    bool overlong = (length == 3 && value < 0x800) || (length == 4 && value < 0x10000);
    if (overlong || value > 0x10ffff || (value >= 0xd800 && value < 0xe000)) {
        return 0;
    }
    if (code != NULL) {
        *code = value;
    }
    return length;
}

size_t fb_utf8_valid(const char *text, size_t bytes)
{
    size_t at = 0;
    while (at < bytes) {
        uint64_t eight;
        if (bytes - at >= sizeof eight && (memcpy(&eight, text + at, sizeof eight), (eight & 0x8080808080808080u) == 0)) {
            at += sizeof eight;
            continue;
        }
        size_t length = fb_utf8_take(text + at, bytes - at, NULL);
        if (length == 0) {
            break;
        }
        at += length;
    }
    return at;
}

uint32_t fb_utf8_next(const char *text, size_t *at)
{
    const uint8_t *here = (const uint8_t *)text + *at;
    if (here[0] < 0x80) {
        *at += 1;
        return here[0];
    }
    if (here[0] < 0xe0) {
        *at += 2;
        return (here[0] & 0x1fu) << 6 | (here[1] & 0x3fu);
    }
    if (here[0] < 0xf0) {
        *at += 3;
        return (here[0] & 0x0fu) << 12 | (here[1] & 0x3fu) << 6 | (here[2] & 0x3fu);
    }
    *at += 4;
    return (here[0] & 0x07u) << 18 | (here[1] & 0x3fu) << 12 | (here[2] & 0x3fu) << 6 | (here[3] & 0x3fu);
}

size_t fb_utf8_before(const char *text, size_t at)
{
    do {
        at--;
    } while (at > 0 && ((uint8_t)text[at] & 0xc0) == 0x80);
    return at;
}

void fb_utf8_add(FbText *text, uint32_t code)
{
    char bytes[4];
    utf8proc_ssize_t length = utf8proc_encode_char((utf8proc_int32_t)code, (utf8proc_uint8_t *)bytes);
    fb_text_add_n(text, bytes, (size_t)length);
}

static utf8proc_category_t category(uint32_t code) { return utf8proc_category((utf8proc_int32_t)code); }

bool fb_is_space(uint32_t code)
{
    if (code < 0x80) {
        return code == ' ' || (code >= '\t' && code <= '\r');
    }
    utf8proc_category_t kind = code == 0x85 ? UTF8PROC_CATEGORY_ZS : category(code);
    return kind == UTF8PROC_CATEGORY_ZS || kind == UTF8PROC_CATEGORY_ZL || kind == UTF8PROC_CATEGORY_ZP;
}

bool fb_is_word(uint32_t code)
{
    if (code < 0x80) {
        return (code >= 'a' && code <= 'z') || (code >= 'A' && code <= 'Z') || (code >= '0' && code <= '9') || code == '_';
    }
    utf8proc_category_t kind = category(code);
    bool circled = (code >= 0x24b6 && code <= 0x24e9) || (code >= 0x1f130 && code <= 0x1f149) || (code >= 0x1f150 && code <= 0x1f169) ||
                   (code >= 0x1f170 && code <= 0x1f189); /* alphabetic symbols */
    return (kind >= UTF8PROC_CATEGORY_LU && kind <= UTF8PROC_CATEGORY_NL) || kind == UTF8PROC_CATEGORY_PC || code == 0x200c ||
           code == 0x200d || circled;
}

bool fb_is_punctuation(uint32_t code)
{
    if (code < 0x80) {
        return (code >= '!' && code <= '/') || (code >= ':' && code <= '@') || (code >= '[' && code <= '`') || (code >= '{' && code <= '~');
    }
    utf8proc_category_t kind = category(code);
    return kind >= UTF8PROC_CATEGORY_PC && kind <= UTF8PROC_CATEGORY_PO;
}

bool fb_is_number(uint32_t code)
{
    utf8proc_category_t kind = category(code);
    return kind >= UTF8PROC_CATEGORY_ND && kind <= UTF8PROC_CATEGORY_NO;
}

bool fb_is_mark(uint32_t code)
{
    utf8proc_category_t kind = category(code);
    return kind >= UTF8PROC_CATEGORY_MN && kind <= UTF8PROC_CATEGORY_ME;
}

bool fb_is_nonspacing(uint32_t code) { return code >= 0x300 && category(code) == UTF8PROC_CATEGORY_MN; }

bool fb_is_other(uint32_t code)
{
    utf8proc_category_t kind = category(code);
    return kind == UTF8PROC_CATEGORY_CC || kind == UTF8PROC_CATEGORY_CF || kind == UTF8PROC_CATEGORY_CO;
}

bool fb_is_chinese(uint32_t code)
{
    static const struct { uint32_t first, last; } ranges[] = {
        {0x4e00, 0x9fff},   {0x3400, 0x4dbf},   {0x20000, 0x2a6df}, {0x2a700, 0x2b73f},
        {0x2b740, 0x2b81f}, {0x2b920, 0x2ceaf}, {0xf900, 0xfaff},   {0x2f800, 0x2fa1f},
    };
    for (size_t i = 0; i < sizeof ranges / sizeof *ranges; i++) {
        if (code >= ranges[i].first && code <= ranges[i].last) {
            return true;
        }
    }
    return false;
}
