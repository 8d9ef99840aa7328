// Packing: strided matrices in any floating-point format, copied as f32 into the panels that gemm.cc multiplies.
//
// A panel holds `width` rows of a (or columns of b) side by side for every k: to[k * stride + i]. Stores are whole
// registers, so up to `lanes` floats after a row's end are overwritten: the next row's place, or the panel's slack.
#pragma once
#include <algorithm>
#include <utility>
#include "../tools/simd.h"
#include "gemm.h"

namespace cpu::CPU_ISA {

template <int From, size_t... I>
inline Floats interleave(Floats a, Floats b, std::index_sequence<I...>) {
  return __builtin_shufflevector(a, b, (I % 2 ? lanes + From + I / 2 : From + I / 2)...);
}

// A square of registers. Interleaving rows i and i + lanes/2, log2(lanes) times, is a transposition.
inline void transpose(Floats (&rows)[lanes]) {
  constexpr auto each = std::make_index_sequence<lanes>{};
#pragma GCC unroll 4
  for (int step = 1; step < lanes; step *= 2) {
    Floats next[lanes];
#pragma GCC unroll 8
    for (int i = 0; i < lanes / 2; i++) {
      next[2 * i] = interleave<0>(rows[i], rows[i + lanes / 2], each);
      next[2 * i + 1] = interleave<lanes / 2>(rows[i], rows[i + lanes / 2], each);
    }
#pragma GCC unroll 16
    for (int i = 0; i < lanes; i++) rows[i] = next[i];
  }
}

// Stores the square `rows`, transposed: one register for each k.
inline void storeTransposed(float* to, int64_t stride, Floats (&rows)[lanes]) {
  transpose(rows);
#pragma GCC unroll 16
  for (int k = 0; k < lanes; k++) store(to + k * stride, rows[k]);
}

// A whole block, lanes rows by `blockDepth` k.
template <class T>
constexpr int blockDepth = std::is_same_v<T, bf16> ? 2 * lanes : lanes;

template <class T>
inline void packBlock(float* to, int64_t stride, const T* from, int64_t along) {
  Floats rows[lanes];
#pragma GCC unroll 16
  for (int r = 0; r < lanes; r++) rows[r] = load(from + r * along);
  storeTransposed(to, stride, rows);
}

// Two bf16 travel as one 32-bit lane, and part after the transposition: half the shuffles.
inline void packBlock(float* to, int64_t stride, const bf16* from, int64_t along) {
  Floats pairs[lanes];
#pragma GCC unroll 16
  for (int r = 0; r < lanes; r++) std::memcpy(&pairs[r], from + r * along, sizeof(Floats));
  transpose(pairs);
#pragma GCC unroll 16
  for (int k = 0; k < lanes; k++) {
    store(to + 2 * k * stride, (Floats)((Words)pairs[k] << 16));
    store(to + (2 * k + 1) * stride, (Floats)((Words)pairs[k] & 0xffff0000u));
  }
}

// A block at an edge: `height` rows by `count` k.
template <class T>
void packCorner(float* to, int64_t stride, const T* from, int64_t along, int64_t height, int64_t count) {
  for (int64_t k = 0; k < count; k += lanes) {
    const int64_t width = count - k < lanes ? count - k : lanes;
    Floats rows[lanes];
#pragma GCC unroll 16
    for (int r = 0; r < lanes; r++) rows[r] = r < height ? loadPart(from + r * along + k, width) : Floats{};
    transpose(rows);
    float* line = to + k * stride;
#pragma GCC unroll 16
    for (int j = 0; j < lanes; j++)
      if (j < width) store(line + j * stride, rows[j]);
  }
}

// k is the contiguous axis: blocks are transposed in registers.
template <class T>
void packAcross(float* to, int64_t stride, int64_t width, int64_t K, const T* from, int64_t along) {
  for (int64_t i = 0; i < width; i += lanes) {
    const int64_t height = width - i < lanes ? width - i : lanes;
    for (int64_t k = 0; k < K; k += blockDepth<T>) {
      const T* corner = from + i * along + k;
      float* target = to + k * stride + i;
      if (height == lanes && K - k >= blockDepth<T>) packBlock(target, stride, corner, along);
      else packCorner(target, stride, corner, along, height, std::min<int64_t>(K - k, blockDepth<T>));
    }
  }
}

// The panel's own axis is contiguous: rows are copied.
template <class T>
void packAlong(float* to, int64_t stride, int64_t width, int64_t K, const T* from, int64_t step) {
  const int64_t whole = width / lanes * lanes, rest = width - whole;
  for (int64_t k = 0; k < K; k++, to += stride, from += step) {
    for (int64_t i = 0; i < whole; i += lanes) store(to + i, load(from + i));
    if (rest) store(to + whole, loadPart(from + whole, rest));
  }
}

template <class T>
void packAnyhow(float* to, int64_t stride, int64_t width, int64_t K, const T* from, int64_t along, int64_t step) {
  for (int64_t k = 0; k < K; k++, to += stride, from += step) {
    for (int64_t i = 0; i < width; i++) to[i] = float(from[i * along]);
    for (int64_t i = width; i < stride; i++) to[i] = 0;
  }
}

// `along` is the distance between neighbours in the panel, `step` the distance from k to k + 1. `stride` is `width`, or
// `width` rounded up to whole registers; the columns between are zero.
inline void packPanel(float* to, int64_t stride, int64_t width, int64_t K, const Matrix& from, int64_t along,
                      int64_t step, float scale) {
  visitFloat(from.dtype, [&](auto tag) {
    const auto* source = static_cast<const decltype(tag)*>(from.data);
    if (along == 1) packAlong(to, stride, width, K, source, step);
    else if (step == 1) packAcross(to, stride, width, K, source, along);
    else packAnyhow(to, stride, width, K, source, along, step);
  });
  if (scale == 1) return;
  for (int64_t i = 0; i < K * stride; i++) to[i] *= scale;
}

}  // namespace cpu::CPU_ISA
