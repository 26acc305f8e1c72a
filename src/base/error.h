/* Filling FbError. Every fallible function returns FbStatus and takes FbError *err last. */
#ifndef FB_BASE_ERROR_H
#define FB_BASE_ERROR_H

#include "fewbit/status.h"

/* Writes status and message; returns status. err may be NULL. */
FbStatus fb_error_set(FbError *err, FbStatus status, const char *format, ...) FB_PRINTF(3, 4);
/* Puts "format: " in front of the message that is there; returns status. A layer adds context once. */
FbStatus fb_error_context(FbError *err, FbStatus status, const char *format, ...) FB_PRINTF(3, 4);

/* Leave on failure, where nothing is held. */
#define FB_TRY(call)                                  \
    do {                                              \
        FbStatus fb_try_status = (call);              \
        if (fb_try_status != FB_OK) {                 \
            return fb_try_status;                     \
        }                                             \
    } while (0)

#endif
