/* The table of low-bit product kernels. */
#include "kernels/product_lowbit.h"

#if defined(__x86_64__)
#define ARCHITECTURE_ROWS &fb_product_lowbit_avx512vnni, &fb_product_lowbit_avxvnni, &fb_product_lowbit_avx2,
extern const FbProductLowbitKernel fb_product_lowbit_avx512vnni, fb_product_lowbit_avxvnni, fb_product_lowbit_avx2;
#elif defined(__aarch64__)
#define ARCHITECTURE_ROWS &fb_product_lowbit_neon_dot, &fb_product_lowbit_neon,
extern const FbProductLowbitKernel fb_product_lowbit_neon_dot, fb_product_lowbit_neon;
#else
#define ARCHITECTURE_ROWS
#endif
extern const FbProductLowbitKernel fb_product_lowbit_scalar;
const FbProductLowbitKernel *const fb_product_lowbit_kernels[] = {ARCHITECTURE_ROWS &fb_product_lowbit_scalar};
const size_t fb_product_lowbit_kernel_count = sizeof fb_product_lowbit_kernels / sizeof *fb_product_lowbit_kernels;

const FbLowbitFormInfo fb_lowbit_forms[FB_LOWBIT_COUNT] = {
    [FB_LOWBIT_F16] = {1, 1, 2},      [FB_LOWBIT_BF16] = {30, 1, 2},    [FB_LOWBIT_Q4_0] = {2, 32, 18},    [FB_LOWBIT_Q4_1] = {3, 32, 20},
    [FB_LOWBIT_Q5_0] = {6, 32, 22},   [FB_LOWBIT_Q5_1] = {7, 32, 24},   [FB_LOWBIT_Q8_0] = {8, 32, 34},    [FB_LOWBIT_IQ4_NL] = {20, 32, 18},
    [FB_LOWBIT_MXFP4] = {39, 32, 17}, [FB_LOWBIT_Q2_K] = {10, 256, 84}, [FB_LOWBIT_Q3_K] = {11, 256, 110}, [FB_LOWBIT_Q4_K] = {12, 256, 144},
    [FB_LOWBIT_Q5_K] = {13, 256, 176}, [FB_LOWBIT_Q6_K] = {14, 256, 210}, [FB_LOWBIT_IQ4_XS] = {23, 256, 136}, [FB_LOWBIT_TQ2_0] = {35, 256, 66},
};

FbLowbitForm fb_lowbit_form_of(int number)
{
    int form = 0;
    while (form < FB_LOWBIT_COUNT && fb_lowbit_forms[form].number != number) {
        form++;
    }
    return (FbLowbitForm)form;
}

const FbProductLowbitKernel *fb_product_lowbit_pick(unsigned cpu)
{
    size_t i = 0;
    while (i + 1 < fb_product_lowbit_kernel_count && (fb_product_lowbit_kernels[i]->needs & ~cpu) != 0) {
        i++;
    }
    return fb_product_lowbit_kernels[i];
}

FbLowbitRun fb_product_lowbit_run(unsigned cpu, FbLowbitForm form)
{
    size_t i = 0;
    while (i + 1 < fb_product_lowbit_kernel_count &&
           ((fb_product_lowbit_kernels[i]->needs & ~cpu) != 0 || fb_product_lowbit_kernels[i]->run[form] == NULL)) {
        i++;
    }
    return fb_product_lowbit_kernels[i]->run[form];
}
