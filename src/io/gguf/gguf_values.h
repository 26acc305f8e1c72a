/* The key-values of a GGUF file. */
#ifndef FB_IO_GGUF_VALUES_H
#define FB_IO_GGUF_VALUES_H

#include "io/gguf/gguf_reader.h"

/* `count` key-values from the reader's position on, into the table. */
FbStatus fb_gguf_read_values(FbGgufReader *reader, FbCheckpoint *checkpoint, uint64_t count);

#endif
