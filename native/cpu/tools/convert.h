// Conversions between any two plain formats, one number or one strided run at a time.
//
// Floating-point formats round to nearest, ties to even. To an integer format a number is truncated toward zero and
// saturates; NaN becomes 0. To bool it becomes whether it differs from zero.
#pragma once
#include <type_traits>
#include "simd.h"

namespace cpu::CPU_ISA {

template <class T>
constexpr bool isFloating = std::is_same_v<T, float> || std::is_same_v<T, bf16> || std::is_same_v<T, f16>;

template <class To, class From>
inline To convert(From x) {
  if constexpr (std::is_same_v<To, From>) {
    return x;
  } else if constexpr (isFloating<To>) {
    return To(float(x));
  } else if constexpr (isFloating<From>) {
    const float value = float(x);
    if constexpr (std::is_same_v<To, uint8_t>) return uint8_t(value > 0 ? (value < 255 ? value : 255) : 0);
    else if (value >= 2147483648.0f) return INT32_MAX;
    else if (value <= -2147483648.0f) return INT32_MIN;
    else return value == value ? int32_t(value) : 0;
  } else if constexpr (std::is_same_v<To, uint8_t>) {
    return uint8_t(x > 0 ? (x < 255 ? x : 255) : 0);
  } else {
    return To(x);
  }
}

template <class To, class From>
inline void convertContiguous(To* to, const From* from, int64_t count) {
  if constexpr (std::is_same_v<To, From>) std::memmove(to, from, size_t(count) * sizeof(To));
  else if constexpr (std::is_same_v<To, float> && isFloating<From>) toFloats(to, from, count);
  else if constexpr (std::is_same_v<From, float> && isFloating<To>) fromFloats(to, from, count);
  else
    for (int64_t i = 0; i < count; i++) to[i] = convert<To>(from[i]);
}

// Converts `count` elements; strides count elements.
using Run = void (*)(void* to, int64_t toStride, const void* from, int64_t fromStride, int64_t count);

// Throws std::runtime_error for block formats.
Run converter(DType to, DType from);

inline int bytesPerElement(DType dtype) { return format(dtype).blockBytes; }
inline char* at(const View& x, int64_t offset) { return x.data<char>() + offset * bytesPerElement(x.dtype); }

}  // namespace cpu::CPU_ISA
