/* What machine this is, for reports. */
#define _GNU_SOURCE /* sched_getaffinity */
#include "machine.h"

#include <sched.h>
#include <stdio.h>
#include <string.h>

#include "fewbit/report.h"

void cli_cpu_name(char *out, size_t bytes)
{
    char line[512];
    FILE *file = fopen("/proc/cpuinfo", "r");
    snprintf(out, bytes, "unknown");
    while (file && fgets(line, sizeof line, file)) {
        if (strncmp(line, "model name", 10) == 0 && strchr(line, ':')) {
            const char *name = strchr(line, ':') + 1;
            name += strspn(name, " \t");
            line[strcspn(line, "\n")] = '\0';
            fb_show_name(name, out, bytes);
            break;
        }
    }
    if (file) {
        fclose(file);
    }
}

int cli_core_count(void)
{
    cpu_set_t set;
    CPU_ZERO(&set);
    return sched_getaffinity(0, sizeof set, &set) == 0 ? CPU_COUNT(&set) : 1;
}

static int read_line(const char *path, char *line, size_t bytes)
{
    FILE *file = fopen(path, "r");
    int read = file && fgets(line, (int)bytes, file);
    if (file) {
        fclose(file);
    }
    line[read ? strcspn(line, "\n") : 0] = '\0';
    return read;
}

int cli_cache(int index, CliCache *cache)
{
    char path[96], line[64], unit = 0;
    unsigned long long size = 0;
    memset(cache, 0, sizeof *cache);
    snprintf(path, sizeof path, "/sys/devices/system/cpu/cpu0/cache/index%d/level", index);
    if (!read_line(path, line, sizeof line) || sscanf(line, "%d", &cache->level) != 1) {
        return 0;
    }
    snprintf(path, sizeof path, "/sys/devices/system/cpu/cpu0/cache/index%d/type", index);
    read_line(path, line, sizeof line);
    snprintf(cache->kind, sizeof cache->kind, "%.20s", line);
    snprintf(path, sizeof path, "/sys/devices/system/cpu/cpu0/cache/index%d/size", index);
    read_line(path, line, sizeof line);
    if (sscanf(line, "%llu%c", &size, &unit) >= 1) {
        cache->bytes = size * (unit == 'K' ? 1024u : unit == 'M' ? 1048576u : 1u);
    }
    return 1;
}

uint64_t cli_process_peak(void)
{
    char line[256];
    unsigned long long kilobytes = 0;
    FILE *file = fopen("/proc/self/status", "r");
    while (file && fgets(line, sizeof line, file)) {
        if (sscanf(line, "VmHWM: %llu kB", &kilobytes) == 1) {
            break;
        }
    }
    if (file) {
        fclose(file);
    }
    return (uint64_t)kilobytes * 1024;
}
