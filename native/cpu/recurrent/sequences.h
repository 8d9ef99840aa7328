// Sequences of a packed batch for kernels that carry a state from token to token, and the places of those states.
#pragma once
#include <cstring>
#include <vector>
#include "../tools/boundaries.h"

namespace cpu::CPU_ISA {

struct Sequence {
  int64_t begin, end;  // tokens
  int64_t place;       // of its state; -1 where none is kept
};

// Places are data, which lib/ops cannot check: wrong ones would read and write outside the states, and a shared one would
// be written by two threads.
inline std::vector<Sequence> sequencesOf(const View& boundaries, int64_t tokens, const View& states,
                                         const View& places) {
  checkBoundaries(boundaries, tokens);
  const int32_t* b = boundaries.data<int32_t>();
  std::vector<bool> taken(states ? size_t(states.dim(0)) : 0);
  std::vector<Sequence> sequences;
  for (int64_t s = 0; s + 1 < boundaries.size(); s++) {
    if (b[s + 1] == b[s]) continue;
    const int64_t place = states ? places.data<int32_t>()[s] : -1;
    if (states && (place < 0 || place >= states.dim(0)))
      throw std::runtime_error("sequence " + std::to_string(s) + " names place " + std::to_string(place) + " of " +
                               std::to_string(states.dim(0)));
    if (states && taken[size_t(place)]) throw std::runtime_error("two sequences name place " + std::to_string(place));
    if (states) taken[size_t(place)] = true;
    sequences.push_back({b[s], b[s + 1], place});
  }
  return sequences;
}

// Zeros for the tokens outside all sequences; x is contiguous, a token's numbers side by side.
inline void clearOutside(const View& x, const std::vector<Sequence>& sequences) {
  if (x.dim(0) == 0) return;
  const int64_t bytes = x.size() / x.dim(0) * format(x.dtype).blockBytes;
  int64_t at = 0;
  const auto clear = [&](int64_t end) {
    if (end > at) std::memset(x.data<char>() + at * bytes, 0, size_t((end - at) * bytes));
  };
  for (const Sequence& sequence : sequences) {
    clear(sequence.begin);
    at = sequence.end;
  }
  clear(x.dim(0));
}

}  // namespace cpu::CPU_ISA
