/* A small strict parser of the Python dictionary in a .npy header: exactly the three keys, literals only, nothing is evaluated. */
#include "data/npy.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/checked.h"

static const uint8_t npy_magic[6] = {0x93, 'N', 'U', 'M', 'P', 'Y'};

typedef struct NpyType {
    char kind;
    int width;
    FbDtype dtype;
} NpyType;

static const NpyType npy_types[] = {
    {'f', 4, FB_DTYPE_F32}, {'f', 2, FB_DTYPE_F16}, {'f', 8, FB_DTYPE_F64}, {'i', 1, FB_DTYPE_S8},   {'i', 2, FB_DTYPE_S16},
    {'i', 4, FB_DTYPE_S32}, {'i', 8, FB_DTYPE_S64}, {'u', 1, FB_DTYPE_U8},  {'u', 2, FB_DTYPE_U16},  {'u', 4, FB_DTYPE_U32},
    {'u', 8, FB_DTYPE_U64}, {'b', 1, FB_DTYPE_BOOL}, {'c', 8, FB_DTYPE_C64}, {'c', 16, FB_DTYPE_C128},
};

typedef struct Cursor {
    const char *what;
    const char *at, *end;
    FbError *err;
} Cursor;

FbStatus fb_npy_header_bytes(const char *what, const uint8_t preamble[FB_NPY_PREAMBLE], size_t *bytes, FbError *err)
{
    if (memcmp(preamble, npy_magic, sizeof npy_magic) != 0) {
        return fb_error_set(err, FB_ERR_FORMAT, "%s: not a .npy array (wrong first bytes)", what);
    }
    unsigned major = preamble[6], minor = preamble[7];
    if (major < 1 || major > 3 || minor != 0) {
        return fb_error_set(err, FB_ERR_UNSUPPORTED, "%s: .npy version %u.%u; versions 1.0 to 3.0 can be read", what, major, minor);
    }
    uint64_t length = (uint64_t)preamble[8] | (uint64_t)preamble[9] << 8;
    uint64_t start = 10;
    if (major > 1) {
        length |= (uint64_t)preamble[10] << 16 | (uint64_t)preamble[11] << 24;
        start = 12;
    }
    if (start + length > FB_NPY_HEADER_MAX || length < 2) {
        return fb_error_set(err, FB_ERR_FORMAT, "%s: .npy header of %" PRIu64 " bytes (2 to %d are accepted)", what, length,
                            FB_NPY_HEADER_MAX);
    }
    *bytes = (size_t)(start + length);
    return FB_OK;
}

static FbStatus broken(Cursor *c, const char *expected)
{
    return fb_error_set(c->err, FB_ERR_FORMAT, "%s: damaged .npy header: expected %s", c->what, expected);
}

static void skip_space(Cursor *c)
{
    while (c->at < c->end && (*c->at == ' ' || *c->at == '\t')) {
        c->at++;
    }
}

static bool take(Cursor *c, char wanted)
{
    skip_space(c);
    if (c->at < c->end && *c->at == wanted) {
        c->at++;
        return true;
    }
    return false;
}

/* A quoted string without escapes; false when there is none or it does not fit. */
static bool take_string(Cursor *c, char *out, size_t out_bytes)
{
    skip_space(c);
    if (c->at >= c->end || (*c->at != '\'' && *c->at != '"')) {
        return false;
    }
    char quote = *c->at++;
    size_t n = 0;
    while (c->at < c->end && *c->at != quote) {
        unsigned char ch = (unsigned char)*c->at++;
        if (ch < 0x20 || ch > 0x7e || ch == '\\' || n + 1 >= out_bytes) {
            return false;
        }
        out[n++] = (char)ch;
    }
    out[n] = '\0';
    return take(c, quote);
}

static bool take_word(Cursor *c, const char *word)
{
    size_t n = strlen(word);
    skip_space(c);
    if ((size_t)(c->end - c->at) < n || memcmp(c->at, word, n) != 0) {
        return false;
    }
    c->at += n;
    return true;
}

static FbStatus parse_descr(Cursor *c, FbNpy *npy, size_t *width)
{
    char text[16];
    skip_space(c);
    if (c->at < c->end && *c->at == '[') {
        return fb_error_set(c->err, FB_ERR_UNSUPPORTED, "%s: a structured array; save plain numeric arrays", c->what);
    }
    if (!take_string(c, text, sizeof text)) {
        return broken(c, "a type such as '<f4'");
    }
    const char *p = text;
    char order = '=';
    if (*p == '<' || *p == '>' || *p == '|' || *p == '=') {
        order = *p++;
    }
    if (*p == 'O') {
        return fb_error_set(c->err, FB_ERR_UNSUPPORTED,
                            "%s: an object array (Python pickle), which is never read; save numbers: np.asarray(x, dtype=np.float32)", c->what);
    }
    int bytes = 0;
    char kind = *p == '\0' ? '\0' : *p++;
    if (kind == '?' && *p == '\0') {
        kind = 'b';
        bytes = 1;
    }
    while (*p >= '0' && *p <= '9' && bytes < 1000) {
        bytes = bytes * 10 + (*p++ - '0');
    }
    for (size_t i = 0; *p == '\0' && i < sizeof npy_types / sizeof npy_types[0]; i++) {
        if (npy_types[i].kind == kind && npy_types[i].width == bytes) {
            if (order == '|' && bytes > 1) {
                return broken(c, "a byte order for a type wider than a byte");
            }
            npy->dtype = npy_types[i].dtype;
            npy->swap = order == '>' && bytes > 1;
            *width = (size_t)bytes;
            if (npy->dtype == FB_DTYPE_C64 || npy->dtype == FB_DTYPE_C128) {
                break;
            }
            return FB_OK;
        }
    }
    return fb_error_set(c->err, FB_ERR_UNSUPPORTED, "%s: element type '%s'; floats of 2, 4, 8 bytes, integers and bools can be read", c->what,
                        text);
}

static FbStatus parse_shape(Cursor *c, FbNpy *npy)
{
    if (!take(c, '(')) {
        return broken(c, "a shape such as (2, 3)");
    }
    npy->rank = 0;
    while (!take(c, ')')) {
        int64_t value = 0;
        skip_space(c);
        if (c->at >= c->end || *c->at < '0' || *c->at > '9') {
            return broken(c, "a size >= 0 in the shape");
        }
        while (c->at < c->end && *c->at >= '0' && *c->at <= '9') {
            int digit = *c->at++ - '0';
            if (value > (INT64_MAX - digit) / 10) {
                return broken(c, "a size below 2^63");
            }
            value = value * 10 + digit;
        }
        if (npy->rank == FB_NPY_RANK_MAX) {
            return fb_error_set(c->err, FB_ERR_UNSUPPORTED, "%s: more than %d dimensions", c->what, FB_NPY_RANK_MAX);
        }
        npy->dims[npy->rank++] = value;
        if (!take(c, ',')) {
            /* (3) is a number in Python, not a shape: one size needs its comma. */
            if (npy->rank == 1 || !take(c, ')')) {
                return broken(c, "',' or ')' in the shape");
            }
            break;
        }
    }
    return FB_OK;
}

enum { HAVE_DESCR = 1, HAVE_ORDER = 2, HAVE_SHAPE = 4 };

static FbStatus parse_pair(Cursor *c, FbNpy *npy, size_t *width, unsigned *have)
{
    char key[24];
    if (!take_string(c, key, sizeof key) || !take(c, ':')) {
        return broken(c, "a key and ':'");
    }
    unsigned bit = strcmp(key, "descr") == 0 ? HAVE_DESCR : strcmp(key, "fortran_order") == 0 ? HAVE_ORDER
                   : strcmp(key, "shape") == 0                                              ? HAVE_SHAPE
                                                                                            : 0;
    if (bit == 0 || (*have & bit) != 0) {
        return broken(c, "the keys descr, fortran_order and shape once each");
    }
    *have |= bit;
    if (bit == HAVE_DESCR) {
        return parse_descr(c, npy, width);
    }
    if (bit == HAVE_SHAPE) {
        return parse_shape(c, npy);
    }
    if (take_word(c, "True")) {
        npy->fortran = true;
    } else if (!take_word(c, "False")) {
        return broken(c, "True or False for fortran_order");
    }
    return FB_OK;
}

FbStatus fb_npy_parse(const char *what, const uint8_t *header, size_t bytes, FbNpy *npy, FbError *err)
{
    size_t declared = 0, width = 0;
    if (bytes < FB_NPY_PREAMBLE) {
        return fb_error_set(err, FB_ERR_FORMAT, "%s: %zu bytes are too few for a .npy array", what, bytes);
    }
    FB_TRY(fb_npy_header_bytes(what, header, &declared, err));
    if (declared > bytes) {
        return fb_error_set(err, FB_ERR_FORMAT, "%s: .npy header of %zu bytes in %zu bytes", what, declared, bytes);
    }
    Cursor c = {what, (const char *)header + (header[6] == 1 ? 10 : 12), (const char *)header + declared, err};
    unsigned have = 0;
    memset(npy, 0, sizeof *npy);
    if (!take(&c, '{')) {
        return broken(&c, "'{'");
    }
    while (!take(&c, '}')) {
        FB_TRY(parse_pair(&c, npy, &width, &have));
        if (!take(&c, ',')) {
            if (!take(&c, '}')) {
                return broken(&c, "',' or '}'");
            }
            break;
        }
    }
    skip_space(&c);
    if (have != (HAVE_DESCR | HAVE_ORDER | HAVE_SHAPE) || c.end - c.at != 1 || *c.at != '\n') {
        return broken(&c, have != (HAVE_DESCR | HAVE_ORDER | HAVE_SHAPE) ? "the keys descr, fortran_order and shape" : "a line end after '}'");
    }
    int64_t elements = 0;
    if (!fb_product_dims(npy->dims, npy->rank, &elements) || !fb_mul_u64((uint64_t)elements, width, &npy->data_bytes)) {
        return fb_error_set(err, FB_ERR_FORMAT, "%s: the shape has more elements than any file could hold", what);
    }
    npy->header_bytes = declared;
    return FB_OK;
}

size_t fb_npy_format(FbDtype dtype, int rank, const int64_t *dims, uint8_t out[FB_NPY_WRITE_MAX])
{
    const NpyType *type = NULL;
    for (size_t i = 0; i < sizeof npy_types / sizeof npy_types[0]; i++) {
        if (npy_types[i].dtype == dtype) {
            type = &npy_types[i];
        }
    }
    if (type == NULL || rank < 0 || rank > FB_NPY_RANK_MAX) {
        return 0;
    }
    char *text = (char *)out + 10;
    size_t room = FB_NPY_WRITE_MAX - 10, n = 0;
    n += (size_t)snprintf(text, room, "{'descr': '%c%c%d', 'fortran_order': False, 'shape': (", type->width == 1 ? '|' : '<', type->kind,
                          type->width);
    for (int i = 0; i < rank; i++) {
        n += (size_t)snprintf(text + n, room - n, i > 0 ? ", %" PRId64 : "%" PRId64, dims[i]);
    }
    n += (size_t)snprintf(text + n, room - n, rank == 1 ? ",), }" : "), }");
    size_t total = (10 + n + 1 + 63) / 64 * 64;
    memset(text + n, ' ', total - 10 - n - 1);
    out[total - 1] = '\n';
    memcpy(out, npy_magic, sizeof npy_magic);
    out[6] = 1;
    out[7] = 0;
    out[8] = (uint8_t)((total - 10) & 0xff);
    out[9] = (uint8_t)((total - 10) >> 8);
    return total;
}

void fb_npy_swap(void *data, size_t count, size_t width)
{
    uint8_t *p = data;
    for (size_t i = 0; i < count; i++, p += width) {
        for (size_t k = 0; k < width / 2; k++) {
            uint8_t byte = p[k];
            p[k] = p[width - 1 - k];
            p[width - 1 - k] = byte;
        }
    }
}
