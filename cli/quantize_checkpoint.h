/* fewbit quantize of checkpoints of language models, to GGUF. */
#ifndef FEWBIT_CLI_QUANTIZE_CHECKPOINT_H
#define FEWBIT_CLI_QUANTIZE_CHECKPOINT_H

#include "console.h"

/* The exit code. */
int cli_quantize_checkpoint(Cli *cli, const char *path);

#endif
