/* Weights in block types, packed: one copy in memory of what the file has, for products of one row or of many and for looking up rows.
 *
 * Rows are packed by eights ("panels"), zero rows added at the end of a matrix. A panel is [row blocks][bytes of a block * 8]: the parts of
 * the eight blocks lie interleaved by 4 bytes (scales and other short parts by their size), so that a register of 32 bytes has the same
 * 4 bytes of eight rows. Types whose parts are not known here lie block after block. */
#ifndef FB_OPS_PACKED_BLOCKS_H
#define FB_OPS_PACKED_BLOCKS_H

#include "graph/graph.h"
#include "tensor/block_type.h"

enum { FB_PANEL_ROWS = 8 };

typedef struct FbPackedBlocks {
    const FbBlockType *type;
    size_t matrices, rows, depth;  /* each matrix is [rows][depth] */
    size_t row_blocks;             /* depth / elements of a block */
    size_t panels;                 /* of a matrix */
    size_t panel_bytes;
    uint8_t *data;                 /* [matrices][panels][panel_bytes] */
} FbPackedBlocks;

/* The packed constants of a plan, each once, whoever uses it. */
typedef struct FbBlockStore FbBlockStore;
FbStatus fb_block_store_create(FbContext *context, FbBlockStore **store, FbError *err);
/* No more constants: lets go of the files and buffers that the packed ones came from. */
void fb_block_store_seal(FbBlockStore *store);
void fb_block_store_free(FbBlockStore *store); /* NULL is fine */

/* A constant that can be packed: [..., rows, depth] in readable blocks, or, transposed, [depth, rows] in blocks of one element. */
bool fb_packed_blocks_accepts(const FbConst *constant, bool transposed);
/* Reads and packs it, in parallel, at the first call for these bytes. */
FbStatus fb_block_store_get(FbBlockStore *store, const FbConst *constant, bool transposed, const FbPackedBlocks **packed, FbError *err);

/* Blocks [first, first + count) of a row, decoded. */
void fb_packed_blocks_decode(const FbPackedBlocks *packed, size_t matrix, size_t row, size_t first, size_t count, float *to);

static inline const uint8_t *fb_packed_panel(const FbPackedBlocks *packed, size_t matrix, size_t panel)
{
    return packed->data + (matrix * packed->panels + panel) * packed->panel_bytes;
}

#endif
