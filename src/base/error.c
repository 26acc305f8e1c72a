/* Filling FbError, and the one table of statuses. */
#include "base/error.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

static const struct {
    const char *name;
    int exit_code;
} status_rows[] = {
    [FB_OK] = {"ok", 0},
    [FB_ERR_ARGUMENT] = {"argument", 2},
    [FB_ERR_NO_MEMORY] = {"no memory", 6},
    [FB_ERR_IO] = {"input/output", 5},
    [FB_ERR_FORMAT] = {"format", 3},
    [FB_ERR_UNSUPPORTED] = {"unsupported", 4},
    [FB_ERR_NUMERIC] = {"numeric", 8},
    [FB_ERR_BUDGET] = {"budget", 6},
    [FB_ERR_BUSY] = {"busy", 7},
    [FB_ERR_CANCELLED] = {"cancelled", 130},
    [FB_ERR_INTERNAL] = {"internal", 70},
};

const char *fb_status_name(FbStatus status)
{
    size_t row = (size_t)status;
    return row < sizeof status_rows / sizeof status_rows[0] ? status_rows[row].name : "unknown";
}

int fb_status_exit_code(FbStatus status)
{
    size_t row = (size_t)status;
    return row < sizeof status_rows / sizeof status_rows[0] ? status_rows[row].exit_code : 70;
}

const char *fb_version(void)
{
    return FEWBIT_VERSION;
}

/* The message is one line for a terminal: whatever a name brought along, no control character leaves here. */
static void clean_line(char *text)
{
    for (; *text; text++) {
        unsigned char byte = (unsigned char)*text;
        if (byte < 0x20 || byte == 0x7f) {
            *text = ' ';
        }
    }
}

FbStatus fb_error_set(FbError *err, FbStatus status, const char *format, ...)
{
    if (err) {
        va_list args;
        va_start(args, format);
        vsnprintf(err->message, sizeof err->message, format, args);
        va_end(args);
        clean_line(err->message);
        err->status = status;
    }
    return status;
}

FbStatus fb_error_context(FbError *err, FbStatus status, const char *format, ...)
{
    if (err) {
        char text[sizeof err->message];
        va_list args;
        va_start(args, format);
        vsnprintf(text, sizeof text, format, args);
        va_end(args);
        clean_line(text);
        size_t used = strlen(text);
        if (used + 2 < sizeof text) {
            size_t room = sizeof text - used - 3;
            size_t old = strlen(err->message);
            size_t kept = old < room ? old : room;
            memcpy(text + used, ": ", 2);
            memcpy(text + used + 2, err->message, kept);
            text[used + 2 + kept] = '\0';
        }
        memcpy(err->message, text, sizeof text);
        err->status = status;
    }
    return status;
}
