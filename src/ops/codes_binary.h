/* Add, Sub, Mul, Div and Sum of two values of which some are held as codes. */
#ifndef FB_OPS_CODES_BINARY_H
#define FB_OPS_CODES_BINARY_H

#include "ops/lowering.h"

extern const FbLowering fb_codes_binary_lowering;

#endif
