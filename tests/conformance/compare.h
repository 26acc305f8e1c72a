/* Comparing a tensor with the expected one. */
#ifndef FB_TESTS_COMPARE_H
#define FB_TESTS_COMPARE_H

#include "tensor/tensor.h"

/* True when type and shape are equal and elements agree: floats within atol + rtol * |expected| (NaN equals NaN), all else exactly.
 * Otherwise `why` says what differs first. */
bool compare_tensors(const FbTensor *got, const FbTensor *expected, double rtol, double atol, char *why, size_t why_bytes);

#endif
