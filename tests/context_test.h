/* The context that most tests run in, of one thread, and what holds at their end: nothing in it is left. To include behind headers
 * whose functions have a parameter of that name. */
#ifndef CONTEXT_TEST_H
#define CONTEXT_TEST_H

#include "fewbit/fewbit.h"

static FbContext *context;

static inline int context_setup(void **state)
{
    FbContextOptions options = {.struct_bytes = sizeof options, .threads = 1};
    (void)state;
    return fb_context_create(&options, &context, NULL) == FB_OK ? 0 : -1;
}

static inline int context_teardown(void **state)
{
    (void)state;
    int left = fb_context_memory_now(context) != 0;
    fb_context_free(context);
    return left ? -1 : 0;
}

#endif
