"""Are two ONNX files the same model? Nodes, names, order, attributes, weights, and ONNX Runtime's output bits."""
import numpy as np
import onnx
import onnxruntime as ort
from onnx import AttributeProto, TensorProto, helper, numpy_helper


def tensor_key(tensor):
    if tensor.data_type == TensorProto.STRING:
        return (tensor.name, tuple(tensor.dims), tuple(tensor.string_data))
    return (tensor.name, tensor.data_type, tuple(tensor.dims), numpy_helper.to_array(tensor).tobytes(), tensor.doc_string)


def attribute_key(attribute):
    value = attribute
    if attribute.type == AttributeProto.TENSOR and not attribute.ref_attr_name:
        value = tensor_key(attribute.t)
    elif attribute.type == AttributeProto.GRAPH and not attribute.ref_attr_name:
        value = graph_key(attribute.g)
    elif attribute.type == AttributeProto.GRAPHS:
        value = tuple(graph_key(g) for g in attribute.graphs)
    else:
        value = attribute.SerializeToString(deterministic=True)
    return (attribute.name, attribute.type, attribute.ref_attr_name, attribute.doc_string, value)


def node_key(node):
    return (node.op_type, "" if node.domain == "ai.onnx" else node.domain, node.name, tuple(node.input), tuple(node.output),
            tuple(attribute_key(a) for a in node.attribute), node.doc_string, node.overload,
            tuple((p.key, p.value) for p in node.metadata_props))


def info_key(info):
    return info.SerializeToString(deterministic=True)


def graph_key(graph):
    return {
        "name": graph.name, "doc": graph.doc_string, "nodes": [node_key(n) for n in graph.node],
        "initializers": [tensor_key(t) for t in graph.initializer],
        "inputs": [info_key(i) for i in graph.input], "outputs": [info_key(i) for i in graph.output],
        "infos": [info_key(i) for i in graph.value_info],
        "annotations": [q.SerializeToString(deterministic=True) for q in graph.quantization_annotation],
        "metadata": [(p.key, p.value) for p in graph.metadata_props],
    }


def function_key(f):
    return (f.name, f.domain, f.overload, tuple(f.input), tuple(f.output), tuple(f.attribute), tuple(node_key(n) for n in f.node),
            tuple(attribute_key(a) for a in f.attribute_proto), tuple(info_key(i) for i in f.value_info),
            tuple((o.domain, o.version) for o in f.opset_import))


def first_difference(a, b):
    """The first thing that differs between two loaded models, or None."""
    for field in ("ir_version", "producer_name", "producer_version", "domain", "model_version", "doc_string"):
        if getattr(a, field) != getattr(b, field):
            return f"{field}: {getattr(a, field)!r} became {getattr(b, field)!r}"
    if [(o.domain, o.version) for o in a.opset_import] != [(o.domain, o.version) for o in b.opset_import]:
        return "opset_import"
    if [(p.key, p.value) for p in a.metadata_props] != [(p.key, p.value) for p in b.metadata_props]:
        return "metadata_props"
    if [function_key(f) for f in a.functions] != [function_key(f) for f in b.functions]:
        return "functions"
    x, y = graph_key(a.graph), graph_key(b.graph)
    for part in x:
        if x[part] != y[part]:
            if isinstance(x[part], list):
                if len(x[part]) != len(y[part]):
                    return f"{part}: {len(x[part])} became {len(y[part])}"
                for i, (p, q) in enumerate(zip(x[part], y[part])):
                    if p != q:
                        return f"{part}[{i}]: {str(p)[:300]} became {str(q)[:300]}"
            return f"{part}: {x[part]!r} became {y[part]!r}"
    return None


def inputs_for(session, seed=7):
    rng = np.random.default_rng(seed)
    types = {"tensor(float)": np.float32, "tensor(float16)": np.float16, "tensor(double)": np.float64, "tensor(int64)": np.int64,
             "tensor(int32)": np.int32, "tensor(uint8)": np.uint8, "tensor(int8)": np.int8, "tensor(bool)": np.bool_,
             "tensor(uint16)": np.uint16, "tensor(int16)": np.int16}
    feeds = {}
    for port in session.get_inputs():
        shape = [d if isinstance(d, int) and d > 0 else 2 for d in port.shape]
        kind = np.dtype(types[port.type])
        if kind.kind == "f":
            feeds[port.name] = rng.standard_normal(shape).astype(kind)
        elif kind.kind == "b":
            feeds[port.name] = rng.integers(0, 2, shape).astype(kind)
        else:
            feeds[port.name] = rng.integers(0, 2, shape).astype(kind)
    return feeds


def run(path, feeds=None):
    options = ort.SessionOptions()
    options.log_severity_level = 3
    options.intra_op_num_threads = 1
    session = ort.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    feeds = inputs_for(session) if feeds is None else feeds
    return feeds, session.run(None, feeds)


def same_bits(path_a, path_b):
    feeds, a = run(path_a)
    _, b = run(path_b, feeds)
    return len(a) == len(b) and all(np.asarray(x).tobytes() == np.asarray(y).tobytes() for x, y in zip(a, b))


def compare_files(path_a, path_b, execute=True):
    """None when the same, else what differs."""
    onnx.checker.check_model(path_b)
    difference = first_difference(onnx.load(path_a), onnx.load(path_b))
    if difference is None and execute and not same_bits(path_a, path_b):
        difference = "ONNX Runtime's outputs differ"
    return difference
