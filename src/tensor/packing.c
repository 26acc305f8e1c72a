/* The packing table and the bit stream behind every row of it. ONNX packs 2 and 4 bits with the first element in the lowest bits, which is
 * the same stream. */
#include "tensor/packing.h"

#include <string.h>

#include "base/checked.h"

const FbPacking fb_packings[] = {
    {"onnx2", "four codes per byte, the first in the lowest bits, no gaps (ONNX INT2, UINT2)", 2, false},
    {"dense3", "3-bit stream, lowest bits first, no gaps", 3, false},
    {"onnx4", "two codes per byte, the first in the low nibble, no gaps (ONNX INT4, UINT4, FLOAT4E2M1)", 4, false},
    {"dense5", "5-bit stream, lowest bits first, no gaps", 5, false},
    {"dense6", "6-bit stream, lowest bits first, no gaps", 6, false},
    {"dense7", "7-bit stream, lowest bits first, no gaps", 7, false},
    {"onnx8", "one code per byte (ONNX INT8, UINT8, FLOAT8)", 8, false},
    {"rows2", "2-bit codes, every row starts on a byte", 2, true},
    {"rows3", "3-bit codes, every row starts on a byte", 3, true},
    {"rows4", "4-bit codes, every row starts on a byte", 4, true},
    {"rows5", "5-bit codes, every row starts on a byte", 5, true},
    {"rows6", "6-bit codes, every row starts on a byte", 6, true},
    {"rows7", "7-bit codes, every row starts on a byte", 7, true},
};
const size_t fb_packing_count = sizeof fb_packings / sizeof fb_packings[0];

const FbPacking *fb_packing_find(const char *name)
{
    for (size_t i = 0; i < fb_packing_count; i++) {
        if (strcmp(fb_packings[i].name, name) == 0) {
            return &fb_packings[i];
        }
    }
    return NULL;
}

/* ceil(count * bits / 8) without overflow on the way. */
static bool stream_bytes(uint64_t count, int bits, uint64_t *bytes)
{
    uint64_t whole;
    if (!fb_mul_u64(count / 8, (uint64_t)bits, &whole)) {
        return false;
    }
    return fb_add_u64(whole, (count % 8 * (uint64_t)bits + 7) / 8, bytes);
}

bool fb_packing_bytes(const FbPacking *packing, uint64_t rows, uint64_t cols, uint64_t *bytes)
{
    uint64_t row_bytes, count;
    if (packing->rows_on_bytes) {
        return stream_bytes(cols, packing->bits, &row_bytes) && fb_mul_u64(rows, row_bytes, bytes);
    }
    return fb_mul_u64(rows, cols, &count) && stream_bytes(count, packing->bits, bytes);
}

void fb_packing_unpack(const FbPacking *packing, bool is_signed, const void *from, uint64_t cols, uint64_t first_row, size_t rows,
                       int8_t *codes)
{
    if (!packing->rows_on_bytes) {
        fb_unpack_bits(packing->bits, is_signed, from, first_row * cols, codes, rows * (size_t)cols);
        return;
    }
    uint64_t row_bytes = (cols * (uint64_t)packing->bits + 7) / 8;
    for (size_t row = 0; row < rows; row++) {
        const uint8_t *start = (const uint8_t *)from + (first_row + row) * row_bytes;
        fb_unpack_bits(packing->bits, is_signed, start, 0, codes + row * (size_t)cols, (size_t)cols);
    }
}

void fb_packing_pack(const FbPacking *packing, const int8_t *codes, void *to, uint64_t cols, uint64_t first_row, size_t rows)
{
    if (!packing->rows_on_bytes) {
        fb_pack_bits(packing->bits, codes, to, first_row * cols, rows * (size_t)cols);
        return;
    }
    uint64_t row_bytes = (cols * (uint64_t)packing->bits + 7) / 8;
    for (size_t row = 0; row < rows; row++) {
        fb_pack_bits(packing->bits, codes + row * (size_t)cols, (uint8_t *)to + (first_row + row) * row_bytes, 0, (size_t)cols);
    }
}

static int8_t extend(unsigned code, int bits, bool is_signed)
{
    unsigned sign = 1u << (bits - 1);
    return (int8_t)(is_signed && (code & sign) ? (int)code - (int)(2 * sign) : (int)code);
}

void fb_unpack_bits(int bits, bool is_signed, const void *from, uint64_t first, int8_t *to, size_t count)
{
    const uint8_t *bytes = from;
    if (bits == 8) {
        if (count) {
            memcpy(to, bytes + first, count);
        }
        return;
    }
    unsigned mask = (1u << bits) - 1u;
    /* Eight codes fill exactly `bits` bytes: position in bits without overflow for any 64-bit element number. */
    uint64_t byte = first / 8 * (uint64_t)bits + first % 8 * (uint64_t)bits / 8;
    unsigned offset = (unsigned)(first % 8 * (uint64_t)bits % 8);
    for (size_t i = 0; i < count; i++) {
        unsigned word = bytes[byte];
        if (offset + (unsigned)bits > 8) {
            word |= (unsigned)bytes[byte + 1] << 8;
        }
        to[i] = extend(word >> offset & mask, bits, is_signed);
        offset += (unsigned)bits;
        byte += offset >> 3;
        offset &= 7;
    }
}

void fb_pack_bits(int bits, const int8_t *from, void *to, uint64_t first, size_t count)
{
    uint8_t *bytes = to;
    if (bits == 8) {
        if (count) {
            memcpy(bytes + first, from, count);
        }
        return;
    }
    unsigned mask = (1u << bits) - 1u;
    uint64_t byte = first / 8 * (uint64_t)bits + first % 8 * (uint64_t)bits / 8;
    unsigned offset = (unsigned)(first % 8 * (uint64_t)bits % 8);
    for (size_t i = 0; i < count; i++) {
        unsigned code = (unsigned)from[i] & mask;
        bytes[byte] = (uint8_t)((bytes[byte] & ~(mask << offset)) | code << offset);
        if (offset + (unsigned)bits > 8) {
            unsigned taken = 8 - offset;
            bytes[byte + 1] = (uint8_t)((bytes[byte + 1] & ~(mask >> taken)) | code >> taken);
        }
        offset += (unsigned)bits;
        byte += offset >> 3;
        offset &= 7;
    }
}
