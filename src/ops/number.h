/* One element of any numeric type from a double, for the plain paths that serve the types no kernel is made for. */
#ifndef FB_OPS_NUMBER_H
#define FB_OPS_NUMBER_H

#include "ops/elements.h"

static inline void fb_number_set(FbTensor *tensor, int64_t i, double value)
{
    fb_work_store(tensor->dtype, tensor->data, i, FB_WORK_F64, &value, 1);
}

#endif
