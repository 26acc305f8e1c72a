/* A folder for tests of importance matrices: a text of token ids, places for two results, and comparing those. */
#ifndef IMPORTANCE_FOLDER_H
#define IMPORTANCE_FOLDER_H

#define _GNU_SOURCE /* mkdtemp */
#include <unistd.h>

#include "faults/faults.h"
#include "fewbit/importance.h"
#include "io/gguf/imatrix.h"
#include "run/small_language_model.h"

static char folder[] = "/tmp/fewbit-importance-XXXXXX", text[64], output[64], second[64];

static int make_text(size_t count, int64_t (*token)(size_t i))
{
    if (mkdtemp(folder) == NULL) {
        return -1;
    }
    snprintf(text, sizeof text, "%s/text.jsonl", folder);
    snprintf(output, sizeof output, "%s/a.gguf", folder);
    snprintf(second, sizeof second, "%s/b.gguf", folder);
    FILE *f = fopen(text, "w");
    if (f == NULL) {
        return -1;
    }
    for (size_t i = 0; i < count; i++) {
        fprintf(f, "%s%lld", i == 0 ? "{\"ids\": [" : ",", (long long)token(i));
    }
    fprintf(f, "]}\n");
    return fclose(f);
}

static int remove_all(void **state)
{
    (void)state;
    remove(text);
    remove(output);
    remove(second);
    return rmdir(folder);
}

static size_t read_whole(const char *path, char *bytes, size_t most)
{
    FILE *f = fopen(path, "rb");
    assert_non_null(f);
    size_t count = fread(bytes, 1, most, f);
    fclose(f);
    return count;
}

/* `output` and `second` have the same bytes. */
static void assert_same_files(void)
{
    static char a[1 << 16], b[1 << 16];
    size_t count = read_whole(output, a, sizeof a);
    assert_true(count > 1000 && count < sizeof a && read_whole(second, b, sizeof b) == count);
    assert_memory_equal(a, b, count);
}

#endif
