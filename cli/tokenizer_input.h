/* The tokenizer that goes with what the person named, and lists of token ids. */
#ifndef FEWBIT_CLI_TOKENIZER_INPUT_H
#define FEWBIT_CLI_TOKENIZER_INPUT_H

#include "command.h"
#include "fewbit/tokenizer.h"

/* --tokenizer, or what lies in or beside the model; missing_ok: no error when there is none. 0, or the exit code after the error was printed. */
int cli_load_tokenizer(Cli *cli, const char *model_path, int missing_ok, FbTokenizer **tokenizer);
/* Warns when the tokenizer has more tokens than the model. tokenizer NULL: nothing to check, and no model needed. */
void cli_check_tokenizer(Cli *cli, const FbTokenizer *tokenizer, const FbModel *model);
/* "1,2,3"; *ids is freed by the caller. 0, or the exit code after the error was printed. */
int cli_parse_ids(Cli *cli, const char *list, int32_t **ids, size_t *count);

#endif
