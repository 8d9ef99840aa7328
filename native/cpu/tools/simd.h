// SIMD for the CPU's kernels, in compiler vector types: `Floats` is one register of f32, as wide as the instruction set
// that this file is compiled for. Rows of any floating-point format are read and written as f32.
#pragma once
#include <cmath>
#include <cstdint>
#include <cstring>
#include "../../view.h"
#ifdef __x86_64__
#include <immintrin.h>
#endif

namespace cpu::CPU_ISA {

#if defined(__AVX512F__)
constexpr int lanes = 16;
#elif defined(__AVX2__)
constexpr int lanes = 8;
#else
constexpr int lanes = 4;
#endif

typedef float Floats __attribute__((vector_size(lanes * 4)));
typedef int32_t Ints __attribute__((vector_size(lanes * 4)));
typedef uint32_t Words __attribute__((vector_size(lanes * 4)));
typedef uint16_t Halves __attribute__((vector_size(lanes * 2)));

inline Floats splat(float x) { return x - Floats{}; }
inline Ints splatInt(int32_t x) { return x - Ints{}; }

inline Floats load(const float* from) {
  Floats x;
  std::memcpy(&x, from, sizeof x);
  return x;
}
inline void store(float* to, Floats x) { std::memcpy(to, &x, sizeof x); }

// The compiler widens a whole register in three shuffles, where the machine has one instruction for it.
inline Floats widen(Halves half) {
#if defined(__AVX512F__)
  return (Floats)((Words)_mm512_maskz_cvtepu16_epi32(0xffff, (__m256i)half) << 16);
#elif defined(__AVX2__)
  return (Floats)((Words)_mm256_cvtepu16_epi32((__m128i)half) << 16);
#else
  return (Floats)(__builtin_convertvector(half, Words) << 16);
#endif
}

inline Floats load(const bf16* from) {
  Halves half;
  std::memcpy(&half, from, sizeof half);
  return widen(half);
}

// Rounds to nearest, ties to even, like bf16(float).
inline void store(bf16* to, Floats x) {
  const Words u = (Words)x;
  const Words rounded = (u + 0x7fff + (u >> 16 & 1)) >> 16, nan = u >> 16 | 0x40;
  const Words isNan = (Words)((u & 0x7fffffffu) > 0x7f800000u);
  const Halves half = __builtin_convertvector((nan & isNan) | (rounded & ~isNan), Halves);
  std::memcpy(to, &half, sizeof half);
}

inline Floats load(const f16* from) {
#if defined(__AVX512F__)
  return (Floats)_mm512_maskz_cvtph_ps(0xffff, _mm256_loadu_si256((const __m256i*)from));
#elif defined(__F16C__)
  return (Floats)_mm256_cvtph_ps(_mm_loadu_si128((const __m128i*)from));
#else
  Floats x;
  for (int i = 0; i < lanes; i++) x[i] = float(from[i]);
  return x;
#endif
}

inline void store(f16* to, Floats x) {
#if defined(__AVX512F__)
  _mm256_storeu_si256((__m256i*)to, _mm512_maskz_cvtps_ph(0xffff, (__m512)x, _MM_FROUND_TO_NEAREST_INT));
#elif defined(__F16C__)
  _mm_storeu_si128((__m128i*)to, _mm256_cvtps_ph((__m256)x, _MM_FROUND_TO_NEAREST_INT));
#else
  for (int i = 0; i < lanes; i++) to[i] = f16(x[i]);
#endif
}

// The first `count` lanes; the others are zero.
template <class T>
inline Floats loadPart(const T* from, int64_t count) {
  T part[lanes] = {};
  std::memcpy(part, from, size_t(count) * sizeof(T));
  return load(part);
}
#if defined(__AVX512BW__) && defined(__AVX512VL__)
inline Floats loadPart(const float* from, int64_t count) {
  return (Floats)_mm512_maskz_loadu_ps(__mmask16((1u << count) - 1), from);
}
inline Floats loadPart(const bf16* from, int64_t count) {
  return widen((Halves)_mm256_maskz_loadu_epi16(__mmask16((1u << count) - 1), from));
}
inline Floats loadPart(const f16* from, int64_t count) {
  return (Floats)_mm512_maskz_cvtph_ps(0xffff, _mm256_maskz_loadu_epi16(__mmask16((1u << count) - 1), from));
}
#elif defined(__AVX2__)
inline Floats loadPart(const float* from, int64_t count) {
  const Ints each = {0, 1, 2, 3, 4, 5, 6, 7};
  return (Floats)_mm256_maskload_ps(from, (__m256i)(each < splatInt(int32_t(count))));
}
#endif
template <class T>
inline void storePart(T* to, Floats x, int64_t count) {
  T part[lanes];
  store(part, x);
  std::memcpy(to, part, size_t(count) * sizeof(T));
}

inline Floats select(Ints mask, Floats yes, Floats no) { return mask ? yes : no; }
// Both give the second operand when the first is NaN, as the machine's instructions do.
inline Floats max(Floats a, Floats b) { return a > b ? a : b; }
inline Floats min(Floats a, Floats b) { return a < b ? a : b; }
// a * b + c. The compiler contracts it to one instruction where there is one.
inline Floats fma(Floats a, Floats b, Floats c) { return a * b + c; }

// Halves the register until one lane is left: lane i is added to lane i + width.
inline float sumLanes(Floats x) {
  typedef float Four __attribute__((vector_size(16)));
#if defined(__AVX512F__) || defined(__AVX2__)
  typedef float Eight __attribute__((vector_size(32)));
#if defined(__AVX512F__)
  const Eight eight = __builtin_shufflevector(x, x, 0, 1, 2, 3, 4, 5, 6, 7) +
                      __builtin_shufflevector(x, x, 8, 9, 10, 11, 12, 13, 14, 15);
#else
  const Eight eight = x;
#endif
  Four four = __builtin_shufflevector(eight, eight, 0, 1, 2, 3) + __builtin_shufflevector(eight, eight, 4, 5, 6, 7);
#else
  Four four = x;
#endif
  four += __builtin_shufflevector(four, four, 2, 3, 2, 3);
  return four[0] + four[1];
}
inline float maxLanes(Floats x) {
  float most = x[0];
  for (int i = 1; i < lanes; i++) most = x[i] > most ? x[i] : most;
  return most;
}

// e^x to about 1 ulp over the whole range: 2^n times a degree-6 polynomial on [-ln2/2, ln2/2]. NaN stays NaN.
inline Floats exp(Floats x) {
  const Floats low = splat(-87.336544f), high = splat(88.722839f);
  const Ints under = x < low;
  const Ints over = x > high;
  const Floats clamped = min(max(x, low), high);
  const Floats magic = splat(12582912.0f);  // 1.5 * 2^23: adding it rounds to an integer
  const Floats n = (clamped * 1.44269504f + magic) - magic;
  const Floats r = (clamped - n * 0.693359375f) + n * 2.12194440e-4f;
  Floats p = splat(1.0f / 720);
  p = fma(p, r, splat(1.0f / 120));
  p = fma(p, r, splat(1.0f / 24));
  p = fma(p, r, splat(1.0f / 6));
  p = fma(p, r, splat(0.5f));
  p = fma(p, r, splat(1.0f));
  p = fma(p, r, splat(1.0f));
  // Two steps of scaling, because 2^128 alone is not a float.
  const Ints whole = __builtin_convertvector(n, Ints), half = whole >> 1;
  const Floats scaled = p * (Floats)((half + 127) << 23) * (Floats)((whole - half + 127) << 23);
  Floats y = select(under, Floats{}, scaled);
  y = select(over, splat(INFINITY), y);
  return select(x != x, x, y);
}

inline Floats sigmoid(Floats x) { return 1.0f / (1.0f + exp(-x)); }

// tanh x = 1 - 2 / (e^2x + 1); near zero that cancels, so a series takes over.
inline Floats tanh(Floats x) {
  const Floats square = x * x;
  const Floats series =
      x * (1.0f + square * (-1.0f / 3 + square * (2.0f / 15 + square * (-17.0f / 315 + square * (62.0f / 2835)))));
  const Floats direct = 1.0f - 2.0f / (exp(2.0f * x) + 1.0f);
  return select((x < 0.3f) & (x > -0.3f), series, direct);
}

// How to read and write one register's worth of a row: all lanes, or the lanes left at its end (the others read as
// zero).
struct Whole {
  template <class T>
  Floats load(const T* from) const {
    return CPU_ISA::load(from);
  }
  template <class T>
  void store(T* to, Floats x) const {
    CPU_ISA::store(to, x);
  }
};
struct Part {
  int64_t count;
  template <class T>
  Floats load(const T* from) const {
    return loadPart(from, count);
  }
  template <class T>
  void store(T* to, Floats x) const {
    storePart(to, x, count);
  }
};

// Runs body(i, access, slot) for each register's worth of [0, count). `slot` is below `slots`: sums kept one per slot do
// not wait for each other.
constexpr int slots = 4;
template <class Body>
inline void eachRegister(int64_t count, Body&& body) {
  int64_t i = 0;
  for (; i + slots * lanes <= count; i += slots * lanes) {
    body(i, Whole{}, 0);
    body(i + lanes, Whole{}, 1);
    body(i + 2 * lanes, Whole{}, 2);
    body(i + 3 * lanes, Whole{}, 3);
  }
  for (; i + lanes <= count; i += lanes) body(i, Whole{}, 0);
  if (i < count) body(i, Part{count - i}, 1);
}
inline float sumSlots(const Floats (&sums)[slots]) { return sumLanes((sums[0] + sums[1]) + (sums[2] + sums[3])); }

template <class T>
inline void toFloats(float* to, const T* from, int64_t count) {
  int64_t i = 0;
  for (; i + lanes <= count; i += lanes) store(to + i, load(from + i));
  for (; i < count; i++) to[i] = float(from[i]);
}
template <class T>
inline void fromFloats(T* to, const float* from, int64_t count) {
  int64_t i = 0;
  for (; i + lanes <= count; i += lanes) store(to + i, load(from + i));
  for (; i < count; i++) to[i] = T(from[i]);
}

template <int Width, int From, size_t... I>
inline Floats pick(Floats a, Floats b, std::index_sequence<I...>) {
  return __builtin_shufflevector(a, b,
                                 (I % (2 * Width) < Width ? I / (2 * Width) * 2 * Width + I % Width + From
                                                          : lanes + I / (2 * Width) * 2 * Width + I % Width + From)...);
}

// Lane i of the result is sumLanes(rows[i]), to the last bit: halves are added, two rows to a register, until one is left.
template <int Width = lanes / 2>
inline Floats sumRows(Floats (&rows)[lanes]) {
  constexpr auto each = std::make_index_sequence<lanes>{};
#pragma GCC unroll 8
  for (int i = 0; i < Width; i++)
    rows[i] = pick<Width, 0>(rows[i], rows[i + Width], each) + pick<Width, Width>(rows[i], rows[i + Width], each);
  if constexpr (Width > 1) return sumRows<Width / 2>(rows);
  else return rows[0];
}

// `count` elements of `x` from element `offset` on, as f32: in place where they are f32, else widened into `buffer`.
inline const float* readRow(const View& x, int64_t offset, int64_t count, float* buffer) {
  if (x.dtype == DType::f32) return x.data<float>() + offset;
  visitFloat(x.dtype, [&](auto tag) { toFloats(buffer, x.data<decltype(tag)>() + offset, count); });
  return buffer;
}
// Where to compute a row of `x`: in place where it is f32, else in `buffer`, from which `writeRow` narrows it.
inline float* rowFor(const View& x, int64_t offset, float* buffer) {
  return x.dtype == DType::f32 ? x.data<float>() + offset : buffer;
}
inline void writeRow(const View& x, int64_t offset, const float* row, int64_t count) {
  if (x.dtype == DType::f32) {
    if (float* to = x.data<float>() + offset; to != row) std::memmove(to, row, size_t(count) * 4);
    return;
  }
  visitFloat(x.dtype, [&](auto tag) { fromFloats(x.data<decltype(tag)>() + offset, row, count); });
}

}  // namespace cpu::CPU_ISA
