/* Quantize and dequantize nodes, folded into Quant nodes and encoded constants where that can be undone exactly; and back.
 *
 * A Quant node: domain "fewbit", version 1, inputs (x, scale, zero or absent), one output: x rounded to the grid, as a real.
 * Attributes: "axis" and "block_size" as QuantizeLinear has them; "code", the FbDtype of the codes; "dtype", the FbDtype of the output.
 * scale and zero are constants. node->quantize and node->dequantize are the nodes it came from, removed but kept in the graph. */
#ifndef FB_PASSES_QUANT_FOLD_H
#define FB_PASSES_QUANT_FOLD_H

#include "graph/model.h"

/* Subgraphs too. A value that a folded DequantizeLinear computed from constants becomes an encoded constant. */
FbStatus fb_graph_fold_quants(FbGraph *graph, FbError *err);

/* The reverse, for writing: the nodes that were folded come back as they were; Quants and encoded constants made by fewbit get nodes and
 * names by ONNX Runtime's convention. `model` is a clone made for writing. Raises its operator set and IR version where that is needed. */
FbStatus fb_model_unfold_quants(FbModel *model, FbError *err);

#endif
