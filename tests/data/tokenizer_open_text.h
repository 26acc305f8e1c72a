/* A tokenizer from text: written to a file of its own, opened, removed. */
#ifndef TOKENIZER_OPEN_TEXT_H
#define TOKENIZER_OPEN_TEXT_H

#define _POSIX_C_SOURCE 200809L /* mkstemp */
#include <stdlib.h>
#include <unistd.h>

#include "tokenizer_test.h"

static FbStatus open_text(FbContext *context, const char *json, size_t bytes, FbTokenizer **tokenizer, FbError *err)
{
    char path[] = "/tmp/fewbit-tokenizer-XXXXXX";
    int file = mkstemp(path);
    assert_true(file >= 0);
    assert_int_equal(write(file, json, bytes), (ssize_t)bytes);
    close(file);
    FbStatus status = fb_tokenizer_open(context, path, tokenizer, err);
    unlink(path);
    return status;
}

#endif
