/* Which rows a table of kernels has on this architecture, best first. A row that is not compiled is not named. */
#ifndef FB_KERNELS_KERNEL_TABLE_H
#define FB_KERNELS_KERNEL_TABLE_H

#if defined(__x86_64__)
#define FB_KERNEL_ROWS(name) &name##_avx512, &name##_avx2, &name##_scalar
#define FB_KERNEL_EXTERN(Type, name) extern const Type name##_avx512, name##_avx2, name##_scalar
#elif defined(__aarch64__)
#define FB_KERNEL_ROWS(name) &name##_neon, &name##_scalar
#define FB_KERNEL_EXTERN(Type, name) extern const Type name##_neon, name##_scalar
#else
#define FB_KERNEL_ROWS(name) &name##_scalar
#define FB_KERNEL_EXTERN(Type, name) extern const Type name##_scalar
#endif

#endif
