"""The cases of microsoft_operators.py: per operator, variants of types, shapes, attributes and optional inputs, with seeded numbers."""
from dataclasses import dataclass, field

import numpy as np

F32, U8, S8 = np.float32, np.uint8, np.int8


@dataclass
class Case:
    name: str
    op_type: str
    inputs: list                      # arrays, None: absent
    outputs: list = field(default_factory=lambda: [F32])  # types; None: not asked for
    attributes: dict = field(default_factory=dict)
    fed: tuple = (0,)                 # which inputs are fed; the others are constants of the file
    precise: bool = True              # ONNX Runtime must be kept from saturating sums, which needs its optimizations; s8 x s8 needs neither


def seeded(name):
    return np.random.default_rng(sum(map(ord, name)))


def codes(rng, dtype, *shape):
    info = np.iinfo(dtype)
    return rng.integers(info.min, info.max + 1, shape).astype(dtype)


def reals(rng, *shape, scale=1.0):
    return (scale * rng.standard_normal(shape)).astype(F32)


def zero_of(rng, dtype, *shape):
    low, high = (100, 156) if dtype == U8 else (-20, 20)
    return np.asarray(rng.integers(low, high, shape), dtype)


def scale_of(rng, unit, *shape):
    return np.asarray(unit * rng.uniform(0.5, 1.5, shape), F32)


def per_axis(rng, dtype, count, many, unit):
    """Scale and zero point of a weight: one, or one per column."""
    shape = (count,) if many else ()
    return scale_of(rng, unit, *shape), zero_of(rng, dtype, *shape)


# ---- element-wise operators on codes ----

def pairs(op_type):
    rng = seeded(op_type)
    for dtype in (U8, S8):
        for left, right in (((2, 5, 7), (2, 5, 7)), ((2, 5, 7), (5, 1)), ((1,), (3, 64)), ((3, 4, 33), (33,))):
            for bare in (False, True):
                zeros = [zero_of(rng, dtype) for _ in range(3)]
                inputs = [codes(rng, dtype, *left), scale_of(rng, 0.02), zeros[0], codes(rng, dtype, *right), scale_of(rng, 0.03), zeros[1],
                          scale_of(rng, 0.05)] + ([] if bare else zeros[2:])
                yield Case(f"{dtype.__name__} {left} {right} bare {bare}", op_type, inputs, [dtype], fed=(0, 3))


def unary(op_type, unit, attributes=({},)):
    rng = seeded(op_type)
    for dtype in (U8, S8):
        for shape in ((256,), (2, 3, 5, 7)):
            for given in attributes:
                for bare in (False, True):
                    inputs = [codes(rng, dtype, *shape), scale_of(rng, 0.04), None if bare else zero_of(rng, dtype), scale_of(rng, unit),
                              None if bare else zero_of(rng, dtype)]
                    yield Case(f"{dtype.__name__} {shape} {given} bare {bare}", op_type, inputs, [dtype], given)


def concat():
    rng = seeded("concat")
    for dtype in (U8, S8):
        for axis, shapes in ((1, [(2, 3, 4), (2, 1, 4)]), (-1, [(5, 2), (5, 7), (5, 1)]), (0, [(3, 2)])):
            inputs = [scale_of(rng, 0.03), zero_of(rng, dtype)]
            for shape in shapes:
                inputs += [codes(rng, dtype, *shape), scale_of(rng, 0.03), zero_of(rng, dtype)]
            yield Case(f"{dtype.__name__} {axis} {shapes}", "QLinearConcat", inputs, [dtype], {"axis": axis},
                       tuple(2 + 3 * k for k in range(len(shapes))))


def global_pool():
    rng = seeded("global pool")
    for dtype in (U8, S8):
        for last in (0, 1):
            for shape in ((2, 5, 7, 9), (1, 64, 7, 7), (1, 3, 11)):
                if last and len(shape) == 3:
                    continue
                inputs = [codes(rng, dtype, *shape), scale_of(rng, 0.04), zero_of(rng, dtype), scale_of(rng, 0.01), zero_of(rng, dtype)]
                yield Case(f"{dtype.__name__} {shape} last {last}", "QLinearGlobalAveragePool", inputs, [dtype], {"channels_last": last})


def average_pool():
    rng = seeded("average pool")
    variants = [dict(kernel_shape=[2, 2], strides=[2, 2]), dict(kernel_shape=[3, 3], pads=[1, 1, 1, 1]),
                dict(kernel_shape=[3, 2], pads=[1, 0, 1, 1], strides=[2, 1], count_include_pad=1),
                dict(kernel_shape=[3, 3], strides=[2, 2], ceil_mode=1), dict(kernel_shape=[3, 3], strides=[2, 2], auto_pad="SAME_UPPER"),
                dict(kernel_shape=[2, 2], auto_pad="VALID"),
                dict(kernel_shape=[3, 3], strides=[2, 2], pads=[0, 1, 0, 0], ceil_mode=1, count_include_pad=1)]
    for dtype in (U8, S8):
        for given in variants:
            for last in (0, 1):
                shape = (2, 9, 8, 5) if last else (2, 5, 9, 8)
                inputs = [codes(rng, dtype, *shape), scale_of(rng, 0.04), zero_of(rng, dtype), scale_of(rng, 0.02), zero_of(rng, dtype)]
                yield Case(f"{dtype.__name__} {given} last {last}", "QLinearAveragePool", inputs, [dtype], dict(given, channels_last=last))


def softmax():
    rng = seeded("softmax")
    for dtype in (U8, S8):
        for opset, axis, shape in ((13, -1, (4, 10)), (13, 1, (2, 5, 3)), (11, 1, (2, 5, 3)), (13, -1, (3, 1000)), (12, -1, (3, 4, 5))):
            low = np.asarray(0 if dtype == U8 else -128, dtype)
            inputs = [codes(rng, dtype, *shape), scale_of(rng, 0.03), zero_of(rng, dtype), F32(1 / 256), low]
            yield Case(f"{dtype.__name__} {opset} {axis} {shape}", "QLinearSoftmax", inputs, [dtype], {"opset": opset, "axis": axis})


# ---- products of codes ----

def gemm():
    rng = seeded("gemm")
    for a_type, b_type in ((U8, U8), (U8, S8), (S8, S8)):
        for m, n, k in ((3, 5, 7), (17, 70, 300), (1, 1000, 64)):
            for many, transposed, with_c, quantized in ((False, 0, True, True), (True, 1, True, True), (True, 0, False, True),
                                                        (False, 1, True, False), (True, 0, True, False)):
                b = codes(rng, b_type, *((n, k) if transposed else (k, n)))
                scale, zero = per_axis(rng, b_type, n, many, 0.01)
                inputs = [codes(rng, a_type, m, k), scale_of(rng, 0.02), zero_of(rng, a_type), b, scale, zero,
                          rng.integers(-3000, 3000, n).astype(np.int32) if with_c else None]
                if quantized:
                    inputs += [scale_of(rng, 0.03 * np.sqrt(k)), zero_of(rng, a_type)]
                yield Case(f"{a_type.__name__} {b_type.__name__} {m}x{n}x{k} many {many} transB {transposed} C {with_c} quantized {quantized}",
                           "QGemm", inputs, [a_type if quantized else F32], {"transB": transposed}, precise=a_type == U8)
    a = codes(rng, U8, 6, 4)
    inputs = [a, F32(0.02), np.uint8(120), codes(rng, U8, 6, 3), F32(0.03), np.uint8(130), rng.integers(-300, 300, (4, 1)).astype(np.int32)]
    yield Case("transA alpha", "QGemm", inputs, [F32], {"transA": 1, "alpha": 0.5})


def to_float():
    rng = seeded("to float")
    for a_type, b_type in ((U8, U8), (U8, S8), (S8, S8)):
        for shape, other in (((3, 7), (7, 5)), ((2, 3, 40), (40, 33)), ((2, 4, 3, 8), (2, 4, 8, 6))):
            for many in (False, True):
                for bare in (False, True):
                    n, batched = other[-1], len(other) > 2
                    scale, zero = per_axis(rng, b_type, n, many and not batched, 0.01)
                    inputs = [codes(rng, a_type, *shape), codes(rng, b_type, *other), scale_of(rng, 0.02), scale,
                              None if bare else zero_of(rng, a_type), None if bare else zero, None if bare else reals(rng, n)]
                    yield Case(f"{a_type.__name__} {b_type.__name__} {shape} {other} many {many} bare {bare}", "MatMulIntegerToFloat", inputs,
                               precise=a_type == U8)


def dynamic_matmul():
    rng = seeded("dynamic")
    for b_type in (U8, S8):
        for shape, other in (((3, 7), (7, 5)), ((2, 3, 40), (40, 33)), ((1, 128, 384), (384, 96))):
            for many, bare in ((False, True), (True, False), (False, False)):
                scale, zero = per_axis(rng, b_type, other[-1], many, 0.01)
                inputs = [reals(rng, *shape), codes(rng, b_type, *other), scale, None if bare else zero, None if bare else reals(rng, other[-1])]
                yield Case(f"{b_type.__name__} {shape} {other} many {many} bare {bare}", "DynamicQuantizeMatMul", inputs)


# ---- products with weights of few bits ----

def nbits():
    rng = seeded("nbits")
    for bits in (2, 4, 8):
        for k, n, block in ((64, 5, 32), (100, 33, 16), (256, 70, 64)):
            for zeros in ("none", "packed", "float"):
                blocks = -(-k // block)
                packed = codes(rng, U8, n, blocks, block * bits // 8)
                zero = {"none": None, "packed": codes(rng, U8, n, -(-blocks * bits // 8)),
                        "float": (rng.uniform(0, 2 ** bits - 1, (n, blocks))).astype(F32)}[zeros]
                inputs = [reals(rng, 3, k), packed, np.abs(reals(rng, n, blocks, scale=0.1)) + F32(0.01), zero]
                if k == 256:
                    inputs += [None, reals(rng, n)]
                if bits != 4 and zeros == "float":
                    continue  # ONNX Runtime's own kernel serves real zero points for 4 bits
                yield Case(f"{bits} bits {k}x{n} block {block} zeros {zeros}", "MatMulNBits", inputs,
                           attributes=dict(K=k, N=n, bits=bits, block_size=block))


# ---- the LSTM ----

def lstm():
    """One sequence: of several, ONNX Runtime quantizes h over the range of all of them together, fewbit each on its own."""
    rng = seeded("lstm")
    for dtype in (U8, S8):
        for direction in ("forward", "reverse", "bidirectional"):
            for many, full in ((False, False), (True, True)):
                d, time, batch, size, hidden = 2 if direction == "bidirectional" else 1, 7, 1, 10, 16
                shape = (d, 4 * hidden) if many else (d,)
                zero = (lambda: np.zeros(shape, dtype)) if dtype == S8 else (lambda: np.full(shape, 128, dtype))
                inputs = [reals(rng, time, batch, size), codes(rng, dtype, d, size, 4 * hidden), codes(rng, dtype, d, hidden, 4 * hidden),
                          reals(rng, d, 8 * hidden, scale=0.2) if full else None, np.int32([5]) if full else None,
                          reals(rng, d, batch, hidden, scale=0.3) if full else None, reals(rng, d, batch, hidden, scale=0.3) if full else None,
                          reals(rng, d, 3 * hidden, scale=0.1) if full else None, scale_of(rng, 0.003, *shape), zero(),
                          scale_of(rng, 0.003, *shape), zero()]
                yield Case(f"{dtype.__name__} {direction} many {many}", "DynamicQuantizeLSTM", inputs, [F32, F32, F32],
                           {"hidden_size": hidden, "direction": direction})


# ---- element-wise and fused operators in float ----

def gelus(op_type, biases, attributes=({},)):
    rng = seeded(op_type)
    for shape in ((40,), (2, 3, 33)):
        for bias in biases:
            for given in attributes:
                inputs = [reals(rng, *shape, scale=3)] + ([reals(rng, shape[-1])] if bias else [])
                yield Case(f"{shape} bias {bias} {given}", op_type, inputs, attributes=given)


ACTIVATIONS = [("", []), ("Relu", []), ("LeakyRelu", [0.2]), ("Sigmoid", []), ("Tanh", []), ("Clip", [-0.5, 0.7]), ("HardSigmoid", [0.3, 0.4])]


def fused_conv():
    rng = seeded("fused conv")
    for name, numbers in ACTIVATIONS:
        for bias, z in ((False, False), (True, False), (True, True)):
            given = {"activation": name, **({"activation_params": numbers} if numbers else {})} if name else {}
            if not name and not z:
                continue
            inputs = [reals(rng, 2, 4, 9, 8), reals(rng, 6, 4, 3, 3, scale=0.3), reals(rng, 6) if bias else None,
                      reals(rng, 2, 6, 9, 8) if z else None]
            yield Case(f"{name} bias {bias} z {z}", "FusedConv", inputs, attributes=dict(given, pads=[1, 1, 1, 1], kernel_shape=[3, 3]), fed=(0, 3))


def fused_gemm():
    rng = seeded("fused gemm")
    for name, numbers in ACTIVATIONS[1:6]:
        given = dict(zip(("activation_alpha", "activation_beta"), numbers)) if name != "Clip" else {}
        if name == "Clip":
            continue
        for trans_b in (0, 1):
            inputs = [reals(rng, 5, 20), reals(rng, *((7, 20) if trans_b else (20, 7))), reals(rng, 7)]
            yield Case(f"{name} {trans_b}", "FusedGemm", inputs, attributes=dict(given, activation=name, transB=trans_b, alpha=0.5, beta=2.0))


def fused_matmul():
    rng = seeded("fused matmul")
    for a, b, given in (((3, 5), (5, 4), {}), ((5, 3), (5, 4), {"transA": 1}), ((2, 3, 5), (2, 4, 5), {"transB": 1}),
                        ((2, 6, 5, 3), (6, 4, 5), {"transA": 1, "transB": 1}), ((3, 2, 6, 5), (2, 6, 5, 4), {"transBatchA": 1}),
                        ((3, 2, 6, 5), (5, 2, 6, 4), {"transBatchA": 1, "transBatchB": 1}),
                        ((2, 6, 3, 5), (4, 2, 6, 5), {"transBatchB": 1, "transB": 1}), ((5, 2, 6, 3), (2, 6, 5, 4), {"transBatchA": 1, "transA": 1})):
        yield Case(f"{a} {b} {given}", "FusedMatMul", [reals(rng, *a), reals(rng, *b)], attributes=dict(given, alpha=0.125), fed=(0, 1))


def skip_norm(simple):
    op_type = "SkipSimplifiedLayerNormalization" if simple else "SkipLayerNormalization"
    rng = seeded(op_type)
    for shape, skip in (((2, 5, 32), (2, 5, 32)), ((2, 5, 32), (1, 5, 32)), ((2, 5, 32), (5, 32)), ((7, 48), (7, 48))):
        if simple and shape != skip:
            continue
        for bias in (False, True):
            hidden = shape[-1]
            inputs = [reals(rng, *shape), reals(rng, *skip), reals(rng, hidden)] + ([] if simple else [reals(rng, hidden) if bias else None])
            inputs += [reals(rng, hidden)] if bias else []
            outputs = [F32, None, None, F32] if bias else [F32]
            yield Case(f"{shape} {skip} bias {bias}", op_type, inputs, outputs, {"epsilon": 1e-5}, fed=(0, 1))


def embed():
    rng = seeded("embed")
    for segments in (False, True):
        for mask in (False, True):
            for positions in (False, True):
                def ids(limit, batch=2):
                    return rng.integers(0, limit, (batch, 6)).astype(np.int32)
                inputs = [ids(50), ids(2) if segments else None, reals(rng, 50, 24), reals(rng, 16, 24), reals(rng, 2, 24) if segments else None,
                          reals(rng, 24), reals(rng, 24), np.int32([[1] * 6, [1, 1, 1, 0, 0, 0]]) if mask else None]
                inputs += [ids(16, 1)] if positions else []
                fed = tuple(k for k in (0, 1, 7, 8) if k < len(inputs) and inputs[k] is not None)
                yield Case(f"segments {segments} mask {mask} positions {positions}", "EmbedLayerNormalization", inputs, [F32, np.int32, F32],
                           {"epsilon": 1e-5}, fed)


# ---- attention ----

def masks(rng, batch, length):
    seen = np.arange(length)[None] < np.int32([[length], [length - 2]])[:batch]
    return [("none", None), ("ends", np.int32([length, length - 2])), ("ends and beginnings", np.int32([length, length - 2, 1, 0])),
            ("keys", seen.astype(np.int32)), ("pairs", (rng.random((batch, length, length)) < 0.7).astype(np.int32))]


def attention(quantized):
    rng = seeded("attention")
    batch, length, size, heads, hidden = 2, 6, 20, 4, 24
    for name, mask in masks(rng, batch, length):
        for causal in (0, 1):
            given = {"num_heads": heads, "unidirectional": causal}
            label = f"mask {name} causal {causal}"
            if not quantized:
                inputs = [reals(rng, batch, length, size), reals(rng, size, 3 * hidden, scale=0.3), reals(rng, 3 * hidden), mask]
                yield Case(label, "Attention", inputs, attributes=given)
                sizes = [hidden, hidden, 32]
                inputs = [reals(rng, batch, length, size), reals(rng, size, sum(sizes), scale=0.3), reals(rng, sum(sizes)), mask]
                yield Case(label + " sizes", "Attention", inputs, attributes=dict(given, qkv_hidden_sizes=sizes, scale=0.3))
                continue
            for w_type in (U8, S8):
                for many in (False, True):
                    scale, zero = per_axis(rng, w_type, 3 * hidden, many, 0.004)
                    if many:
                        zero = np.full(3 * hidden, 0 if w_type == S8 else 128, w_type)
                    inputs = [codes(rng, U8, batch, length, size), codes(rng, w_type, size, 3 * hidden), reals(rng, 3 * hidden), scale_of(rng, 0.02),
                              scale, mask, zero_of(rng, U8), zero]
                    yield Case(f"{label} {w_type.__name__} many {many}", "QAttention", inputs, attributes=given)


def all_operators():
    return [
        ("QLinearAdd", pairs("QLinearAdd")), ("QLinearMul", pairs("QLinearMul")), ("QLinearSigmoid", unary("QLinearSigmoid", 1 / 256)),
        ("QLinearLeakyRelu", unary("QLinearLeakyRelu", 0.04, ({}, {"alpha": 0.1}))), ("QLinearConcat", concat()),
        ("QLinearGlobalAveragePool", global_pool()), ("QLinearAveragePool", average_pool()), ("QLinearSoftmax", softmax()), ("QGemm", gemm()),
        ("MatMulIntegerToFloat", to_float()), ("DynamicQuantizeMatMul", dynamic_matmul()), ("MatMulNBits", nbits()),
        ("DynamicQuantizeLSTM", lstm()), ("Gelu", gelus("Gelu", (False,))), ("BiasGelu", gelus("BiasGelu", (True,))),
        ("FastGelu", gelus("FastGelu", (False, True))), ("QuickGelu", gelus("QuickGelu", (False,), ({}, {"alpha": 0.7}))),
        ("FusedConv", fused_conv()), ("FusedGemm", fused_gemm()), ("FusedMatMul", fused_matmul()),
        ("SkipLayerNormalization", skip_norm(False)), ("SkipSimplifiedLayerNormalization", skip_norm(True)),
        ("EmbedLayerNormalization", embed()), ("Attention", attention(False)), ("QAttention", attention(True)),
    ]
