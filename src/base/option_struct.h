/* Structs of options that callers hand over, and that grow from release to release. */
#ifndef FB_BASE_OPTION_STRUCT_H
#define FB_BASE_OPTION_STRUCT_H

#include <stddef.h>

#include "base/error.h"

/* Puts what is given over the defaults in *options, as far as the caller's version of the struct has it: its first member, size_t struct_bytes, says
 * how far. given NULL: the defaults stay. FB_ERR_ARGUMENT for a size that is 0, or beyond ours; `name` is the type's. */
FbStatus fb_options_read(void *options, size_t bytes, const void *given, const char *name, FbError *err);

#endif
