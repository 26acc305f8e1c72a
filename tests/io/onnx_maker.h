/* Protobuf bytes by hand, so that tests can make ONNX files that no library would write. Field numbers are spelled out: ONNX IR. */
#ifndef FB_TESTS_ONNX_MAKER_H
#define FB_TESTS_ONNX_MAKER_H

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

typedef struct Proto {
    uint8_t *data;
    size_t count, capacity;
} Proto;

static inline void proto_raw(Proto *p, const void *bytes, size_t count)
{
    if (p->count + count > p->capacity) {
        p->capacity = 2 * (p->count + count) + 64;
        p->data = realloc(p->data, p->capacity);
        if (p->data == NULL) {
            abort();
        }
    }
    if (count > 0) {
        memcpy(p->data + p->count, bytes, count);
        p->count += count;
    }
}

static inline void proto_varint(Proto *p, uint64_t value)
{
    do {
        uint8_t byte = (uint8_t)((value & 0x7f) | (value > 0x7f ? 0x80 : 0));
        proto_raw(p, &byte, 1);
        value >>= 7;
    } while (value > 0);
}

static inline void proto_tag(Proto *p, uint32_t tag, uint32_t wire) { proto_varint(p, (uint64_t)tag << 3 | wire); }

static inline void proto_int(Proto *p, uint32_t tag, int64_t value)
{
    proto_tag(p, tag, 0);
    proto_varint(p, (uint64_t)value);
}

static inline void proto_bytes(Proto *p, uint32_t tag, const void *bytes, size_t count)
{
    proto_tag(p, tag, 2);
    proto_varint(p, count);
    proto_raw(p, bytes, count);
}

static inline void proto_text(Proto *p, uint32_t tag, const char *text) { proto_bytes(p, tag, text, strlen(text)); }

static inline void proto_float(Proto *p, uint32_t tag, float value)
{
    proto_tag(p, tag, 5);
    proto_raw(p, &value, sizeof value);
}

/* Adds the child as a field and frees it. */
static inline void proto_child(Proto *p, uint32_t tag, Proto child)
{
    proto_bytes(p, tag, child.data, child.count);
    free(child.data);
}

/* ---- ONNX messages ---- */

static inline Proto make_tensor(const char *name, int type, int rank, const int64_t *dims, const void *raw, size_t bytes)
{
    Proto p = {0};
    for (int i = 0; i < rank; i++) {
        proto_int(&p, 1, dims[i]);
    }
    proto_int(&p, 2, type);
    proto_text(&p, 8, name);
    if (raw != NULL) {
        proto_bytes(&p, 9, raw, bytes);
    }
    return p;
}

static inline Proto make_entry(const char *key, const char *value)
{
    Proto p = {0};
    proto_text(&p, 1, key);
    proto_text(&p, 2, value);
    return p;
}

/* A ValueInfoProto of a tensor of f32; rank < 0: no shape. */
static inline Proto make_info(const char *name, int type, int rank, const int64_t *dims)
{
    Proto info = {0}, kind = {0}, tensor = {0}, shape = {0};
    for (int i = 0; i < rank; i++) {
        Proto dim = {0};
        proto_int(&dim, 1, dims[i]);
        proto_child(&shape, 1, dim);
    }
    proto_int(&tensor, 1, type);
    if (rank >= 0) {
        proto_child(&tensor, 2, shape);
    }
    proto_child(&kind, 1, tensor);
    proto_text(&info, 1, name);
    proto_child(&info, 2, kind);
    return info;
}

/* Names separated by commas; an empty part is an absent input. */
static inline void proto_names(Proto *p, uint32_t tag, const char *names)
{
    while (names != NULL && *names != '\0') {
        const char *comma = strchr(names, ',');
        size_t length = comma == NULL ? strlen(names) : (size_t)(comma - names);
        proto_bytes(p, tag, names, length);
        names = comma == NULL ? NULL : comma + 1;
    }
}

static inline Proto make_node(const char *op_type, const char *inputs, const char *outputs)
{
    Proto p = {0};
    proto_names(&p, 1, inputs);
    proto_names(&p, 2, outputs);
    proto_text(&p, 3, op_type);
    proto_text(&p, 4, op_type);
    return p;
}

static inline Proto make_int_attribute(const char *name, int64_t value)
{
    Proto p = {0};
    proto_text(&p, 1, name);
    proto_int(&p, 3, value);
    proto_int(&p, 20, 2);
    return p;
}

static inline Proto make_graph_attribute(const char *name, Proto graph)
{
    Proto p = {0};
    proto_text(&p, 1, name);
    proto_child(&p, 6, graph);
    proto_int(&p, 20, 5);
    return p;
}

static inline Proto make_opset(const char *domain, int64_t version)
{
    Proto p = {0};
    proto_text(&p, 1, domain);
    proto_int(&p, 2, version);
    return p;
}

/* Takes the graph; the operator set comes last, so a file cut anywhere lacks something. */
static inline Proto make_model(Proto graph, int64_t ir_version, int64_t opset)
{
    Proto p = {0};
    proto_int(&p, 1, ir_version);
    proto_text(&p, 2, "maker");
    proto_child(&p, 7, graph);
    proto_child(&p, 8, make_opset("", opset));
    return p;
}

/* x [2,3] -> MatMul w [3,4] -> Relu -> y. */
static inline Proto make_plain_graph(void)
{
    static const float w[12] = {1, -2, 3, -4, 5, -6, 7, -8, 9, -10, 11, -12};
    Proto g = {0};
    proto_child(&g, 1, make_node("MatMul", "x,w", "m"));
    proto_child(&g, 1, make_node("Relu", "m", "y"));
    proto_text(&g, 2, "plain");
    proto_child(&g, 5, make_tensor("w", 1, 2, (int64_t[]){3, 4}, w, sizeof w));
    proto_child(&g, 11, make_info("x", 1, 2, (int64_t[]){2, 3}));
    proto_child(&g, 12, make_info("y", 1, 2, (int64_t[]){2, 4}));
    return g;
}

#endif
