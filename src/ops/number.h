/* Elements of any numeric type as double, for the plain paths that serve the types no kernel is made for. */
#ifndef FB_OPS_NUMBER_H
#define FB_OPS_NUMBER_H

#include "tensor/tensor.h"

/* Element i = value, rounded to the tensor's type; integers truncate and saturate. The inverse of fb_tensor_number. */
void fb_number_set(FbTensor *tensor, int64_t i, double value);

#endif
