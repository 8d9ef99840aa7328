// Block formats of 4-bit codes: the low halves of the 16 bytes are elements 0 to 15, the high halves 16 to 31.
#pragma once
#include "block.h"

#define FORMATS_q4(FORMAT) FORMAT(q4_0) FORMAT(q4_1)

// Codes 8 i to 8 i + 7 of 32, minus `middle`.
BOTH_DEVICES inline void halfBytesAt(const uint8_t* from, int i, int middle, int8_t (&out)[8]) {
  uint8_t packed[8];
  bytesAt(from + i % 2 * 8, packed);
  for (int j = 0; j < 8; j++) out[j] = int8_t((packed[j] >> i / 2 * 4 & 15) - middle);
}

// f16 scale, 16 bytes; codes are from -8 to 7.
struct q4_0 {
  static constexpr int elements = 32, bytes = 18, alignment = 2, group = 32;
  BOTH_DEVICES static Scale scale(const uint8_t* block, int) { return {halfAt(block), 0}; }
  BOTH_DEVICES static void codes(const uint8_t* block, int i, int8_t (&out)[8]) { halfBytesAt(block + 2, i, 8, out); }
};

// f16 scale, f16 minimum, 16 bytes; codes are from 0 to 15.
struct q4_1 {
  static constexpr int elements = 32, bytes = 20, alignment = 2, group = 32;
  BOTH_DEVICES static Scale scale(const uint8_t* block, int) { return {halfAt(block), halfAt(block + 2)}; }
  BOTH_DEVICES static void codes(const uint8_t* block, int i, int8_t (&out)[8]) { halfBytesAt(block + 4, i, 0, out); }
};
