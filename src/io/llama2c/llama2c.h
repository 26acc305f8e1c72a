/* Files of llama2.c (the first version, without a magic number) as tensor tables with the names and keys of a GGUF file.
 * Source: the reader and the exporter of that project (run.c, export.py). */
#ifndef FB_IO_LLAMA2C_LLAMA2C_H
#define FB_IO_LLAMA2C_LLAMA2C_H

#include "graph/tensor_table.h"

/* Whether the seven numbers at the start make sense and ask for exactly as many bytes as the file has. */
FbStatus fb_llama2c_recognize(FbSource *source, bool *recognized, FbError *err);
/* `path` is for messages. */
FbStatus fb_llama2c_open_source(FbContext *context, FbSource *source, const char *path, FbCheckpoint **out, FbError *err);

#endif
