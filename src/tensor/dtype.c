/* The table of element types. */
#include "tensor/dtype.h"

#include <float.h>

#include "base/checked.h"

static const FbDtypeInfo dtypes[FB_DTYPE_COUNT] = {
    /*                       name          ONNX name          kind              bits  low                     high            inf    nan */
    [FB_DTYPE_NONE] =       {"none",       "undefined",       FB_KIND_NONE,     0,    0,                      0,              false, false},
    [FB_DTYPE_F32] =        {"f32",        "float",           FB_KIND_FLOAT,    32,   -(double)FLT_MAX,       (double)FLT_MAX, true,  true},
    [FB_DTYPE_U8] =         {"u8",         "uint8",           FB_KIND_UNSIGNED, 8,    0,                      255,            false, false},
    [FB_DTYPE_S8] =         {"s8",         "int8",            FB_KIND_SIGNED,   8,    -128,                   127,            false, false},
    [FB_DTYPE_U16] =        {"u16",        "uint16",          FB_KIND_UNSIGNED, 16,   0,                      65535,          false, false},
    [FB_DTYPE_S16] =        {"s16",        "int16",           FB_KIND_SIGNED,   16,   -32768,                 32767,          false, false},
    [FB_DTYPE_S32] =        {"s32",        "int32",           FB_KIND_SIGNED,   32,   -2147483648.0,          2147483647.0,   false, false},
    [FB_DTYPE_S64] =        {"s64",        "int64",           FB_KIND_SIGNED,   64,   -9223372036854775808.0, 9223372036854775808.0, false, false},
    [FB_DTYPE_STRING] =     {"string",     "string",          FB_KIND_STRING,   0,    0,                      0,              false, false},
    [FB_DTYPE_BOOL] =       {"bool",       "bool",            FB_KIND_BOOL,     8,    0,                      1,              false, false},
    [FB_DTYPE_F16] =        {"f16",        "float16",         FB_KIND_FLOAT,    16,   -65504,                 65504,          true,  true},
    [FB_DTYPE_F64] =        {"f64",        "double",          FB_KIND_FLOAT,    64,   -DBL_MAX,               DBL_MAX,        true,  true},
    [FB_DTYPE_U32] =        {"u32",        "uint32",          FB_KIND_UNSIGNED, 32,   0,                      4294967295.0,   false, false},
    [FB_DTYPE_U64] =        {"u64",        "uint64",          FB_KIND_UNSIGNED, 64,   0,                      18446744073709551616.0, false, false},
    [FB_DTYPE_C64] =        {"c64",        "complex64",       FB_KIND_COMPLEX,  64,   0,                      0,              true,  true},
    [FB_DTYPE_C128] =       {"c128",       "complex128",      FB_KIND_COMPLEX,  128,  0,                      0,              true,  true},
    [FB_DTYPE_BF16] =       {"bf16",       "bfloat16",        FB_KIND_FLOAT,    16,   -0x1.fep127,            0x1.fep127,     true,  true},
    [FB_DTYPE_F8E4M3FN] =   {"f8e4m3fn",   "float8e4m3fn",    FB_KIND_FLOAT,    8,    -448,                   448,            false, true},
    [FB_DTYPE_F8E4M3FNUZ] = {"f8e4m3fnuz", "float8e4m3fnuz",  FB_KIND_FLOAT,    8,    -240,                   240,            false, true},
    [FB_DTYPE_F8E5M2] =     {"f8e5m2",     "float8e5m2",      FB_KIND_FLOAT,    8,    -57344,                 57344,          true,  true},
    [FB_DTYPE_F8E5M2FNUZ] = {"f8e5m2fnuz", "float8e5m2fnuz",  FB_KIND_FLOAT,    8,    -57344,                 57344,          false, true},
    [FB_DTYPE_U4] =         {"u4",         "uint4",           FB_KIND_UNSIGNED, 4,    0,                      15,             false, false},
    [FB_DTYPE_S4] =         {"s4",         "int4",            FB_KIND_SIGNED,   4,    -8,                     7,              false, false},
    [FB_DTYPE_F4E2M1] =     {"f4e2m1",     "float4e2m1",      FB_KIND_FLOAT,    4,    -6,                     6,              false, false},
    [FB_DTYPE_F8E8M0] =     {"f8e8m0",     "float8e8m0",      FB_KIND_FLOAT,    8,    0x1p-127,               0x1p127,        false, true},
    [FB_DTYPE_U2] =         {"u2",         "uint2",           FB_KIND_UNSIGNED, 2,    0,                      3,              false, false},
    [FB_DTYPE_S2] =         {"s2",         "int2",            FB_KIND_SIGNED,   2,    -2,                     1,              false, false},
};

const FbDtypeInfo *fb_dtype_info(FbDtype dtype)
{
    return (unsigned)dtype < FB_DTYPE_COUNT ? &dtypes[dtype] : &dtypes[FB_DTYPE_NONE];
}

const char *fb_dtype_name(FbDtype dtype)
{
    return (unsigned)dtype < FB_DTYPE_COUNT ? dtypes[dtype].name : "?";
}

int fb_dtype_bits(FbDtype dtype)
{
    return fb_dtype_info(dtype)->bits;
}

bool fb_dtype_storage(FbDtype dtype, uint64_t elements, uint64_t *bytes)
{
    int bits = fb_dtype_bits(dtype);
    if (bits == 0) {
        return false;
    }
    if (bits >= 8) {
        return fb_mul_u64(elements, (uint64_t)bits / 8, bytes);
    }
    uint64_t per_byte = 8 / (uint64_t)bits;
    *bytes = elements / per_byte + (elements % per_byte != 0);
    return true;
}
