/* Decodes or encodes raw blocks, for the judge test. usage: block_tool decode|encode TYPE INPUT OUTPUT */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tensor/block_type.h"

static uint8_t *read_all(const char *path, size_t *count)
{
    FILE *file = fopen(path, "rb");
    if (file == NULL || fseek(file, 0, SEEK_END) != 0) {
        return NULL;
    }
    *count = (size_t)ftell(file);
    rewind(file);
    uint8_t *data = malloc(*count + 1);
    bool ok = data != NULL && fread(data, 1, *count, file) == *count;
    fclose(file);
    return ok ? data : NULL;
}

int main(int count, char **arguments)
{
    const FbBlockType *type = count == 5 ? fb_block_type_find(arguments[2]) : NULL;
    size_t bytes = 0, made;
    uint8_t *input = type != NULL ? read_all(arguments[3], &bytes) : NULL;
    FbError err;
    if (input == NULL) {
        fprintf(stderr, "usage: block_tool decode|encode TYPE INPUT OUTPUT\n");
        return 2;
    }
    bool encode = strcmp(arguments[1], "encode") == 0;
    size_t float_bytes = (size_t)type->elements * sizeof(float);
    size_t blocks = bytes / (encode ? float_bytes : (size_t)type->bytes);
    made = blocks * (encode ? (size_t)type->bytes : float_bytes);
    void *output = malloc(made + 1);
    if (output == NULL || (!encode && type->decode == NULL)) {
        return 2;
    }
    if (!encode) {
        type->decode(input, output, blocks);
    } else if (fb_block_encode(type, (const float *)(const void *)input, 0, output, blocks, NULL, &err) != FB_OK) {
        fprintf(stderr, "%s\n", err.message);
        return 1;
    }
    FILE *file = fopen(arguments[4], "wb");
    bool ok = file != NULL && fwrite(output, 1, made, file) == made && fclose(file) == 0;
    free(output);
    free(input);
    return ok ? 0 : 1;
}
