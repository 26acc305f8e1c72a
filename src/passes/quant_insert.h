/* Putting a Quant behind a value. */
#ifndef FB_PASSES_QUANT_INSERT_H
#define FB_PASSES_QUANT_INSERT_H

#include "graph/graph.h"

/* The parameters of a Quant as constants in the graph, `<name>_scale` and `<name>_zero_point`; one tensor, one range. */
FbStatus fb_quant_add_parameters(FbGraph *graph, const char *name, const FbCode *code, float scale, int32_t zero_point, FbId *scale_value,
                                 FbId *zero_value, FbError *err);
/* Every use of `value`, a graph output included, sees it quantized afterwards. `value` keeps its id and name, except that a graph output's
 * name (and id) goes to the quantized one, because it is fixed. *quantized: what users read. */
FbStatus fb_quant_insert(FbGraph *graph, FbId value, FbId scale, FbId zero, const FbCode *code, FbId *quantized, FbError *err);

#endif
