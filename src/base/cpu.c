/* What this processor can run. x86: CPUID for the instructions, XCR0 for the registers that the kernel saves; Arm: the kernel says it all. */
#define _GNU_SOURCE /* syscall */
#include <string.h>

#include "base/context_private.h"

#if defined(__x86_64__)
#include <cpuid.h>
#include <sys/syscall.h>
#include <unistd.h>
#elif defined(__aarch64__)
#include <sys/auxv.h>
#endif

/* Weakest first. A name allows its mask; `own` is the bit whose presence makes it the name of the set in use. */
static const struct {
    const char *name;
    unsigned mask, own;
} cpu_rows[] = {
    {"scalar", 0, 0},
#if defined(__aarch64__)
    {"neon", FB_CPU_NEON, FB_CPU_NEON},
    {"neon_dot", FB_CPU_NEON | FB_CPU_NEON_DOT, FB_CPU_NEON_DOT},
    {"neon_i8mm", FB_CPU_NEON | FB_CPU_NEON_DOT | FB_CPU_NEON_I8MM, FB_CPU_NEON_I8MM},
#else
    {"avx2", FB_CPU_AVX2, FB_CPU_AVX2},
    {"avxvnni", FB_CPU_AVX2 | FB_CPU_AVXVNNI, FB_CPU_AVXVNNI},
    {"avx512", FB_CPU_AVX2 | FB_CPU_AVX512, FB_CPU_AVX512},
    {"avx512vnni", FB_CPU_AVX2 | FB_CPU_AVXVNNI | FB_CPU_AVX512 | FB_CPU_AVX512VNNI, FB_CPU_AVX512VNNI},
    {"avx512bf16", FB_CPU_AVX2 | FB_CPU_AVXVNNI | FB_CPU_AVX512 | FB_CPU_AVX512VNNI | FB_CPU_AVX512BF16, FB_CPU_AVX512BF16},
    {"amx", FB_CPU_AVX2 | FB_CPU_AVXVNNI | FB_CPU_AVX512 | FB_CPU_AVX512VNNI | FB_CPU_AVX512BF16 | FB_CPU_AMX_INT8, FB_CPU_AMX_INT8},
#endif
};
enum { CPU_ROWS = sizeof cpu_rows / sizeof cpu_rows[0] };

static const char *const cpu_names[] = {
    "scalar",
#if defined(__aarch64__)
    "neon", "neon_dot", "neon_i8mm",
#else
    "avx2", "avxvnni", "avx512", "avx512vnni", "avx512bf16", "amx",
#endif
    NULL};
_Static_assert(sizeof cpu_names / sizeof cpu_names[0] == CPU_ROWS + 1, "one name per row");

#if defined(__x86_64__)
static bool has(unsigned word, int bit)
{
    return (word >> bit) & 1u;
}

static uint64_t read_xcr0(void)
{
    uint32_t low, high;
    __asm__ volatile("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
    return (uint64_t)high << 32 | low;
}

/* Linux hands out the tile registers on request only: ARCH_REQ_XCOMP_PERM for feature 18 (tile data). */
static bool tiles_allowed(void)
{
    return syscall(SYS_arch_prctl, 0x1023, 18) == 0;
}

unsigned fb_cpu_detect(void)
{
    unsigned a, b, c, d, b7, c7, d7, a71 = 0;
    if (!__get_cpuid(1, &a, &b, &c, &d) || !has(c, 27)) { /* OSXSAVE */
        return 0;
    }
    uint64_t xcr0 = read_xcr0();
    bool fma = has(c, 12) && has(c, 28) && has(c, 29); /* FMA, AVX, F16C */
    if ((xcr0 & 0x6) != 0x6 || !fma || !__get_cpuid_count(7, 0, &a, &b7, &c7, &d7) || !has(b7, 5)) {
        return 0;
    }
    if (a >= 1) {
        __get_cpuid_count(7, 1, &a71, &b, &c, &d);
    }
    unsigned cpu = FB_CPU_AVX2;
    if (has(a71, 4)) {
        cpu |= FB_CPU_AVXVNNI;
    }
    if ((xcr0 & 0xe6) == 0xe6 && has(b7, 16) && has(b7, 17) && has(b7, 30) && has(b7, 31)) {
        cpu |= FB_CPU_AVX512;
        cpu |= has(c7, 11) ? FB_CPU_AVX512VNNI : 0u;
        cpu |= has(a71, 5) ? FB_CPU_AVX512BF16 : 0u;
        if ((xcr0 & 0x60000) == 0x60000 && has(d7, 24) && has(d7, 25) && tiles_allowed()) {
            cpu |= FB_CPU_AMX_INT8;
        }
    }
    return cpu;
}
#elif defined(__aarch64__)
unsigned fb_cpu_detect(void)
{
    /* Bits of the Linux interface, so that older headers do: HWCAP_ASIMDDP and HWCAP2_I8MM. */
    const unsigned long dot = 1ul << 20, i8mm = 1ul << 13;
    unsigned cpu = FB_CPU_NEON; /* part of the architecture */
    cpu |= getauxval(AT_HWCAP) & dot ? (unsigned)FB_CPU_NEON_DOT : 0u;
    cpu |= getauxval(AT_HWCAP2) & i8mm ? (unsigned)FB_CPU_NEON_I8MM : 0u;
    return cpu;
}
#else
unsigned fb_cpu_detect(void)
{
    return 0;
}
#endif

bool fb_cpu_parse(const char *isa, unsigned *mask)
{
    for (size_t i = 0; i < CPU_ROWS; i++) {
        if (strcmp(isa, cpu_rows[i].name) == 0) {
            *mask = cpu_rows[i].mask;
            return true;
        }
    }
    return false;
}

const char *const *fb_cpu_names(void)
{
    return cpu_names;
}

unsigned fb_cpu_own(size_t index)
{
    return index < CPU_ROWS ? cpu_rows[index].own : 0u;
}

const char *fb_context_isa(const FbContext *context)
{
    const char *name = cpu_rows[0].name;
    for (size_t i = 1; i < CPU_ROWS; i++) {
        if (context->cpu & cpu_rows[i].own) {
            name = cpu_rows[i].name;
        }
    }
    return name;
}
