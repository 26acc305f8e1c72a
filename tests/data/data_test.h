/* What the tests of data/ share: a context, paths of fixtures, whole files. */
#ifndef DATA_TEST_H
#define DATA_TEST_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "base/file.h"
#include "data/arrays.h"
#include "data/dataset.h"
#include "data/image.h"

static inline FbContext *test_context(void)
{
    FbContext *context = NULL;
    FbContextOptions options = {.struct_bytes = sizeof options, .threads = 1}; /* data are read on the calling thread */
    FbError err;
    assert_int_equal(fb_context_create(&options, &context, &err), FB_OK);
    return context;
}

static inline const char *test_path(const char *relative)
{
    static char path[1024];
    snprintf(path, sizeof path, "%s/tests/data/%s", FB_SOURCE_DIR, relative);
    return path;
}

/* Fails with the library's message. */
#define assert_ok(call)                                                   \
    do {                                                                  \
        FbStatus assert_status = (call);                                  \
        if (assert_status != FB_OK) {                                     \
            fail_msg("%s: %s", #call, err.message);                       \
        }                                                                 \
    } while (0)

static inline FbArrays *test_arrays(FbContext *context, const char *relative)
{
    FbSource *source = NULL;
    FbArrays *arrays = NULL;
    FbError err = {0};
    assert_ok(fb_source_open(context, test_path(relative), &source, &err));
    assert_ok(fb_arrays_open(context, source, &arrays, &err));
    fb_source_release(source);
    return arrays;
}

/* A whole array; *count receives its elements. Freed with fb_free. */
static inline void *test_array(FbContext *context, FbArrays *arrays, const char *name, size_t *count)
{
    FbError err = {0};
    int at = fb_arrays_find(arrays, name);
    if (at < 0) {
        fail_msg("no array '%s'", name);
    }
    const FbArrayInfo *info = fb_arrays_info(arrays, (size_t)at);
    void *data = fb_alloc(context, (size_t)info->rows * info->row_bytes);
    assert_non_null(data);
    assert_ok(fb_arrays_read(arrays, (size_t)at, 0, info->rows, data, &err));
    *count = (size_t)info->rows * info->row_bytes / ((size_t)fb_dtype_bits(info->dtype) / 8);
    return data;
}

#endif
