// What block formats share. A block holds `elements` numbers in `bytes` bytes (llama.cpp's layouts); kernels are templates
// over its struct, which both devices read:
//
//   elements, bytes, alignment          of a block; elements is a multiple of 8
//   group                               elements that share a scale: a multiple of 8
//   Scale scale(block, g)               of group g: an element is scale · code + shift
//   void codes(block, i, out)           the codes of elements 8 i to 8 i + 7
//
// Little-endian, as the files are. The product of an f16 scale and a code is exact in f32: an element is rounded once.
#pragma once
#include "float.h"

struct Scale {
  float scale, shift;
};

// An f16 at an even address.
BOTH_DEVICES inline float halfAt(const uint8_t* from) {
  f16 half;
  std::memcpy(&half.bits, __builtin_assume_aligned(from, 2), 2);
  return float(half);
}

// Eight bytes from an even address, in reads of two: a GPU reads at aligned addresses only.
BOTH_DEVICES inline void bytesAt(const uint8_t* from, uint8_t (&to)[8]) {
  for (int i = 0; i < 4; i++) {
    uint16_t pair;
    std::memcpy(&pair, __builtin_assume_aligned(from + 2 * i, 2), 2);
    to[2 * i] = uint8_t(pair);
    to[2 * i + 1] = uint8_t(pair >> 8);
  }
}
