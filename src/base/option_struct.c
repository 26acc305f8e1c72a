/* Structs of options, see option_struct.h. */
#include "base/option_struct.h"

#include <string.h>

FbStatus fb_options_read(void *options, size_t bytes, const void *given, const char *name, FbError *err)
{
    size_t given_bytes;
    if (given == NULL) {
        return FB_OK;
    }
    memcpy(&given_bytes, given, sizeof given_bytes);
    if (given_bytes < sizeof given_bytes || given_bytes > bytes) {
        return fb_error_set(err, FB_ERR_ARGUMENT, "%s.struct_bytes is %zu, expected sizeof(%s) = %zu", name, given_bytes, name, bytes);
    }
    memcpy(options, given, given_bytes);
    return FB_OK;
}
