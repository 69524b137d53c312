// What pixels.cu needs to be compiled as C++ for the host, with -ffp-contract=off.
#pragma once
#include <algorithm>
#include <cmath>

#define __global__
#define __device__ static inline

struct Place {
    int x, y, z;
};
static thread_local Place blockIdx, blockDim, threadIdx;

using std::max;
using std::min;
static inline float __fadd_rn(float a, float b) { return a + b; }
static inline float __fsub_rn(float a, float b) { return a - b; }
static inline float __fmul_rn(float a, float b) { return a * b; }
static inline float __fdiv_rn(float a, float b) { return a / b; }
static inline float __double2float_rn(double value) { return (float)value; }
static inline int __float2int_rn(float value) { return (int)std::nearbyint(value); }

#include "pixels.cu"

static inline float widen(f16 value) {
    int sign = value.bits >> 15, exponent = value.bits >> 10 & 31, mantissa = value.bits & 1023;
    float size = exponent == 31 ? (mantissa ? NAN : INFINITY)
                 : exponent     ? std::ldexp((float)(mantissa + 1024), exponent - 25)
                                : std::ldexp((float)mantissa, -24);
    return sign ? -size : size;
}

static inline f16 narrow(float value) {
    unsigned short sign = std::signbit(value) ? 0x8000 : 0;
    float size = std::fabs(value);
    if (std::isnan(size)) return {(unsigned short)(sign | 0x7e00)};
    if (size >= 65520.0f) return {(unsigned short)(sign | 0x7c00)};
    int exponent = size < 6.103515625e-05f ? -14 : std::ilogb(size);
    int steps = (int)std::nearbyint(std::ldexp(size, 10 - exponent));  // 1024 to 2048, or less if subnormal
    return {(unsigned short)(sign | (steps + ((exponent + 14) << 10)))};
}
