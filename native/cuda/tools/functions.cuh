// Functions of one number: the activations and their slopes, sine and cosine, max and min that keep NaN.
#pragma once
#include <cmath>
#include "ptx.cuh"

namespace cuda {

__device__ __forceinline__ float maxOrNan(float a, float b) { return a > b || a != a ? a : b; }
__device__ __forceinline__ float minOrNan(float a, float b) { return a < b || a != a ? a : b; }
__device__ __forceinline__ int32_t maxOrNan(int32_t a, int32_t b) { return a > b ? a : b; }
__device__ __forceinline__ int32_t minOrNan(int32_t a, int32_t b) { return a < b ? a : b; }

__device__ __forceinline__ float sigmoidOf(float x) { return 1.0f / (1.0f + expf(-x)); }

struct Silu {
  static __device__ __forceinline__ float value(float x) { return x * sigmoidOf(x); }
  static __device__ __forceinline__ float slope(float x) {
    const float s = sigmoidOf(x);
    return s * (1.0f + x * (1.0f - s));
  }
};
// erfc, not 1 + erf, so that small probabilities keep their digits.
struct Gelu {
  static __device__ __forceinline__ float below(float x) { return 0.5f * erfcf(x * -0.707106781f); }
  static __device__ __forceinline__ float value(float x) { return x * below(x); }
  static __device__ __forceinline__ float slope(float x) {
    const float density = 0.39894228f * expf(-0.5f * x * x);
    return below(x) + (density == 0 ? 0 : x * density);
  }
};
// 0.5 (1 + tanh u) is sigmoid(2 u), which does not cancel. 2 u = 2 sqrt(2/pi) (x + 0.044715 x³).
struct GeluTanh {
  static __device__ __forceinline__ float inner(float x) { return x * (1.59576912f + 0.0713548163f * (x * x)); }
  static __device__ __forceinline__ float value(float x) { return x * sigmoidOf(inner(x)); }
  static __device__ __forceinline__ float slope(float x) {
    // Beyond 30 the slope is 0 or 1 to the last bit; the bound keeps x² finite.
    const float c = minOrNan(maxOrNan(x, -30.0f), 30.0f);
    const float s = sigmoidOf(inner(c));
    return s + c * s * (1.0f - s) * (1.59576912f + 0.214064449f * (c * c));
  }
};

struct Turn {
  float sine, cosine;
};

// The sine and cosine of `quarters` quarter turns and a rest of at most pi/4.
__device__ __forceinline__ Turn turnOf(int quarters, float rest) {
  const float z = rest * rest;
  const float s = rest + rest * z * (-1.0f / 6 + z * (1.0f / 120 + z * (-1.0f / 5040 + z * (1.0f / 362880))));
  const float c = 1.0f + z * (-0.5f + z * (1.0f / 24 + z * (-1.0f / 720 + z * (1.0f / 40320 + z * (-1.0f / 3628800)))));
  const bool swapped = quarters & 1;
  const float sine = swapped ? c : s, cosine = swapped ? s : c;
  return {quarters & 2 ? -sine : sine, (quarters + 1) & 2 ? -cosine : cosine};
}

// The 32 bits of 2/pi from bit 32 i on behind the point.
__device__ __forceinline__ uint32_t twoOverPi(int i) {
  switch (i) {
    case 0: return 0xA2F9836Eu;
    case 1: return 0x4E441529u;
    case 2: return 0xFC2757D1u;
    case 3: return 0xF534DDC0u;
    case 4: return 0xDB629599u;
    case 5: return 0x3C439041u;
    default: return 0xFE5163ABu;
  }
}

// Sine and cosine to about 1 ulp, at any angle. CUDA's own keep an array in local memory for large angles.
__device__ __forceinline__ Turn turnOf(float angle) {
  const float size = fabsf(angle);
  if (size < 268435456.0f) {
    // Up to 2^28 the quarter turns can be taken off in f64.
    const double turns = rint(double(angle) * 0.63661977236758134);
    const float rest = float((double(angle) - turns * 1.5707963267341256) - turns * 6.0771005065061922e-11);
    return turnOf(int(turns), rest);
  }
  if (!(size < INFINITY)) return {angle - angle, angle - angle};
  // Payne and Hanek: the angle is m 2^e. Those bits of 2/pi that give whole multiples of four quarter turns are left
  // out, and 96 of the others are multiplied by m: two bits of quarter turns before the point, and 62 behind it.
  const uint32_t bits = __float_as_uint(size), m = (bits & 0x7fffffu) | 0x800000u;
  const int skipped = int(bits >> 23) - 127 - 25, word = skipped / 32, shift = skipped % 32;
  uint32_t window[3];
#pragma unroll
  for (int i = 0; i < 3; i++)
    window[i] = uint32_t((uint64_t(twoOverPi(word + i)) << 32 | twoOverPi(word + i + 1)) << shift >> 32);
  const uint64_t high = (uint64_t(window[0]) << 32 | window[1]) * m + (uint64_t(window[2]) * m >> 32);
  // The nearest whole number of quarter turns, and what is left as a signed fraction of 2^-62.
  const uint64_t rounded = high + (uint64_t(1) << 61);
  const int quarters = int(rounded >> 62);
  const int64_t left = int64_t(high - (uint64_t(quarters) << 62));
  const Turn turn = turnOf(quarters, float(double(left) * 3.4061215800865545e-19));  // pi/2 · 2^-62
  return {angle < 0 ? -turn.sine : turn.sine, turn.cosine};
}

}  // namespace cuda
