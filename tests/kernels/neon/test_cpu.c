/* fb_cpu_detect under the processor that the emulator plays: its argument names what must be found. */
#include <stdio.h>
#include <string.h>

#include "base/context.h"

int main(int argc, char **argv)
{
    unsigned want;
    if (argc != 2 || !fb_cpu_parse(argv[1], &want)) {
        fprintf(stderr, "usage: neon_cpu NAME\n");
        return 2;
    }
    if (fb_cpu_detect() != want) {
        fprintf(stderr, "found %#x, expected %#x for %s\n", fb_cpu_detect(), want, argv[1]);
        return 1;
    }
    return 0;
}
