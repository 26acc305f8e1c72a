/* Files of checkpoints made in tests: bytes that grow, and a folder that goes away afterwards. */
#ifndef CHECKPOINT_TEST_H
#define CHECKPOINT_TEST_H

#include <dirent.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "graph/tensor_table.h"

typedef struct Bytes {
    uint8_t *data;
    size_t count;
} Bytes;

static inline void bytes_add(Bytes *bytes, const void *more, size_t count)
{
    bytes->data = realloc(bytes->data, bytes->count + count + 1);
    assert_non_null(bytes->data);
    if (count > 0) {
        memcpy(bytes->data + bytes->count, more, count);
    }
    bytes->count += count;
}

static inline void bytes_zeros(Bytes *bytes, size_t count)
{
    while (count-- > 0) {
        bytes_add(bytes, "", 1);
    }
}

static inline void bytes_number(Bytes *bytes, uint64_t value, size_t width)
{
    for (size_t i = 0; i < width; i++) {
        uint8_t byte = (uint8_t)(value >> 8 * i);
        bytes_add(bytes, &byte, 1);
    }
}

static inline void bytes_text(Bytes *bytes, const char *text) { bytes_add(bytes, text, strlen(text)); }

/* An 8-byte length, the header, and `data` zero bytes. */
static inline Bytes make_safetensors(const char *header, size_t data)
{
    Bytes bytes = {0};
    bytes_number(&bytes, strlen(header), 8);
    bytes_text(&bytes, header);
    bytes_zeros(&bytes, data);
    return bytes;
}

static inline void write_file(const char *folder, const char *name, const void *data, size_t count)
{
    char path[512];
    snprintf(path, sizeof path, "%s/%s", folder, name);
    FILE *file = fopen(path, "wb");
    assert_non_null(file);
    assert_int_equal(fwrite(data, 1, count, file), count);
    assert_int_equal(fclose(file), 0);
}

/* Takes the bytes. */
static inline void write_bytes(const char *folder, const char *name, Bytes bytes)
{
    write_file(folder, name, bytes.data, bytes.count);
    free(bytes.data);
}

static inline void remove_folder(const char *folder)
{
    char path[512];
    DIR *open = opendir(folder);
    for (struct dirent *entry = open ? readdir(open) : NULL; entry; entry = readdir(open)) {
        if (strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0) {
            snprintf(path, sizeof path, "%s/%s", folder, entry->d_name);
            unlink(path);
        }
    }
    if (open) {
        closedir(open);
    }
    rmdir(folder);
}

#endif
