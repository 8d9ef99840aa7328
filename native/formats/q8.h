// Block formats of 8-bit codes.
#pragma once
#include "block.h"

#define FORMATS_q8(FORMAT) FORMAT(q8_0)

// f16 scale, 32 signed bytes.
struct q8_0 {
  static constexpr int elements = 32, bytes = 34, alignment = 2, group = 32;
  BOTH_DEVICES static Scale scale(const uint8_t* block, int) { return {halfAt(block), 0}; }
  BOTH_DEVICES static void codes(const uint8_t* block, int i, int8_t (&out)[8]) {
    std::memcpy(out, __builtin_assume_aligned(block + 2 + 8 * i, 2), 8);
  }
};
