// Boundaries of the sequences in a packed batch.
#pragma once
#include <cstdint>
#include <stdexcept>
#include <string>
#include "../../view.h"

namespace cpu::CPU_ISA {

// Boundaries are data, which lib/ops cannot check: wrong ones would read and write outside the tensors.
inline void checkBoundaries(const View& boundaries, int64_t tokens) {
  const int32_t* b = boundaries.data<int32_t>();
  for (int64_t s = 0; s < boundaries.size(); s++)
    if (b[s] < (s > 0 ? b[s - 1] : 0) || b[s] > tokens)
      throw std::runtime_error("boundaries must rise from 0 to at most " + std::to_string(tokens) + " tokens, got " +
                               std::to_string(b[s]) + " at " + std::to_string(s));
}

}  // namespace cpu::CPU_ISA
