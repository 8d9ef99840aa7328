// The permutation of 16-byte chunks that TMA and wgmma apply to addresses in shared memory.
#pragma once
#include <cstdint>

namespace simt {

// `layout` as in a matrix descriptor: 0 none, 1 128 bytes, 2 64 bytes, 3 32 bytes.
constexpr uint32_t swizzled(uint32_t address, int layout) {
  constexpr uint32_t masks[] = {0, 7, 3, 1};
  return address ^ ((address >> 7 & masks[layout]) << 4);
}

}  // namespace simt
