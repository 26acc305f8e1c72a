/* The one kind of graph: nodes, values, constants. No operator knowledge here.
 *
 * Ids are indices that survive edits (removed nodes leave a hole). Names, nodes and shapes live in the graph's arena; the bytes of
 * constants are shared by reference count, so cloning a graph copies no weights. */
#ifndef FB_GRAPH_GRAPH_H
#define FB_GRAPH_GRAPH_H

#include "base/arena.h"
#include "base/file.h"
#include "tensor/encoding.h"

typedef uint32_t FbId;
#define FB_NONE ((FbId)UINT32_MAX)

typedef struct FbGraph FbGraph;
typedef struct FbConst FbConst;
typedef struct FbNode FbNode;

typedef struct FbBytes { /* a span of raw bytes in the arena, carried through load and save */
    const uint8_t *data;
    size_t count;
} FbBytes;

/* ---- constants ---- */

typedef struct FbBuffer FbBuffer; /* reference-counted bytes in memory */
FbBuffer *fb_buffer_create(FbContext *context, size_t bytes); /* contents undefined; NULL: no memory */
FbBuffer *fb_buffer_retain(FbBuffer *buffer);
void fb_buffer_release(FbBuffer *buffer);
void *fb_buffer_data(FbBuffer *buffer);

typedef struct FbPlane { /* bytes in a file, or in memory when buffer is set */
    FbSource *source;
    uint64_t offset, bytes;
    FbBuffer *buffer;
} FbPlane;

typedef enum FbPlaneKind { FB_PLANE_CODES = 0, FB_PLANE_SCALE, FB_PLANE_ZERO, FB_PLANE_COUNT } FbPlaneKind;

struct FbConst {
    FbDtype dtype;               /* logical element type: F32 for an encoded weight */
    FbShape shape;               /* all known */
    const FbEncoding *encoding;  /* NULL: plain elements of dtype in planes[FB_PLANE_CODES] */
    FbPlane planes[FB_PLANE_COUNT]; /* ONNX layout: codes packed as their storage type, scale, zero point */
    /* Where it came from, to write the same nodes back; all FB_NONE / NULL for a constant made here. */
    FbNode *dequantize;          /* the DequantizeLinear node that was folded in, detached */
    const char *external_location; /* of the source file, when its bytes were external */
    const char *name;            /* a tensor of an attribute: its own name; NULL otherwise (an initializer is named by its value) */
    const char *doc;
    FbBytes extra;               /* fields of the file that fewbit does not interpret, kept byte for byte */
    bool typed_field;            /* the file used int32_data, float_data, ...: written raw */
    FbBytes strings;             /* a string tensor: its TensorProto, byte for byte */
    uint32_t index;              /* in the graph's list of constants */
};

/* Elements [first, first + count) as float, decoded. Reads only the bytes it needs. */
FbStatus fb_const_read_f32(FbContext *context, const FbConst *constant, uint64_t first, size_t count, float *to, FbError *err);
/* Integer codes of at most 32 bits of an encoded constant, or their zero points (FB_PLANE_ZERO), as they are. */
FbStatus fb_const_read_codes(const FbConst *constant, FbPlaneKind plane, uint64_t first, size_t count, int32_t *to, FbError *err);
/* Bytes of a plane. */
FbStatus fb_plane_read(const FbPlane *plane, uint64_t offset, void *to, size_t bytes, FbError *err);
/* The whole constant as a tensor whose data is fb_alloc'ed (decoded to F32 if encoded). */
FbStatus fb_const_load(FbContext *context, const FbConst *constant, FbTensor *tensor, FbError *err);
uint64_t fb_const_stored_bytes(const FbConst *constant); /* codes + scale + zero */

/* ---- nodes and values ---- */

typedef enum FbAttributeType { /* the numbers are ONNX AttributeProto.AttributeType */
    FB_ATTR_NONE = 0, FB_ATTR_FLOAT = 1, FB_ATTR_INT = 2, FB_ATTR_STRING = 3, FB_ATTR_TENSOR = 4, FB_ATTR_GRAPH = 5, FB_ATTR_FLOATS = 6,
    FB_ATTR_INTS = 7, FB_ATTR_STRINGS = 8, FB_ATTR_TENSORS = 9, FB_ATTR_GRAPHS = 10, FB_ATTR_SPARSE = 11, FB_ATTR_SPARSES = 12,
    FB_ATTR_TYPE = 13, FB_ATTR_TYPES = 14
} FbAttributeType;

typedef struct FbAttribute {
    const char *name;
    FbAttributeType type;
    const char *reference;  /* ref_attr_name inside a function body, or NULL */
    float f;
    int64_t i;
    FbBytes s;              /* also NUL-terminated */
    size_t count;           /* of the list that the type says */
    const float *floats;
    const int64_t *ints;
    const FbBytes *strings;
    FbConst *tensor;
    FbGraph *graph;         /* owned by this graph */
    FbGraph *const *graphs;
    FbBytes raw;            /* AttributeProto as the file had it, for types not decoded above */
    const char *doc;
    FbBytes extra;          /* unknown fields, byte for byte */
} FbAttribute;

struct FbNode {
    const char *name, *op_type, *domain; /* domain "" is ONNX's; never NULL */
    const char *overload, *doc;          /* NULL: absent */
    int version;                         /* of the operator set in the file */
    uint32_t input_count, output_count;
    FbId *inputs, *outputs;              /* FB_NONE: absent optional */
    size_t attribute_count;
    FbAttribute *attributes;
    FbBytes extra;                       /* metadata_props and unknown fields, byte for byte */
    int64_t order;                       /* nodes are written by topology, ties by this */
    bool removed;
    FbId id;                             /* its index in the graph's nodes */
    FbNode *quantize, *dequantize;       /* a folded Quant: the detached nodes it came from; NULL for one made here */
};

typedef struct FbValue {
    const char *name;      /* unique in its graph, not empty */
    FbDtype dtype;         /* NONE: not declared */
    FbShape shape;         /* rank -1: not declared */
    FbId producer;         /* node, or FB_NONE */
    FbConst *constant;     /* initializer or Constant node's value, or an encoded weight; NULL otherwise */
    FbId outer;            /* in a subgraph: the value of the parent graph that this name refers to; FB_NONE */
    bool is_input;         /* listed in the graph's inputs (an initializer may be, too) */
    bool is_initializer;   /* written as an initializer (constant is set) */
    bool has_info;         /* the file has a value_info for it */
    FbBytes type_raw;      /* TypeProto as in the file (for kinds that are not tensors, and denotations); empty otherwise */
    FbBytes info_extra;    /* ValueInfoProto's other fields, byte for byte */
} FbValue;

struct FbGraph {
    FbContext *context;
    FbArena *arena;
    FbGraph *parent;                 /* of a subgraph; NULL */
    size_t slot;                     /* of a subgraph: its index in the parent's list */
    const char *name, *doc;
    FbNode **nodes;  size_t node_count, node_capacity;   /* indexed by node id; removed ones stay, flagged */
    FbValue *values; size_t value_count, value_capacity; /* indexed by value id */
    FbId *inputs;    size_t input_count, input_capacity;
    FbId *outputs;   size_t output_count, output_capacity;
    FbId *initializers; size_t initializer_count, initializer_capacity; /* in file order */
    FbConst **constants; size_t constant_count, constant_capacity; /* all of fb_graph_new_const */
    FbGraph **subgraphs; size_t subgraph_count, subgraph_capacity; /* graphs of attributes, freed with this one */
    FbId *infos;     size_t info_count, info_capacity;   /* value_info in file order */
    const char **symbols; size_t symbol_count, symbol_capacity; /* dimension symbol k is stored as -(k + 2) */
    struct FbNameTable *names;       /* value name -> id */
    FbBytes extra;                   /* quantization_annotation, metadata_props, unknown fields */
    int64_t next_order;
    size_t read_count;               /* nodes below this id came from a file, with their names */
    FbId *written; size_t written_count; /* of the writer's own clone: its nodes in the order of the file */
};

FbStatus fb_graph_create(FbContext *context, FbGraph *parent, FbGraph **graph, FbError *err);
void fb_graph_free(FbGraph *graph);      /* with its subgraphs and constants' references; NULL is fine */
FbStatus fb_graph_clone(const FbGraph *graph, FbGraph **clone, FbError *err); /* same ids, shared constant bytes */
/* Attributes in the arena of `graph`, which must own their tensors and graphs. */
FbStatus fb_graph_copy_attributes(FbGraph *graph, const FbAttribute *from, size_t count, FbAttribute **out, FbError *err);

FbId fb_graph_find_value(const FbGraph *graph, const char *name);             /* FB_NONE: unknown */
/* Looks in this graph, then makes (once) a value with `outer` set when an enclosing graph has the name. */
FbStatus fb_graph_resolve(FbGraph *graph, const char *name, FbId *value, FbError *err);
/* A new value; a name that exists is FB_ERR_FORMAT. The name is copied. */
FbStatus fb_graph_add_value(FbGraph *graph, const char *name, FbId *value, FbError *err);
/* `base`, or base_1, base_2, ...: a value name that is free. Lives in the arena; NULL: no memory. */
const char *fb_graph_unique_name(FbGraph *graph, const char *base);
/* A new node at the end (or with the order key of `beside` when not FB_NONE). Arrays are copied. Sets the outputs' producer. */
FbStatus fb_graph_add_node(FbGraph *graph, const char *domain, const char *op_type, int version, const char *name, const FbId *inputs,
                           size_t input_count, const FbId *outputs, size_t output_count, FbId beside, FbId *node, FbError *err);
/* The caller fills what the arena-allocated FbConst needs; planes' references are taken over by the graph. */
FbConst *fb_graph_new_const(FbGraph *graph);
/* A constant with the same bytes as `from`, which may belong to another graph; NULL: no memory. */
FbConst *fb_graph_share_const(FbGraph *graph, const FbConst *from);
/* What a value is known to be: its constant, or that of the enclosing graph's value it stands for; NULL. */
FbConst *fb_graph_constant(const FbGraph *graph, FbId value);
/* Makes `constant` the value's initializer (appended to the list). */
FbStatus fb_graph_set_initializer(FbGraph *graph, FbId value, FbConst *constant, FbError *err);
/* The value is no longer an initializer nor, as such, an input; its constant stays. */
void fb_graph_drop_initializer(FbGraph *graph, FbId value);
/* A name that exists is FB_ERR_FORMAT. The name is copied. */
FbStatus fb_graph_rename_value(FbGraph *graph, FbId value, const char *name, FbError *err);
/* The name as it is written: of the value in the outermost graph that `value` stands for. */
const char *fb_graph_value_name(const FbGraph *graph, FbId value);
/* A constant from memory (bytes copied) as an initializer value named `name`. */
FbStatus fb_graph_add_constant(FbGraph *graph, const char *name, const FbTensor *tensor, FbId *value, FbError *err);
FbStatus fb_graph_set_attribute_int(FbGraph *graph, FbId node, const char *name, int64_t i, FbError *err);   /* adds or replaces */
FbStatus fb_graph_set_attribute_float(FbGraph *graph, FbId node, const char *name, float f, FbError *err);
FbStatus fb_graph_set_attribute_ints(FbGraph *graph, FbId node, const char *name, const int64_t *ints, size_t count, FbError *err);
FbStatus fb_graph_set_attribute_string(FbGraph *graph, FbId node, const char *name, const char *s, FbError *err);
FbStatus fb_graph_add_input(FbGraph *graph, FbId value, FbError *err);
FbStatus fb_graph_add_output(FbGraph *graph, FbId value, FbError *err);
int64_t fb_graph_symbol(FbGraph *graph, const char *name);  /* the dimension number of a symbol, made when new; 0: no memory;
                                                               FB_DIM_UNKNOWN when there are too many */
const char *fb_graph_symbol_name(const FbGraph *graph, int64_t dim); /* NULL for unknown */

void fb_graph_remove_node(FbGraph *graph, FbId node);        /* outputs lose their producer */
void fb_graph_restore_node(FbGraph *graph, FbId node);       /* the reverse */
FbStatus fb_graph_set_inputs(FbGraph *graph, FbId node, const FbId *inputs, size_t count, FbError *err); /* replaces the list */
FbStatus fb_graph_add_node_output(FbGraph *graph, FbId node, FbId value, FbError *err); /* behind those there are; nobody may make `value` yet */
void fb_graph_drop_attribute(FbGraph *graph, FbId node, const char *name);
void fb_graph_set_input(FbGraph *graph, FbId node, size_t index, FbId value);
/* Every use of `from` as node input (and graph output when `outputs`) becomes `to`; subgraphs' outer references follow. */
void fb_graph_replace_uses(FbGraph *graph, FbId from, FbId to, bool outputs);
bool fb_graph_is_output(const FbGraph *graph, FbId value);
/* The same for all values at once: flags by value id. */
FbStatus fb_graph_output_flags(const FbGraph *graph, FbArena *arena, const bool **flags, FbError *err);

/* Uses of every value, built on demand; stale after an edit. Uses from inside subgraphs count with their owning node and index FB_NONE. */
typedef struct FbUse { FbId node; uint32_t index; } FbUse;
typedef struct FbUses { const uint32_t *start; const FbUse *items; } FbUses; /* value v: items[start[v] .. start[v+1]) */
FbStatus fb_graph_uses(const FbGraph *graph, FbArena *arena, FbUses *uses, FbError *err);
/* Live nodes in topological order, ties by order key; a cycle or an input that nothing defines is FB_ERR_FORMAT naming the node. */
FbStatus fb_graph_sort(const FbGraph *graph, FbArena *arena, FbId **order, size_t *count, FbError *err);

const FbAttribute *fb_node_attribute(const FbNode *node, const char *name); /* NULL: absent */
static inline bool fb_node_is(const FbNode *node, const char *domain, const char *op_type);

#include <string.h>
static inline bool fb_node_is(const FbNode *node, const char *domain, const char *op_type)
{
    return strcmp(node->op_type, op_type) == 0 && strcmp(node->domain, domain) == 0;
}

#endif
