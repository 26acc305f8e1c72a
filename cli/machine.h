/* What machine this is, for reports. */
#ifndef FEWBIT_CLI_MACHINE_H
#define FEWBIT_CLI_MACHINE_H

#include <stddef.h>

void cli_cpu_name(char *out, size_t bytes); /* "unknown" when the system does not tell */
int cli_core_count(void);

#endif
