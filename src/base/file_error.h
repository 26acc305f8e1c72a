/* Messages for what the file hooks answer. */
#ifndef FB_BASE_FILE_ERROR_H
#define FB_BASE_FILE_ERROR_H

#include <stddef.h>

#include "base/error.h"

/* A path as it may be shown: escaped, and its end kept when it is long (the end says which file it is). */
const char *fb_path_shown(const char *path, char *out, size_t out_bytes);
/* The error for an errno value: "m.onnx: cannot open: no such file". */
FbStatus fb_error_file(FbError *err, int error, const char *action, const char *path);

#endif
