"""Writes src/tensor/block_grids.c, the codebooks of the IQ1, IQ2 and IQ3 block types, from the Python package gguf 0.19 (quants.py).
usage: make_block_grids.py FILE"""
import sys

import numpy
from gguf import quants

GRIDS = [("iq2_xxs", quants.IQ2_XXS), ("iq2_xs", quants.IQ2_XS), ("iq2_s", quants.IQ2_S), ("iq1", quants.IQ1_S), ("iq3_xxs", quants.IQ3_XXS), ("iq3_s", quants.IQ3_S)]
HEAD = """/* The codebooks of the IQ1, IQ2 and IQ3 block types: facts of the format, written by tests/tensor/make_block_grids.py. An entry is eight indices
 * of 2 bits (IQ1, IQ2), or four of 3 bits (IQ3), into the type's levels; the first element's lowest. */
#include "tensor/block_grids.h"
"""


def main():
    out = HEAD
    for name, kind in GRIDS:
        kind.init_grid()
        values = kind.grid.reshape(kind.grid_shape)
        levels = list(kind.grid_map)
        indices = numpy.vectorize(levels.index)(values)
        bits = 3 if values.shape[1] == 4 else 2
        entries = [sum(int(index) << bits * i for i, index in enumerate(row)) for row in indices]
        out += f"\nconst uint16_t fb_grid_{name}[{len(entries)}] = {{\n"
        for at in range(0, len(entries), 16):
            out += "    " + " ".join(f"0x{entry:04x}," for entry in entries[at : at + 16]) + "\n"
        out += "};\n"
    with open(sys.argv[1], "w") as file:
        file.write(out)


main()
