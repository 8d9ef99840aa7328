// Functions of one register of f32 that simd.h lacks: log, the activations and their slopes, max / min that keep NaN.
#pragma once
#include <type_traits>
#include "simd.h"

namespace cpu::CPU_ISA {

// max and min that keep a NaN of either operand.
inline Floats maxOrNan(Floats a, Floats b) { return select((a > b) | (a != a), a, b); }
inline Floats minOrNan(Floats a, Floats b) { return select((a < b) | (a != a), a, b); }
inline Ints maxOrNan(Ints a, Ints b) {
  const Ints m = a > b;
  return (a & m) | (b & ~m);
}
inline Ints minOrNan(Ints a, Ints b) {
  const Ints m = a < b;
  return (a & m) | (b & ~m);
}
inline float maxOrNan(float a, float b) { return a > b || a != a ? a : b; }
inline float minOrNan(float a, float b) { return a < b || a != a ? a : b; }
inline int32_t maxOrNan(int32_t a, int32_t b) { return a > b ? a : b; }
inline int32_t minOrNan(int32_t a, int32_t b) { return a < b ? a : b; }

// ln x to about 2 ulp: the exponent apart, ln m = 2 atanh((m - 1) / (m + 1)) for m in [sqrt 1/2, sqrt 2).
inline Floats log(Floats x) {
  const Ints tiny = x < splat(1.17549435e-38f);
  const Floats normal = select(tiny, x * 8388608.0f, x);  // 2^23 lifts subnormals
  const Ints bits = (Ints)normal - 0x3f3504f3;            // the bits of sqrt 1/2
  const Ints exponent = (bits >> 23) - (tiny & 23);
  const Floats m = (Floats)((bits & 0x007fffff) + 0x3f3504f3);
  const Floats s = (m - 1.0f) / (m + 1.0f), z = s * s;
  Floats p = splat(2.0f / 9);
  p = fma(p, z, splat(2.0f / 7));
  p = fma(p, z, splat(2.0f / 5));
  p = fma(p, z, splat(2.0f / 3));
  const Floats e = __builtin_convertvector(exponent, Floats);
  // ln 2 in two parts: the first times any exponent is exact.
  Floats y = e * 0.693359375f + (e * -2.12194440e-4f + (s * z * p + 2.0f * s));
  y = select(x == INFINITY, x, y);
  y = select(x == Floats{}, splat(-INFINITY), y);
  return select((x < Floats{}) | (x != x), splat(NAN), y);
}

// The standard normal distribution: the probability of a number below x, and the density at x.
//
// For t = |x| the probability beyond t is e^(-t²/2) q(1 / (1 + 0.3 t)); q is a polynomial fitted to the scaled
// complementary error function, with a relative error of 6e-8. So small probabilities keep their digits.
struct Normal {
  Floats below, density;
};
inline Normal normalAt(Floats x) {
  const Floats t = select(x < Floats{}, -x, x), s = 1.0f / (1.0f + 0.3f * t);
  const Floats bell = exp(-0.5f * t * t);
  Floats q = splat(0.038407549f);
  q = fma(q, s, splat(-0.16930819f));
  q = fma(q, s, splat(0.22895318f));
  q = fma(q, s, splat(-0.076841153f));
  q = fma(q, s, splat(0.14276622f));
  q = fma(q, s, splat(0.094585501f));
  q = fma(q, s, splat(0.12194534f));
  q = fma(q, s, splat(0.11948419f));
  q = fma(q, s, splat(7.3729129e-6f));
  const Floats beyond = bell * q;
  return {select(x < Floats{}, beyond, 1.0f - beyond), bell * 0.39894228f};
}

// ln(1 + e^x) = max(x, 0) + ln(1 + e^-|x|), the logarithm near 1 by its series.
inline Floats softplus(Floats x) {
  const Floats e = exp((Floats)((Words)x | 0x80000000u));
  const Floats series = e * (1.0f + e * (-1.0f / 2 + e * (1.0f / 3 + e * (-1.0f / 4 + e * (1.0f / 5)))));
  return maxOrNan(x, Floats{}) + select(e < 0.04f, series, log(1.0f + e));
}

inline Floats silu(Floats x) { return x * sigmoid(x); }
inline Floats siluSlope(Floats x) {
  const Floats s = sigmoid(x);
  return s * (1.0f + x * (1.0f - s));
}

inline Floats gelu(Floats x) { return x * normalAt(x).below; }
inline Floats geluSlope(Floats x) {
  const Normal n = normalAt(x);
  return n.below + x * n.density;
}

// 0.5 (1 + tanh u) is sigmoid(2 u), which does not cancel. 2 u = 2 sqrt(2/pi) (x + 0.044715 x³).
inline Floats geluTanhInner(Floats x) { return x * (1.59576912f + 0.0713548163f * (x * x)); }
inline Floats geluTanh(Floats x) { return x * sigmoid(geluTanhInner(x)); }
inline Floats geluTanhSlope(Floats x) {
  // Beyond 30 the slope is 0 or 1 to the last bit; the bound keeps x² finite.
  const Floats c = minOrNan(maxOrNan(x, splat(-30.0f)), splat(30.0f));
  const Floats s = sigmoid(geluTanhInner(c));
  return s + c * s * (1.0f - s) * (1.59576912f + 0.214064449f * (c * c));
}

// Registers of either computing type, for code that serves both.
template <class C>
using Vector = std::conditional_t<std::is_same_v<C, float>, Floats, Ints>;

template <class C>
inline Vector<C> loadVector(const C* from) {
  Vector<C> x;
  std::memcpy(&x, from, sizeof x);
  return x;
}
template <class C>
inline void storeVector(C* to, Vector<C> x) {
  std::memcpy(to, &x, sizeof x);
}
// The first `count` lanes; the others are `rest`.
template <class C>
inline Vector<C> loadVectorPart(const C* from, int64_t count, C rest = 0) {
  C part[lanes];
  for (int i = 0; i < lanes; i++) part[i] = rest;
  std::memcpy(part, from, size_t(count) * sizeof(C));
  return loadVector(part);
}
template <class C>
inline void storeVectorPart(C* to, Vector<C> x, int64_t count) {
  C part[lanes];
  storeVector(part, x);
  std::memcpy(to, part, size_t(count) * sizeof(C));
}

}  // namespace cpu::CPU_ISA
