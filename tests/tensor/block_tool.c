/* Decodes or encodes raw blocks, for the judges. With IMPORTANCE, floats of a row's length, rows are encoded with it; --kernel encodes by the
 * kernel that the machine would use. usage: block_tool decode|encode|kernel TYPE INPUT OUTPUT [IMPORTANCE] */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "kernels/block_encode.h"

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

static bool write_all(const char *path, const uint8_t *data, size_t bytes)
{
    FILE *file = fopen(path, "wb");
    return file != NULL && fwrite(data, 1, bytes, file) == bytes && fclose(file) == 0;
}

int main(int count, char **arguments)
{
    const FbBlockType *type = count >= 5 ? fb_block_type_find(arguments[2]) : NULL;
    size_t bytes = 0, importance_bytes = 0, made;
    uint8_t *input = type != NULL ? read_all(arguments[3], &bytes) : NULL;
    uint8_t *importance = input != NULL && count == 6 ? read_all(arguments[5], &importance_bytes) : NULL;
    FbError err = {0};
    if (input == NULL || (count == 6 && importance == NULL)) {
        fprintf(stderr, "usage: block_tool decode|encode|kernel TYPE INPUT OUTPUT [IMPORTANCE]\n");
        return 2;
    }
    bool kernel = strcmp(arguments[1], "kernel") == 0, encode = kernel || strcmp(arguments[1], "encode") == 0;
    size_t float_bytes = (size_t)type->elements * sizeof(float);
    size_t blocks = bytes / (encode ? float_bytes : (size_t)type->bytes);
    size_t row = importance != NULL ? importance_bytes / float_bytes : blocks;
    made = blocks * (encode ? (size_t)type->bytes : float_bytes);
    uint8_t *output = malloc(made + 1);
    if (output == NULL || row == 0 || blocks % row != 0 || (!encode && type->decode == NULL)) {
        return 2;
    }
    if (!encode) {
        type->decode(input, (float *)(void *)output, blocks);
    } else {
        FbBlockRows job = {type, kernel ? fb_block_encode_pick(fb_cpu_detect(), type) : NULL, (const float *)(const void *)importance, row};
        if (fb_block_encode_rows(&job, (const float *)(const void *)input, 0, output, blocks / row, NULL, &err) != FB_OK) {
            fprintf(stderr, "%s\n", err.message);
            return 1;
        }
    }
    bool ok = write_all(arguments[4], output, made);
    free(output);
    free(importance);
    free(input);
    return ok ? 0 : 1;
}
