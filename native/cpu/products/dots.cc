// Products of rows with rows, x [M, K] × W', where both are contiguous along k and neither side is small: a prompt's
// activations and a weight, a large batch's decoding step.
//
// Every output is a dot product, formed as matvec.cc forms it: one register of sums over k, whose lanes are added at the
// end. So a row of the result is the same to the last bit however many rows there are. This is the file's purpose; it is
// as fast as gemm.cc, without the packing.
//
// A task has some columns of the result: it widens their rows of W to f32 once, then goes through the rows of x, R × S
// dot products at a time. S rows of x stay in L1 while those of W stream past them from L2.
#include <algorithm>
#include <utility>
#include "../tools/simd.h"
#include "gemm.h"

namespace cpu::CPU_ISA {
namespace {

// Sums of R × S registers, with room for R of W and one of x: 29 of 32, or 16 of 16.
constexpr int R = lanes == 16 ? 4 : 3, S = lanes == 16 ? 6 : 4;
constexpr int64_t tileRows = 16 * S;  // with the columns, a tile of 16 or 24 KiB
constexpr int64_t mostCols = 16 * R;
constexpr int64_t inCache = int64_t(1) << 17;  // floats of W that a task keeps in L2

int64_t padded(int64_t K) { return (K + lanes - 1) / lanes * lanes; }

// `values` [rows, columns] += x [rows, K] × w [columns, K]'; w's rows end in zeros up to whole registers.
template <int Columns, int Rows>
void addBlock(const float* w, const float* x, int64_t xStride, int64_t K, float* values, int64_t stride) {
  const int64_t wStride = padded(K);
  Floats sums[Rows][Columns] = {};
  int64_t k = 0;
  const auto step = [&](auto read) {
    Floats column[Columns];
#pragma GCC unroll 4
    for (int c = 0; c < Columns; c++) column[c] = load(w + c * wStride + k);
#pragma GCC unroll 6
    for (int r = 0; r < Rows; r++) {
      const Floats row = read(x + r * xStride + k);
#pragma GCC unroll 4
      for (int c = 0; c < Columns; c++) sums[r][c] = fma(column[c], row, sums[r][c]);
    }
  };
  for (; k + lanes <= K; k += lanes) step([](const float* from) { return load(from); });
  if (k < K) step([&](const float* from) { return loadPart(from, K - k); });

  float totals[(Rows * Columns + lanes - 1) / lanes * lanes];
#pragma GCC unroll 2
  for (int from = 0; from < Rows * Columns; from += lanes) {
    Floats some[lanes];
#pragma GCC unroll 16
    for (int i = 0; i < lanes; i++)
      some[i] = from + i < Rows * Columns ? sums[(from + i) / Columns][(from + i) % Columns] : Floats{};
    store(totals + from, sumRows(some));
  }
  for (int r = 0; r < Rows; r++)
    for (int c = 0; c < Columns; c++) values[r * stride + c] += totals[r * Columns + c];
}

using AddBlock = void (*)(const float*, const float*, int64_t, int64_t, float*, int64_t);

template <int... I>
AddBlock blockFor(int columns, int rows, std::integer_sequence<int, I...>) {
  static constexpr AddBlock table[] = {addBlock<I / S + 1, I % S + 1>...};
  return table[(columns - 1) * S + rows - 1];
}

// Rows of a matrix that is contiguous along k, as scaled f32, each ended by zeros.
void widen(const Matrix& from, int64_t rowStride, int64_t first, int64_t count, int64_t K, float scale, float* to) {
  visitFloat(from.dtype, [&](auto tag) {
    const auto* source = static_cast<const decltype(tag)*>(from.data) + first * rowStride;
    for (int64_t r = 0; r < count; r++, source += rowStride, to += padded(K)) {
      toFloats(to, source, K);
      if (scale != 1)
        for (int64_t k = 0; k < K; k++) to[k] *= scale;
      std::fill(to + K, to + padded(K), 0.0f);
    }
  });
}

}  // namespace

bool dotsSuit(const Product& p) {
  if (p.batches > 1) return false;
  for (int i = 0; i < p.termCount; i++)
    if (p.terms[i].a.colStride != 1 || p.terms[i].b.rowStride != 1) return false;
  return true;
}

void dots(Device& device, const Product& p, Finish finish) {
  int64_t longest = 0;
  for (int i = 0; i < p.termCount; i++) longest = std::max(longest, padded(p.terms[i].K));
  const int64_t cols = std::clamp<int64_t>(inCache / std::max<int64_t>(longest, 1) / R * R, R, mostCols);
  // Rows of x are shared out only where there are too few columns for all threads.
  const int64_t across = (p.N + cols - 1) / cols, blocks = (p.M + tileRows - 1) / tileRows;
  const int64_t down = std::clamp<int64_t>(4 * device.threads / across, 1, blocks);
  const int64_t perThread = tileRows * cols + (cols * p.termCount + tileRows) * longest;
  const Scratch<float> scratch(device.threads * perThread);

  device.parallelFor(across * down, [&](int64_t task, int thread) {
    float* values = scratch + thread * perThread;
    float *w = values + tileRows * cols, *x = w + cols * p.termCount * longest;
    const int64_t col = task % across * cols, columns = std::min(cols, p.N - col);
    for (int i = 0; i < p.termCount; i++) {
      const Term& t = p.terms[i];
      widen(t.b, t.b.colStride, col, columns, t.K, t.scale, w + i * cols * longest);
    }
    const int64_t end = (task / across + 1) * blocks / down;
    for (int64_t block = task / across * blocks / down; block < end; block++) {
      const int64_t top = block * tileRows, rows = std::min(tileRows, p.M - top);
      std::fill(values, values + rows * cols, 0.0f);
      for (int i = 0; i < p.termCount; i++) {
        const Term& t = p.terms[i];
        const bool inPlace = t.a.dtype == DType::f32;
        if (!inPlace) widen(t.a, t.a.rowStride, top, rows, t.K, 1, x);
        const float* from = inPlace ? static_cast<const float*>(t.a.data) + top * t.a.rowStride : x;
        const int64_t stride = inPlace ? t.a.rowStride : padded(t.K);
        const float* columnsOfW = w + i * cols * longest;
        for (int64_t r = 0; r < rows; r += S)
          for (int64_t c = 0; c < columns; c += R) {
            const int64_t width = std::min<int64_t>(R, columns - c), height = std::min<int64_t>(S, rows - r);
            blockFor(int(width), int(height), std::make_integer_sequence<int, R * S>{})(
                columnsOfW + c * padded(t.K), from + r * stride, stride, t.K, values + r * cols + c, cols);
          }
      }
      finish.call(finish.state, Tile{0, top, col, rows, columns, values, cols});
    }
  });
}

}  // namespace cpu::CPU_ISA
