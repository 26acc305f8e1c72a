"""What the maker and the reader of language cases share: weights by name and seed, so that none are stored."""
import zlib

import numpy

TOKENS = 40
ROWS = [0, 1, 7, 18, 19, 20, 31, 39]  # whose logits are kept; the second run of a split prompt begins at 19


def weight(name, shape):
    """The tensor of that name: norms near 1, biases small, matrices large enough that attention is not flat."""
    random = numpy.random.default_rng([29, zlib.crc32(name.encode())])
    values = random.standard_normal(shape)
    if len(shape) == 1:
        return (values * 0.2 + (0.0 if name.endswith("bias") else 1.0)).astype(numpy.float32)
    if "embed" in name or "wte" in name or "wpe" in name:
        return values.astype(numpy.float32)
    inputs = shape[-2] if ".c_" in name else shape[-1]
    return (values * 1.5 / inputs**0.5).astype(numpy.float32)


def tokens(vocabulary):
    return numpy.random.default_rng(31).integers(0, vocabulary, TOKENS).tolist()
