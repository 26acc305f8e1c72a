/* A baseline's log-probabilities in short, in a file: 128 bytes of header, then one row of fixed size per scored token. docs/METRICS.md has the
 * layout. */
#ifndef FB_EVALUATE_LOGIT_FILE_H
#define FB_EVALUATE_LOGIT_FILE_H

#include "base/file.h"
#include "evaluate/token_score.h"

typedef struct FbLogitHeader {
    uint32_t vocabulary, context, windows;
    uint32_t rows;         /* scored tokens of a window */
    uint32_t top, samples; /* of a row */
    char tokens[65];       /* SHA-256 of the windows' token ids as int32, little-endian */
} FbLogitHeader;

/* How many tokens a row keeps: top and samples from what fits 1/20 of the row's logits in 2 bytes each, and at least 256; wanted > 0: that many, at
 * least 2. */
void fb_logit_header_size(FbLogitHeader *header, size_t wanted);
uint64_t fb_logit_row_bytes(const FbLogitHeader *header);
uint64_t fb_logit_file_bytes(const FbLogitHeader *header);
/* SHA-256 for FbLogitHeader.tokens. */
FbStatus fb_logit_hash(FbContext *context, const int32_t *ids, size_t count, char hex[65], FbError *err);

/* Rows in memory, in file form and decoded. */
typedef struct FbLogitRows {
    FbContext *context;
    FbLogitHeader header;
    uint8_t *bytes;
    FbShortRow *rows;
    uint32_t *ids;
    uint16_t *codes;
} FbLogitRows;
FbStatus fb_logit_rows_init(FbLogitRows *rows, FbContext *context, const FbLogitHeader *header, size_t count, FbError *err);
void fb_logit_rows_reset(FbLogitRows *rows);
/* rows[index] to its bytes and back; decoding is false when the row cannot be one. */
void fb_logit_rows_encode(FbLogitRows *rows, size_t index);
bool fb_logit_rows_decode(FbLogitRows *rows, size_t index);

FbStatus fb_logit_header_write(FbOutput *output, const FbLogitHeader *header, FbError *err);
/* Checks the header, and the size of the file against it. */
FbStatus fb_logit_header_read(FbSource *source, FbLogitHeader *header, FbError *err);
/* Bytes of rows first .. first + count - 1 into rows->bytes. */
FbStatus fb_logit_rows_read(FbSource *source, FbLogitRows *rows, uint64_t first, size_t count, FbError *err);

#endif
