/* What clang-tidy is told before every file, by tools/tidy.sh: it sees one file at a time, and would otherwise follow paths where an error
 * was reported and FB_OK came back, or where fresh memory is not zero. No compiler ever reads this. */
#define _GNU_SOURCE /* before the first system header; the files that ask for it, or for less, come later */
#include <stdlib.h>

#include "base/context.h"
#include "base/error.h"
#include "base/file_error.h"
#include "io/protobuf/protobuf_reader.h"
#include "run/compile.h"

#define fb_error_set(err, status, ...) ((void)fb_error_set(err, status, __VA_ARGS__), (status))
#define fb_error_context(err, status, ...) ((void)fb_error_context(err, status, __VA_ARGS__), (status))
#define fb_error_file(err, error, action, path) ((void)fb_error_file(err, error, action, path), FB_ERR_IO)
#define fb_error_memory(context, err, what, bytes) ((void)fb_error_memory(context, err, what, bytes), FB_ERR_NO_MEMORY)
#define fb_alloc_zero(context, bytes) ((void)(context), calloc(1, bytes))

#ifndef FB_TIDY_BASE_ONLY
#define fb_node_error(node, status, err) ((void)fb_node_error(node, status, err), (status))
#define fb_protobuf_fail(message, status, ...) ((void)fb_protobuf_fail(message, status, __VA_ARGS__), (status))
#endif
