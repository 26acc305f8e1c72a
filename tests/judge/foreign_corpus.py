"""Placements of QuantizeLinear and DequantizeLinear as other quantizers make them.

foreign_corpus.py ROUNDTRIP_PROGRAM [RUN_MODEL_PROGRAM]: every model, loaded and saved, must have the same nodes and the same ONNX Runtime
bits, and as many folded Quants and encoded weights as the case says; run by fewbit it must give ONNX Runtime's answer (graph optimisations
off, so that both round where the file says). make(folder) writes the models for other tests.
"""
import pathlib
import subprocess
import sys
import tempfile

import numpy as np
import onnx
from onnx import TensorProto as T
from onnx import helper as h
from onnx import numpy_helper

F32, U8, S8, S32, U16, S16, F16 = np.float32, np.uint8, np.int8, np.int32, np.uint16, np.int16, np.float16
TYPES = {F32: T.FLOAT, U8: T.UINT8, S8: T.INT8, U16: T.UINT16, S16: T.INT16}


class Build:
    """A model in the making: names are given, parameters become initializers."""

    def __init__(self, opset=13, x=(1, 3, 8, 8), x_type=T.FLOAT, extra=()):
        self.rng = np.random.default_rng(3)
        self.nodes, self.weights, self.outputs, self.opset, self.extra = [], [], [], opset, list(extra)
        self.inputs = [h.make_tensor_value_info("x", x_type, x)]

    def weight(self, name, array, dtype=None):
        array = np.asarray(array)
        if dtype is None:
            self.weights.append(numpy_helper.from_array(array, name))
        else:
            self.weights.append(h.make_tensor(name, dtype, array.shape, array.flatten().tolist()))
        return name

    def node(self, op, inputs, outputs, **attributes):
        outputs = [outputs] if isinstance(outputs, str) else outputs
        attributes.setdefault("name", f"{op}_{outputs[0]}")
        self.nodes.append(h.make_node(op, inputs, outputs, **attributes))
        return outputs[0]

    def q(self, x, y, scale=0.05, zero=128, kind=U8, params=None, **attributes):
        params = params or [self.weight(f"{y}_s", np.array(scale, F32)), self.weight(f"{y}_z", np.array(zero, kind))]
        return self.node("QuantizeLinear", [x, *params], y, **attributes)

    def dq(self, x, y, scale=0.05, zero=128, kind=U8, params=None, **attributes):
        params = params or [self.weight(f"{y}_s", np.array(scale, F32)), self.weight(f"{y}_z", np.array(zero, kind))]
        return self.node("DequantizeLinear", [x, *params], y, **attributes)

    def pair(self, x, y, **kw):
        """Q and DQ with the same parameter tensors."""
        q = self.q(x, f"{y}_q", **kw)
        return self.dq(q, y, params=list(self.nodes[-1].input[1:]), **{k: v for k, v in kw.items() if k in ("axis", "domain", "block_size")})

    def codes(self, name, shape, kind=S8, low=-100, high=100):
        return self.weight(name, self.rng.integers(low, high, shape).astype(kind))

    def conv_weight(self, name="w", out=4, channels=3):
        """An int8 weight with one scale per output channel, dequantized."""
        self.codes(f"{name}_quantized", (out, channels, 3, 3))
        self.weight(f"{name}_scale", (self.rng.random(out) * 0.01 + 0.001).astype(F32))
        self.weight(f"{name}_zero_point", np.zeros(out, S8))
        return self.dq(f"{name}_quantized", f"{name}_dq", params=[f"{name}_scale", f"{name}_zero_point"], axis=0)

    def output(self, name, dtype=T.FLOAT, shape=None):
        self.outputs.append(h.make_tensor_value_info(name, dtype, shape))

    def model(self):
        graph = h.make_graph(self.nodes, "foreign", self.inputs, self.outputs, self.weights)
        imports = [h.make_opsetid("", self.opset)] + [h.make_opsetid(d, 1) for d in self.extra]
        model = h.make_model(graph, opset_imports=imports, ir_version=min(10, h.find_min_ir_version_for(imports, True)))
        model = onnx.shape_inference.infer_shapes(model)  # outputs need a rank
        del model.graph.value_info[:]
        return model


CASES = {}


def case(quants, encoded):
    def keep(function):
        CASES[function.__name__] = (function, quants, encoded)
        return function
    return keep


def float_net():
    b = Build()
    b.weight("w1", b.rng.standard_normal((8, 3, 3, 3)).astype(F32) * 0.2)
    b.weight("b1", b.rng.standard_normal(8).astype(F32))
    b.weight("w2", b.rng.standard_normal((8, 5)).astype(F32))
    b.node("Conv", ["x", "w1", "b1"], "c1", pads=[1, 1, 1, 1])
    b.node("Relu", ["c1"], "r1")
    b.node("GlobalAveragePool", ["r1"], "g")
    b.node("Flatten", ["g"], "f")
    b.node("MatMul", ["f", "w2"], "y")
    b.output("y")
    return b.model()


def by_onnxruntime(activation, weight, per_channel=True, **options):
    from onnxruntime.quantization import CalibrationDataReader, QuantFormat, QuantType, quantize_static

    class Reader(CalibrationDataReader):
        def __init__(self):
            rng = np.random.default_rng(1)
            self.left = [{"x": rng.standard_normal((1, 3, 8, 8)).astype(F32)} for _ in range(4)]

        def get_next(self):
            return self.left.pop() if self.left else None

    with tempfile.TemporaryDirectory() as folder:
        onnx.save(float_net(), f"{folder}/in.onnx")
        quantize_static(f"{folder}/in.onnx", f"{folder}/out.onnx", Reader(), quant_format=QuantFormat.QDQ, per_channel=per_channel,
                        activation_type=getattr(QuantType, activation), weight_type=getattr(QuantType, weight), extra_options=options)
        return onnx.load(f"{folder}/out.onnx")


@case(quants=None, encoded=3)
def onnxruntime_u8_s8():
    return by_onnxruntime("QUInt8", "QInt8")


@case(quants=None, encoded=3)
def onnxruntime_s8_s8_per_tensor():
    return by_onnxruntime("QInt8", "QInt8", per_channel=False)


@case(quants=None, encoded=3)
def onnxruntime_dedicated_pairs():
    return by_onnxruntime("QUInt8", "QInt8", DedicatedQDQPair=True)


@case(quants=None, encoded=None)
def onnxruntime_pair_on_weights():
    return by_onnxruntime("QUInt8", "QInt8", AddQDQPairToWeight=True)


@case(quants=None, encoded=None)
def onnxruntime_u16():
    return by_onnxruntime("QUInt16", "QInt8")


@case(quants=2, encoded=0)
def nncf_pair_on_float_weight():
    b = Build()
    b.weight("w", b.rng.standard_normal((4, 3, 3, 3)).astype(F32))
    b.weight("w_s", (b.rng.random(4) * 0.01 + 0.01).astype(F32))
    b.weight("w_z", np.zeros(4, S8))
    b.node("QuantizeLinear", ["w", "w_s", "w_z"], "w_q", axis=0)
    b.node("DequantizeLinear", ["w_q", "w_s", "w_z"], "w_d", axis=0)
    b.pair("x", "xd")
    b.node("Conv", ["xd", "w_d"], "y")
    b.output("y")
    return b.model()


@case(quants=1, encoded=1)
def shared_dq_two_users():
    b = Build()
    b.pair("x", "xd")
    b.conv_weight()
    b.node("Conv", ["xd", "w_dq"], "c", pads=[1, 1, 1, 1])
    b.node("ReduceMean", ["xd"], "m", axes=[1])
    b.node("Add", ["c", "m"], "y")
    b.output("y")
    return b.model()


@case(quants=2, encoded=0)
def one_q_two_equal_dq():
    b = Build()
    b.q("x", "q")
    b.dq("q", "a", params=["q_s", "q_z"])
    b.dq("q", "b")  # other tensors, the same bits
    b.node("Mul", ["a", "b"], "y")
    b.output("y")
    return b.model()


@case(quants=0, encoded=0)
def one_q_two_unequal_dq():
    b = Build()
    b.q("x", "q")
    b.dq("q", "a", params=["q_s", "q_z"])
    b.dq("q", "b", scale=0.06)
    b.node("Mul", ["a", "b"], "y")
    b.output("y")
    return b.model()


@case(quants=0, encoded=0)
def unequal_zero_points():
    b = Build()
    b.q("x", "q")
    b.dq("q", "y", zero=127)
    b.output("y")
    return b.model()


@case(quants=0, encoded=0)
def integer_output():
    b = Build()
    b.q("x", "y")
    b.output("y", T.UINT8)
    return b.model()


@case(quants=0, encoded=0)
def codes_also_an_output():
    b = Build()
    b.q("x", "q")
    b.dq("q", "y", params=["q_s", "q_z"])
    b.output("y")
    b.output("q", T.UINT8)
    return b.model()


@case(quants=0, encoded=1)
def integer_input():
    b = Build(x_type=T.UINT8)
    b.dq("x", "xd")
    b.conv_weight()
    b.node("Conv", ["xd", "w_dq"], "y")
    b.output("y")
    return b.model()


@case(quants=2, encoded=0)
def requantization_chain():
    b = Build()
    b.pair("x", "a")
    b.pair("a", "b", scale=0.1, zero=0, kind=S8)
    b.node("Relu", ["b"], "y")
    b.output("y")
    return b.model()


@case(quants=1, encoded=0)
def dq_then_q():
    b = Build(x_type=T.UINT8)
    b.dq("x", "a", scale=0.02, zero=3)
    b.pair("a", "y")
    b.output("y")
    return b.model()


@case(quants=0, encoded=0)
def max_pool_on_codes():
    b = Build()
    b.q("x", "q")
    b.node("MaxPool", ["q"], "p", kernel_shape=[2, 2])
    b.dq("p", "y", params=["q_s", "q_z"])
    b.output("y")
    return b.model()


@case(quants=0, encoded=0)
def reshape_and_transpose_on_codes():
    b = Build()
    b.weight("shape", np.array([1, 3, 64]))
    b.q("x", "q")
    b.node("Reshape", ["q", "shape"], "r")
    b.node("Transpose", ["r"], "t", perm=[0, 2, 1])
    b.dq("t", "y", params=["q_s", "q_z"])
    b.output("y")
    return b.model()


@case(quants=1, encoded=0)
def per_channel_activation():
    b = Build()
    b.weight("s", np.array([0.01, 0.02, 0.03], F32))
    b.weight("z", np.array([0, 10, 200], U8))
    b.node("QuantizeLinear", ["x", "s", "z"], "q", axis=1)
    b.node("DequantizeLinear", ["q", "s", "z"], "y", axis=1)
    b.output("y")
    return b.model()


@case(quants=0, encoded=0)
def axes_that_disagree():
    b = Build(x=(1, 3, 3, 8))
    b.weight("s", np.array([0.01, 0.02, 0.03], F32))
    b.weight("z", np.array([0, 10, 200], U8))
    b.node("QuantizeLinear", ["x", "s", "z"], "q", axis=1)
    b.node("DequantizeLinear", ["q", "s", "z"], "y", axis=2)
    b.output("y")
    return b.model()


@case(quants=2, encoded=0)
def sixteen_bits():
    b = Build(opset=21)
    b.pair("x", "a", scale=0.0001, zero=32768, kind=U16)
    b.pair("a", "y", scale=0.0001, zero=0, kind=S16)
    b.output("y")
    return b.model()


@case(quants=1, encoded=0)
def sixteen_bits_microsoft():
    b = Build(opset=13, extra=["com.microsoft"])
    b.pair("x", "y", scale=0.0001, zero=32768, kind=U16, domain="com.microsoft")
    b.output("y", shape=(1, 3, 8, 8))
    return b.model()


@case(quants=1, encoded=1)
def transposed_weight_after_dq():
    b = Build(x=(2, 6))
    b.codes("w_quantized", (5, 6))
    b.weight("w_scale", (b.rng.random(5) * 0.01).astype(F32))
    b.weight("w_zero_point", np.zeros(5, S8))
    b.dq("w_quantized", "w_dq", params=["w_scale", "w_zero_point"], axis=0)
    b.node("Transpose", ["w_dq"], "wt", perm=[1, 0])
    b.pair("x", "xd")
    b.node("MatMul", ["xd", "wt"], "y")
    b.output("y")
    return b.model()


@case(quants=0, encoded=1)
def reshaped_weight_after_dq():
    b = Build(x=(2, 6))
    b.codes("w_quantized", (30,))
    b.weight("shape", np.array([6, 5]))
    b.dq("w_quantized", "w_dq", scale=0.01, zero=0, kind=S8)
    b.node("Reshape", ["w_dq", "shape"], "wr")
    b.node("MatMul", ["x", "wr"], "y")
    b.output("y")
    return b.model()


@case(quants=0, encoded=2)
def tied_weight_two_dq():
    b = Build(x=(2, 5))
    b.codes("w_quantized", (5, 5))
    b.dq("w_quantized", "a", scale=0.01, zero=0, kind=S8)
    b.dq("w_quantized", "b", scale=0.02, zero=1, kind=S8)
    b.node("MatMul", ["x", "a"], "m")
    b.node("MatMul", ["m", "b"], "y")
    b.output("y")
    return b.model()


@case(quants=0, encoded=1)
def tied_weight_one_dq():
    b = Build(x=(2, 5))
    b.codes("w_quantized", (5, 5))
    b.dq("w_quantized", "a", scale=0.01, zero=0, kind=S8)
    b.node("MatMul", ["x", "a"], "m")
    b.node("MatMul", ["m", "a"], "y")
    b.output("y")
    return b.model()


def branch(name, own_parameters):
    if own_parameters:
        weights = [numpy_helper.from_array(np.array(0.1, F32), f"{name}_s"), numpy_helper.from_array(np.array(7, U8), f"{name}_z")]
        params = [f"{name}_s", f"{name}_z"]
    else:
        weights, params = [], ["s", "z"]
    nodes = [h.make_node("QuantizeLinear", ["x", *params], [f"{name}_q"], name=f"{name}_Q"),
             h.make_node("DequantizeLinear", [f"{name}_q", *params], [f"{name}_y"], name=f"{name}_DQ")]
    return h.make_graph(nodes, name, [], [h.make_tensor_value_info(f"{name}_y", T.FLOAT, (1, 3, 8, 8))], weights)


@case(quants=2, encoded=0)
def inside_if():
    b = Build()
    b.inputs.append(h.make_tensor_value_info("c", T.BOOL, []))
    b.node("If", ["c"], "y", then_branch=branch("then", True), else_branch=branch("else", True))
    b.output("y")
    return b.model()


@case(quants=2, encoded=0)
def inside_if_parameters_outside():
    b = Build()
    b.inputs.append(h.make_tensor_value_info("c", T.BOOL, []))
    b.weight("s", np.array(0.2, F32))
    b.weight("z", np.array(100, U8))
    b.node("If", ["c"], "y", then_branch=branch("then", False), else_branch=branch("else", False))
    b.output("y")
    return b.model()


@case(quants=0, encoded=0)
def dq_inside_if_q_outside():
    b = Build()
    b.inputs.append(h.make_tensor_value_info("c", T.BOOL, []))
    b.q("x", "q")
    bodies = []
    for name in ("then", "else"):
        node = h.make_node("DequantizeLinear", ["q", "q_s", "q_z"], [f"{name}_y"], name=name)
        bodies.append(h.make_graph([node], name, [], [h.make_tensor_value_info(f"{name}_y", T.FLOAT, (1, 3, 8, 8))]))
    b.node("If", ["c"], "y", then_branch=bodies[0], else_branch=bodies[1])
    b.output("y")
    return b.model()


@case(quants=0, encoded=2)
def weight_dq_inside_if():
    b = Build(x=(2, 5))
    b.inputs.append(h.make_tensor_value_info("c", T.BOOL, []))
    b.codes("w_quantized", (2, 5))
    b.weight("s", np.array(0.2, F32))
    bodies = []
    for name in ("then", "else"):
        nodes = [h.make_node("DequantizeLinear", ["w_quantized", "s"], [f"{name}_w"]),
                 h.make_node("Mul", ["x", f"{name}_w"], [f"{name}_y"])]
        bodies.append(h.make_graph(nodes, name, [], [h.make_tensor_value_info(f"{name}_y", T.FLOAT, (2, 5))]))
    b.node("If", ["c"], "y", then_branch=bodies[0], else_branch=bodies[1])
    b.output("y")
    return b.model()


@case(quants=1, encoded=1)
def no_zero_points():
    b = Build(x=(2, 5))
    b.weight("s", np.array(0.02, F32))
    b.node("QuantizeLinear", ["x", "s"], "q")
    b.node("DequantizeLinear", ["q", "s"], "xd")
    b.codes("w_quantized", (5, 5))
    b.node("DequantizeLinear", ["w_quantized", "s"], "w")
    b.node("MatMul", ["xd", "w"], "y")
    b.output("y")
    return b.model()


@case(quants=0, encoded=0)
def zero_point_missing_in_dq():
    b = Build()
    b.weight("s", np.array(0.02, F32))
    b.weight("z", np.array(0, U8))
    b.node("QuantizeLinear", ["x", "s", "z"], "q")
    b.node("DequantizeLinear", ["q", "s"], "y")
    b.output("y")
    return b.model()


@case(quants=0, encoded=1)
def int4_weight_in_blocks():
    b = Build(opset=21, x=(2, 64))
    b.weight("w_quantized", b.rng.integers(-8, 8, (64, 8)), T.INT4)
    b.weight("w_scale", (b.rng.random((2, 8)) * 0.1).astype(F32))
    b.node("DequantizeLinear", ["w_quantized", "w_scale"], "w", axis=0, block_size=32)
    b.node("MatMul", ["x", "w"], "y")
    b.output("y")
    return b.model()


@case(quants=0, encoded=1)
def uint4_weight_odd_count():
    b = Build(opset=21, x=(2, 3))
    b.weight("w_quantized", b.rng.integers(0, 16, (3, 5)), T.UINT4)
    b.weight("w_scale", (b.rng.random(5) * 0.1).astype(F32))
    b.weight("w_zero_point", b.rng.integers(0, 16, 5), T.UINT4)
    b.node("DequantizeLinear", ["w_quantized", "w_scale", "w_zero_point"], "w", axis=1)
    b.node("MatMul", ["x", "w"], "y")
    b.output("y")
    return b.model()


@case(quants=0, encoded=1)
def float8_weight_and_activation():
    b = Build(opset=19, x=(2, 5))
    b.weight("w_quantized", b.rng.standard_normal((2, 5)), T.FLOAT8E4M3FN)
    b.weight("s", np.array(0.5, F32))
    b.weight("z", np.zeros(()), T.FLOAT8E4M3FN)
    b.node("DequantizeLinear", ["w_quantized", "s", "z"], "w")
    b.node("QuantizeLinear", ["x", "s", "z"], "q", saturate=1)
    b.node("DequantizeLinear", ["q", "s", "z"], "xd")
    b.node("Mul", ["xd", "w"], "y")
    b.output("y")
    return b.model()


@case(quants=1, encoded=1)
def parameters_in_constant_nodes():
    b = Build(x=(2, 5))
    b.node("Constant", [], "s", value_float=0.03)
    b.node("Constant", [], "z", value=numpy_helper.from_array(np.array(9, U8), "zero"))
    b.node("Constant", [], "w_quantized", value=numpy_helper.from_array(b.rng.integers(-9, 9, (5, 5)).astype(S8)))
    b.node("QuantizeLinear", ["x", "s", "z"], "q")
    b.node("DequantizeLinear", ["q", "s", "z"], "xd")
    b.node("DequantizeLinear", ["w_quantized", "s"], "w")
    b.node("MatMul", ["xd", "w"], "y")
    b.output("y")
    return b.model()


@case(quants=0, encoded=0)
def scale_at_run_time():
    b = Build()
    b.weight("by", np.array(255, F32))
    b.weight("z", np.array(0, U8))
    b.node("Abs", ["x"], "a")
    b.node("ReduceMax", ["a"], "m", keepdims=0)
    b.node("Div", ["m", "by"], "s")
    b.node("QuantizeLinear", ["a", "s", "z"], "q")
    b.node("DequantizeLinear", ["q", "s", "z"], "y")
    b.output("y")
    return b.model()


@case(quants=1, encoded=2)
def int32_bias():
    b = Build()
    b.pair("x", "xd")
    b.conv_weight()
    b.weight("b_quantized", b.rng.integers(-999, 999, 4).astype(S32))
    b.weight("b_scale", (b.rng.random(4) * 0.001).astype(F32))
    b.node("DequantizeLinear", ["b_quantized", "b_scale"], "b", axis=0)
    b.node("Conv", ["xd", "w_dq", "b"], "y")
    b.output("y")
    return b.model()


@case(quants=1, encoded=0)
def dq_is_the_output():
    b = Build()
    b.node("Relu", ["x"], "r")
    b.pair("r", "y")
    b.output("y")
    return b.model()


@case(quants=0, encoded=0)
def constant_dq_is_the_output():
    b = Build()
    b.codes("w_quantized", (4, 4))
    b.dq("w_quantized", "w", scale=0.1, zero=0, kind=S8)
    b.node("Relu", ["x"], "y")
    b.output("y")
    b.output("w")
    return b.model()


@case(quants=0, encoded=0)
def half_precision_scales():
    b = Build(opset=19, x=(2, 5), x_type=T.FLOAT16)
    b.weight("s", np.array(0.05, F16))
    b.weight("z", np.array(3, S8))
    b.node("QuantizeLinear", ["x", "s", "z"], "q")
    b.node("DequantizeLinear", ["q", "s", "z"], "y")
    b.output("y", T.FLOAT16)
    return b.model()


@case(quants=1, encoded=1)
def scales_of_one_element():
    b = Build(x=(2, 5))
    b.weight("s", np.array([0.05], F32))
    b.weight("z", np.array([3], S8))
    b.node("QuantizeLinear", ["x", "s", "z"], "q")
    b.node("DequantizeLinear", ["q", "s", "z"], "xd")
    b.codes("w_quantized", (5, 5))
    b.node("DequantizeLinear", ["w_quantized", "s", "z"], "w")
    b.node("MatMul", ["xd", "w"], "y")
    b.output("y")
    return b.model()


@case(quants=0, encoded=0)
def qlinear_conv():
    b = Build()
    b.q("x", "q")
    b.codes("w", (4, 3, 3, 3))
    b.weight("w_s", (b.rng.random(4) * 0.01 + 0.001).astype(F32))
    b.weight("w_z", np.zeros(4, S8))
    b.weight("y_s", np.array(0.1, F32))
    b.weight("y_z", np.array(120, U8))
    b.node("QLinearConv", ["q", "q_s", "q_z", "w", "w_s", "w_z", "y_s", "y_z"], "yq")
    b.dq("yq", "y", params=["y_s", "y_z"])
    b.output("y")
    return b.model()


@case(quants=1, encoded=0)
def parameters_listed_as_inputs():
    b = Build()
    b.pair("x", "y")
    b.inputs += [h.make_tensor_value_info("y_q_s", T.FLOAT, []), h.make_tensor_value_info("y_q_z", T.UINT8, [])]
    b.output("y")
    return b.model()


@case(quants=2, encoded=0)
def two_quants_of_one_value():
    b = Build()
    b.pair("x", "a")
    b.pair("x", "b", scale=0.01, zero=100)
    b.node("Add", ["a", "b"], "y")
    b.output("y")
    return b.model()


@case(quants=0, encoded=0)
def dynamic_quantization():
    b = Build(x=(2, 5))
    b.codes("w", (5, 4))
    b.weight("ws", np.array(0.01, F32))
    b.node("DynamicQuantizeLinear", ["x"], ["xq", "xs", "xz"])
    b.node("MatMulInteger", ["xq", "w", "xz"], "acc")
    b.node("Cast", ["acc"], "f", to=T.FLOAT)
    b.node("Mul", ["xs", "ws"], "m")
    b.node("Mul", ["f", "m"], "y")
    b.output("y")
    return b.model()


@case(quants=1, encoded=1)
def nodes_without_names():
    b = Build()
    b.pair("x", "xd")
    b.conv_weight()
    b.node("Conv", ["xd", "w_dq"], "y")
    b.output("y")
    model = b.model()
    for node in model.graph.node:
        node.ClearField("name")
    return model


@case(quants=1, encoded=1)
def dq_far_behind_its_q():
    b = Build()
    b.q("x", "q")
    b.conv_weight()
    b.node("Relu", ["x"], "r")
    b.dq("q", "xd", params=["q_s", "q_z"])
    b.node("Conv", ["xd", "w_dq"], "c", pads=[1, 1, 1, 1])
    b.node("ReduceMean", ["r"], "m", axes=[1])
    b.node("Add", ["c", "m"], "y")
    b.output("y")
    return b.model()


def make(folder):
    """Writes every model; returns {name: path}."""
    paths = {}
    for name, (function, _, _) in CASES.items():
        paths[name] = str(pathlib.Path(folder) / f"{name}.onnx")
        onnx.save(function(), paths[name])
    return paths


def run_by_fewbit(program, path, folder):
    """What differs from ONNX Runtime's answer, or None."""
    import onnxruntime as ort
    import onnx_same
    options = ort.SessionOptions()
    options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_DISABLE_ALL
    options.log_severity_level = 3
    session = ort.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    feeds = onnx_same.inputs_for(session)
    wanted = session.run(None, feeds)
    arguments = []
    for i, (name, array) in enumerate(feeds.items()):
        array.tofile(f"{folder}/in{i}")
        arguments.append(f"{name}={h.np_dtype_to_tensor_dtype(array.dtype)}:{'x'.join(map(str, array.shape))}:{folder}/in{i}")
    done = subprocess.run([program, path, f"{folder}/out", *arguments], capture_output=True, text=True)
    if done.returncode:
        return f"run: {done.stderr or done.returncode}"
    for k, want in enumerate(wanted):
        got = np.fromfile(f"{folder}/out.{k}.bin", want.dtype)
        if got.size != want.size:
            return f"run: output {k} has {got.size} elements, expected {want.size}"
        got, want = got.reshape(want.shape).astype(np.float64), want.astype(np.float64)
        spread = max(float(np.ptp(want)), 1e-6)
        if np.abs(got - want).max(initial=0) > 1e-5 * spread:
            return f"run: output {k} differs by {np.abs(got - want).max():.3g}, its range is {spread:.3g}"
    return None


def main():
    import onnx_same
    failed = 0
    with tempfile.TemporaryDirectory() as folder:
        for name, path in make(folder).items():
            out = path[:-5] + ".out.onnx"
            onnx.checker.check_model(path)
            done = subprocess.run([sys.argv[1], path, out], capture_output=True, text=True)
            difference = done.stderr or "crashed" if done.returncode else onnx_same.compare_files(path, out)
            if difference is None:
                got = [int(n) for n in done.stdout.split()]
                wanted = CASES[name][1:]
                if any(w is not None and w != g for w, g in zip(wanted, got)):
                    difference = f"folded {got} Quants and weights, expected {wanted}"
            if difference is None and len(sys.argv) > 2:
                difference = run_by_fewbit(sys.argv[2], path, folder)
            failed += difference is not None
            print("ok     " if difference is None else "FAILED ", name, done.stdout.split(), difference or "")
    print(f"foreign corpus: {len(CASES)} models, {failed} failed")
    return 1 if failed or len(CASES) < 24 else 0


if __name__ == "__main__":
    sys.exit(main())
