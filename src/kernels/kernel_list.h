/* Every primitive with its kernel table, for what lists them: `fewbit cpu`, plans, reports. */
#ifndef FB_KERNELS_KERNEL_LIST_H
#define FB_KERNELS_KERNEL_LIST_H

#include "base/context.h"

typedef struct FbKernelPrimitive {
    const char *name, *summary;
    const size_t *row_count;
    const char *(*row_name)(size_t row);   /* rows are best first */
    unsigned (*row_needs)(size_t row);     /* FbCpu bits */
} FbKernelPrimitive;

extern const FbKernelPrimitive fb_kernel_primitives[];
extern const size_t fb_kernel_primitive_count;
/* The row that the table's pick function takes. */
const char *fb_kernel_primitive_row(const FbKernelPrimitive *primitive, unsigned cpu);
const FbKernelPrimitive *fb_kernel_primitive_find(const char *name); /* NULL: none of that name */

#endif
