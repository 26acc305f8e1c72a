/* Rewrites a model for a newer ONNX operator set: nodes whose attributes or meaning changed on the way are adapted. */
#ifndef FB_PASSES_UPGRADE_OPSET_H
#define FB_PASSES_UPGRADE_OPSET_H

#include "graph/model.h"

/* FB_ERR_UNSUPPORTED names the node that cannot be adapted; the model is then half rewritten and only good for freeing. `to` at or below
 * the present version changes nothing. */
FbStatus fb_model_upgrade_opset(FbModel *model, int64_t to, FbError *err);
/* The IR version becomes at least the one that came with the model's operator set, and one that has initializers beside the inputs. */
void fb_model_raise_ir(FbModel *model);

#endif
