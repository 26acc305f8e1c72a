/* The list of operator families; ops/op.c looks rows up in it. */
#ifndef FB_OPS_TABLE_H
#define FB_OPS_TABLE_H

#include "ops/op.h"

extern const FbOpFamily *const fb_op_families[];
extern const size_t fb_op_family_count;

#endif
