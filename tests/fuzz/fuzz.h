/* What a fuzz target is: libFuzzer's entry point, also called by the replay program. */
#ifndef FUZZ_H
#define FUZZ_H

#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

/* Returns 0; stops the program when an invariant is broken. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* A broken invariant: louder than assert, which a release build drops. */
#define FUZZ_CHECK(condition) \
    do {                      \
        if (!(condition)) {   \
            abort();          \
        }                     \
    } while (0)

#endif
