/* Runs a fuzz target over files, and over seeded mutations of each: the corpus without libFuzzer.
 * usage: replay MUTATIONS FILE_OR_FOLDER ...   Files above 64 KiB are run as they are, not mutated. */
#include <dirent.h>
#include <stdio.h>
#include <string.h>

#include "base/random.h"
#include "fuzz.h"

enum { SEED_BYTES_MAX = 1 << 24, MUTATED_BYTES_MAX = 65536 };

static size_t inputs;

/* Byte changes, a cut, or a piece copied over another place: what each parser meets first. */
static size_t mutate(uint8_t *data, size_t size, uint64_t seed)
{
    uint64_t counter = 0;
    static const uint8_t special[] = {0x00, 0x01, 0x7f, 0x80, 0xff, '\n', '"', '-'};
    uint64_t changes = 1 + fb_random_below(seed, 1, counter++, 6);
    for (uint64_t i = 0; i < changes && size > 0; i++) {
        size_t at = (size_t)fb_random_below(seed, 1, counter++, size), from = (size_t)fb_random_below(seed, 1, counter++, size);
        uint64_t choice = fb_random_below(seed, 1, counter++, 10);
        if (choice < 4) {
            data[at] ^= (uint8_t)(1U << fb_random_below(seed, 1, counter++, 8));
        } else if (choice < 7) {
            data[at] = special[fb_random_below(seed, 1, counter++, sizeof special)];
        } else if (choice < 9) {
            size_t length = (size_t)fb_random_below(seed, 1, counter++, 16) + 1, room = size - (at > from ? at : from);
            memmove(data + at, data + from, length < room ? length : room);
        } else {
            size = at;
        }
    }
    return size;
}

static int run_file(const char *path, unsigned long mutations)
{
    FILE *file = fopen(path, "rb");
    if (file == NULL) {
        fprintf(stderr, "%s: cannot open\n", path);
        return 1;
    }
    uint8_t *seed = malloc(SEED_BYTES_MAX);
    size_t size = seed != NULL ? fread(seed, 1, SEED_BYTES_MAX, file) : 0;
    fclose(file);
    /* Exactly sized copies, so that reading past the end shows under AddressSanitizer. */
    for (unsigned long i = 0; i <= mutations && seed != NULL; i++) {
        uint8_t *copy = malloc(size > 0 ? size : 1);
        if (copy == NULL || (i > 0 && size > MUTATED_BYTES_MAX)) {
            free(copy);
            break;
        }
        memcpy(copy, seed, size);
        size_t length = i > 0 ? mutate(copy, size, i) : size;
        uint8_t *exact = malloc(length > 0 ? length : 1);
        if (exact != NULL) {
            memcpy(exact, copy, length);
            LLVMFuzzerTestOneInput(exact, length);
            inputs++;
        }
        free(exact);
        free(copy);
    }
    free(seed);
    return 0;
}

static int run_path(const char *path, unsigned long mutations)
{
    DIR *folder = opendir(path);
    if (folder == NULL) {
        return run_file(path, mutations);
    }
    int failed = 0;
    for (struct dirent *entry = readdir(folder); entry != NULL; entry = readdir(folder)) {
        char inside[4096];
        if (entry->d_name[0] != '.') {
            snprintf(inside, sizeof inside, "%s/%s", path, entry->d_name);
            failed |= run_file(inside, mutations);
        }
    }
    closedir(folder);
    return failed;
}

int main(int count, char **arguments)
{
    int failed = count < 3;
    unsigned long mutations = count > 1 ? strtoul(arguments[1], NULL, 10) : 0;
    for (int i = 2; i < count; i++) {
        failed |= run_path(arguments[i], mutations);
    }
    printf("%zu inputs\n", inputs);
    return failed || inputs == 0;
}
