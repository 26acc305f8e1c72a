/* What machine this is, for reports. */
#ifndef FEWBIT_CLI_MACHINE_H
#define FEWBIT_CLI_MACHINE_H

#include <stddef.h>
#include <stdint.h>

void cli_cpu_name(char *out, size_t bytes); /* "unknown" when the system does not tell */
int cli_core_count(void);

typedef struct CliCache {
    int level;
    char kind[24]; /* "Data", "Instruction", "Unified" */
    uint64_t bytes;
} CliCache;
/* Cache `index` of the first processor; 0 when there is none, or the system does not tell. */
int cli_cache(int index, CliCache *cache);
/* The most memory that this process had resident so far; 0: the system does not tell. */
uint64_t cli_process_peak(void);

#endif
