/* Standard base64 to bytes. */
#include <string.h>

#include "base/text.h"

static int base64_value(char c)
{
    static const char letters[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    const char *found = c != '\0' ? strchr(letters, c) : NULL;
    return found != NULL ? (int)(found - letters) : -1;
}

FbStatus fb_base64_decode(FbContext *context, const char *text, size_t length, uint8_t **out, size_t *bytes, FbError *err)
{
    *out = NULL;
    while (length > 0 && text[length - 1] == '=') {
        length--;
    }
    uint8_t *data = fb_alloc(context, length / 4 * 3 + 3);
    if (data == NULL) {
        return fb_error_memory(context, err, "base64", length);
    }
    uint32_t window = 0;
    int bits = 0;
    *bytes = 0;
    for (size_t i = 0; i < length; i++) {
        int value = base64_value(text[i]);
        if (value < 0 || length % 4 == 1) {
            fb_free(context, data);
            return fb_error_set(err, FB_ERR_FORMAT, "no base64 at byte %zu", i);
        }
        window = (window << 6 | (uint32_t)value) & 0xffffff;
        bits += 6;
        if (bits >= 8) {
            bits -= 8;
            data[(*bytes)++] = (uint8_t)(window >> bits);
        }
    }
    *out = data;
    return FB_OK;
}
