// What the matrix instructions share: eight f32 at once, and pairs of 16-bit elements as f32.
#pragma once
#include <cstdint>
#include "../../formats.h"

namespace simt {

using Eight __attribute__((vector_size(32), aligned(16))) = float;

template <class T>
inline float elementValue(uint16_t bits) {
  T x;
  x.bits = bits;
  return float(x);
}

template <class T>
inline void unpackPair(uint32_t pair, float* to) {
  to[0] = elementValue<T>(uint16_t(pair));
  to[1] = elementValue<T>(uint16_t(pair >> 16));
}

}  // namespace simt
