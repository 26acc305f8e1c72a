/* Opening what the person named as a language model. */
#ifndef FEWBIT_CLI_LANGUAGE_INPUT_H
#define FEWBIT_CLI_LANGUAGE_INPUT_H

#include "command.h"
#include "fewbit/generate.h"
#include "fewbit/language.h"

/* Whether `path` holds tensors of a language model rather than a graph. */
int cli_is_language(Cli *cli, const char *path);
/* The model in this context, its tables made for `positions` (0: as usual). 0, or the exit code after the error was printed. */
int cli_load_language(Cli *cli, FbContext *context, const char *path, int64_t positions, FbModel **model);
/* Whether a file of texts may hold token ids, which need no tokenizer; a text does. */
int cli_may_hold_ids(const char *data);
/* --cache-type; 0, or the exit code after the error was printed. */
int cli_cache_type(Cli *cli, FbCacheType *type);
const char *cli_cache_name(FbCacheType type);

#endif
