// Sequences in a packed batch: `boundaries` as spans of tokens, and the tokens that no sequence holds.
#pragma once
#include <vector>
#include "../tools/boundaries.h"
#include "attention-tile.h"

namespace cpu::CPU_ISA {

// The sequences that have tokens.
inline std::vector<Span> packedSpans(const View& boundaries, int64_t tokens) {
  checkBoundaries(boundaries, tokens);
  const int32_t* b = boundaries.data<int32_t>();
  std::vector<Span> spans;
  for (int64_t s = 0; s + 1 < boundaries.size(); s++)
    if (b[s + 1] > b[s]) spans.push_back({b[s], b[s + 1] - b[s], b[s + 1] - b[s]});
  return spans;
}

// Runs body(begin, end) for each stretch of tokens outside all spans.
template <class Body>
void eachGap(const std::vector<Span>& spans, int64_t tokens, Body&& body) {
  int64_t at = 0;
  for (const Span& span : spans) {
    if (span.token > at) body(at, span.token);
    at = span.token + span.queries;
  }
  if (at < tokens) body(at, tokens);
}

// Zeros for the tokens outside all spans; x is [tokens, heads, d], the heads of a token side by side.
inline void clearOutside(const View& x, const std::vector<Span>& spans) {
  const int64_t bytes = format(x.dtype).blockBytes;
  eachGap(spans, x.dim(0), [&](int64_t begin, int64_t end) {
    for (int64_t t = begin; t < end; t++)
      std::memset(x.data<char>() + t * x.stride(0) * bytes, 0, size_t(x.dim(1) * x.dim(2) * bytes));
  });
}

}  // namespace cpu::CPU_ISA
