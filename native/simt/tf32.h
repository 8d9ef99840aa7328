// The instructions of native/cuda/tools/tf32.cuh on the software GPU.
#pragma once
#include <cstring>
#include "ptx.h"

namespace simt {

void multiplyTf32(float* d, const uint32_t* a, const uint32_t* b);

}  // namespace simt

namespace ptx {

inline uint32_t tf32(float x) {
  uint32_t bits;
  std::memcpy(&bits, &x, sizeof bits);
  // Adding half of the last place rounds; in infinity and NaN, all of whose exponent's bits are set, nothing is added.
  return (bits & 0x7f800000u) == 0x7f800000u ? bits : (bits + 0x1000u) & ~0x1fffu;
}
inline void mmaTf32(float (&d)[4], const uint32_t (&a)[4], const uint32_t (&b)[2]) { simt::multiplyTf32(d, a, b); }

}  // namespace ptx
