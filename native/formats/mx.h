// Microscaling formats of 4-bit floats: a scale of 8 bits, a power of 2, for 32 elements (OCP Microscaling Formats, 2023).
#pragma once
#include "block.h"

#define FORMATS_mx(FORMAT) FORMAT(mxfp4)

// The code of E2M1: a sign, two bits of an exponent, one of a mantissa; here twice the number, which is an integer.
BOTH_DEVICES inline int8_t twiceFp4(int code) {
  const int exponent = code >> 1 & 3, mantissa = code & 1;
  const int twice = exponent == 0 ? mantissa : (2 + mantissa) << (exponent - 1);
  return int8_t(code & 8 ? -twice : twice);
}

// An exponent e, 16 bytes: the low halves are elements 0 to 15, the high halves 16 to 31. Blocks lie at odd addresses too.
struct mxfp4 {
  static constexpr int elements = 32, bytes = 17, alignment = 1, group = 32;
  // 2^(e - 128), of which the two smallest are subnormal.
  BOTH_DEVICES static Scale scale(const uint8_t* block, int) {
    const uint32_t e = block[0], bits = e < 2 ? 0x200000u << e : (e - 1) << 23;
    float scale;
    std::memcpy(&scale, &bits, 4);
    return {scale, 0};
  }
  BOTH_DEVICES static void codes(const uint8_t* block, int i, int8_t (&out)[8]) {
    const uint8_t* from = block + 1 + i % 2 * 8;
    for (int j = 0; j < 8; j++) out[j] = twiceFp4(from[j] >> i / 2 * 4 & 15);
  }
};
