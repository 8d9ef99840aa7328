// Blocked matrix product, after Goto and van de Geijn, "Anatomy of High-Performance Matrix Multiplication" (2008).
//
// Both operands are first packed into panels, by all threads together: `maxRows` rows of a, 2 registers' width of columns
// of b, f32, k after k. Then tasks take tiles of the output. In a tile, for each block of k, a panel of b stays in L1
// while the panels of a stream past it from L2, and the micro-kernel keeps rows × 2 registers of sums. Terms of one
// product lie behind each other along k, so a second product costs no second pass over the output.
#include "gemm.h"
#include <algorithm>
#include "../tools/functions.h"
#include "../tools/simd.h"
#include "pack.h"

namespace cpu::CPU_ISA {
namespace {

// Sums of rows × 2 registers, with room for two registers of b and one of a: 31 of 32 for AVX-512, 15 of 16 for AVX2.
constexpr int maxRows = lanes == 16 ? 14 : 6;
constexpr int panelCols = 2 * lanes;
// A panel of b of this depth fills two thirds of an L1 of 48 KiB (AVX-512) or half of 32 KiB (AVX2).
constexpr int64_t depth = 256;
// A tile of sums, the panels of a behind it and those of b take about 900 KiB of L2.
constexpr int64_t tileRows = 336, tileCols = 256;
// Floats in one packed operand, at most: 16 MiB.
constexpr int64_t packedLimit = int64_t(1) << 22;

int64_t ceilDiv(int64_t a, int64_t b) { return (a + b - 1) / b; }

// c [Rows, Vectors registers] (+)= a × b, both packed.
template <int Rows, int Vectors>
void multiply(int64_t K, const float* a, const float* b, float* c, int64_t stride, bool add) {
  Floats sums[Rows][Vectors] = {};
  for (int64_t k = 0; k < K; k++) {
    Floats column[Vectors];
#pragma GCC unroll 2
    for (int v = 0; v < Vectors; v++) column[v] = load(b + v * lanes);
#pragma GCC unroll 14
    for (int r = 0; r < Rows; r++) {
      const Floats x = splat(a[r]);
#pragma GCC unroll 2
      for (int v = 0; v < Vectors; v++) sums[r][v] = fma(x, column[v], sums[r][v]);
    }
    a += Rows;
    b += Vectors * lanes;
  }
#pragma GCC unroll 14
  for (int r = 0; r < Rows; r++)
#pragma GCC unroll 2
    for (int v = 0; v < Vectors; v++) {
      float* to = c + r * stride + v * lanes;
      store(to, add ? sums[r][v] + load(to) : sums[r][v]);
    }
}

using Multiply = void (*)(int64_t, const float*, const float*, float*, int64_t, bool);

template <int... Row>
Multiply multiplyFor(int rows, int vectors, std::integer_sequence<int, Row...>) {
  static constexpr Multiply table[2][maxRows] = {{multiply<Row + 1, 1>...}, {multiply<Row + 1, 2>...}};
  return table[vectors - 1][rows - 1];
}

// The sizes of one product's panels.
struct Plan {
  int64_t M, N, K;
  int64_t panelRows, rowPanels, colPanels;
  int64_t aPanel, bPanel;  // floats from one panel to the next, slack included

  explicit Plan(const Product& p) : M(p.M), N(p.N), K(p.K()) {
    // Panels of equal height: 15 rows are 8 and 7, not 14 and 1.
    panelRows = ceilDiv(M, ceilDiv(M, maxRows));
    rowPanels = ceilDiv(M, panelRows);
    colPanels = ceilDiv(N, panelCols);
    aPanel = K * panelRows + lanes;
    bPanel = K * panelCols + lanes;
  }
  int64_t rowsOf(int64_t panel) const { return std::min(panelRows, M - panel * panelRows); }
  int64_t colsOf(int64_t panel) const { return std::min<int64_t>(panelCols, N - panel * panelCols); }
};

void packRows(const Product& p, const Plan& plan, int64_t batch, int64_t panel, float* to) {
  const int64_t rows = plan.rowsOf(panel);
  for (int i = 0; i < p.termCount; i++) {
    const Term t = p.term(i, batch);
    packPanel(to, rows, rows, t.K, t.a.at(panel * plan.panelRows * t.a.rowStride), t.a.rowStride, t.a.colStride,
              t.scale);
    to += t.K * rows;
  }
}

void packCols(const Product& p, const Plan& plan, int64_t batch, int64_t panel, float* to) {
  const int64_t cols = plan.colsOf(panel), stride = ceilDiv(cols, lanes) * lanes;
  for (int i = 0; i < p.termCount; i++) {
    const Term t = p.term(i, batch);
    packPanel(to, stride, cols, t.K, t.b.at(panel * panelCols * t.b.colStride), t.b.colStride, t.b.rowStride, 1);
    to += t.K * stride;
  }
}

struct Range {
  int64_t begin, end;
  int64_t count() const { return end - begin; }
};

// Prefetches the `part`-th of `parts` equal pieces of `count` floats. Panels come from L3 or memory, whose latency
// hardware prefetching does not hide; into L2, because L1 is full of the panels in use.
inline void prefetchPart(const float* from, int64_t count, int64_t part, int64_t parts) {
  const int64_t length = ceilDiv(count, parts * 16) * 16, end = std::min(count, (part + 1) * length);
  for (int64_t i = part * length; i < end; i += 16) __builtin_prefetch(from + i, 0, 2);
}

// One tile: row panels × column panels, over all of k.
void multiplyTile(const Plan& plan, Range rows, Range cols, const float* a, const float* b, float* sums,
                  int64_t stride) {
  const int64_t blocks = std::max<int64_t>(1, ceilDiv(plan.K, depth)), length = ceilDiv(plan.K, blocks);
  for (int64_t block = 0; block < blocks; block++) {
    const int64_t k = block * length, count = std::min(length, plan.K - k);
    const int64_t nextCount = std::min(length, plan.K - k - count);  // 0 in the last block
    for (int64_t j = 0; j < cols.count(); j++) {
      const int vectors = int(ceilDiv(plan.colsOf(cols.begin + j), lanes));
      for (int64_t i = 0; i < rows.count(); i++) {
        const int64_t height = plan.rowsOf(rows.begin + i);
        if (j + 1 < cols.count())
          prefetchPart(b + (j + 1) * plan.bPanel + k * panelCols, count * panelCols, i, rows.count());
        else prefetchPart(b + (k + count) * panelCols, nextCount * panelCols, i, rows.count());
        prefetchPart(a + i * plan.aPanel + (k + count) * height, nextCount * height, j, cols.count());
        const Multiply kernel = multiplyFor(int(height), vectors, std::make_integer_sequence<int, maxRows>{});
        kernel(count, a + i * plan.aPanel + k * height, b + j * plan.bPanel + k * vectors * lanes,
               sums + i * plan.panelRows * stride + j * panelCols, stride, block > 0);
      }
    }
  }
}

void blocked(Device& device, const Product& p, Finish finish) {
  const Plan plan(p);
  // How much is packed at a time: whole operands, of many batches if they are small, else parts of one.
  const int64_t rowBlock =
      std::clamp(packedLimit / plan.aPanel, ceilDiv(tileRows, plan.panelRows), plan.rowPanels + 16);
  const int64_t colBlock = std::clamp<int64_t>(packedLimit / plan.bPanel, tileCols / panelCols, plan.colPanels + 16);
  const int64_t aRows = std::min(rowBlock, plan.rowPanels), bCols = std::min(colBlock, plan.colPanels);
  const int64_t most = std::max(aRows * plan.aPanel, bCols * plan.bPanel);
  const int64_t together =
      aRows < plan.rowPanels || bCols < plan.colPanels ? 1 : std::clamp<int64_t>(packedLimit / most, 1, p.batches);

  // Tiles shrink until every thread has a few.
  int64_t tilePanelRows = std::min(ceilDiv(tileRows, plan.panelRows), aRows);
  int64_t tilePanelCols = std::min<int64_t>(tileCols / panelCols, bCols);
  while (device.threads > 1 && (tilePanelRows > 1 || tilePanelCols > 1) &&
         together * ceilDiv(aRows, tilePanelRows) * ceilDiv(bCols, tilePanelCols) < 4 * device.threads) {
    int64_t& larger = tilePanelRows * plan.panelRows > tilePanelCols * panelCols || tilePanelCols == 1 ? tilePanelRows
                                                                                                       : tilePanelCols;
    if (larger == 1) break;
    larger = ceilDiv(larger, 2);
  }
  const int64_t stride = tilePanelCols * panelCols;
  const int64_t tileSize = tilePanelRows * plan.panelRows * stride;

  Scratch<float> a(together * aRows * plan.aPanel), b(together * bCols * plan.bPanel);
  Scratch<float> sums(device.threads * tileSize);

  for (int64_t batch = 0; batch < p.batches; batch += together) {
    const int64_t batches = std::min(together, p.batches - batch);
    for (int64_t top = 0; top < plan.rowPanels; top += aRows) {
      const int64_t rowPanels = std::min(aRows, plan.rowPanels - top);
      for (int64_t left = 0; left < plan.colPanels; left += bCols) {
        const int64_t colPanels = std::min(bCols, plan.colPanels - left);

        const int64_t aPanels = left == 0 ? rowPanels : 0, perBatch = aPanels + colPanels;
        const int64_t grain = std::max<int64_t>(1, 16384 / (plan.K * panelCols + 1));
        device.parallelRanges(batches * perBatch, grain, [&](int64_t begin, int64_t end, int) {
          for (int64_t i = begin; i < end; i++) {
            const int64_t which = i / perBatch, panel = i % perBatch;
            if (panel < aPanels) {
              packRows(p, plan, batch + which, top + panel, a + (which * aRows + panel) * plan.aPanel);
            } else {
              const int64_t col = panel - aPanels;
              packCols(p, plan, batch + which, left + col, b + (which * bCols + col) * plan.bPanel);
            }
          }
        });

        const int64_t down = ceilDiv(rowPanels, tilePanelRows), across = ceilDiv(colPanels, tilePanelCols);
        device.parallelFor(batches * down * across, [&](int64_t task, int thread) {
          const int64_t which = task / (down * across), i = task % down * tilePanelRows;
          const int64_t j = task / down % across * tilePanelCols;
          const Range rows{top + i, top + std::min(i + tilePanelRows, rowPanels)};
          const Range cols{left + j, left + std::min(j + tilePanelCols, colPanels)};
          float* values = sums + thread * tileSize;
          multiplyTile(plan, rows, cols, a + (which * aRows + i) * plan.aPanel, b + (which * bCols + j) * plan.bPanel,
                       values, stride);
          const int64_t row = rows.begin * plan.panelRows, col = cols.begin * panelCols;
          finish.call(finish.state, Tile{batch + which, row, col, std::min(plan.M, rows.end * plan.panelRows) - row,
                                         std::min(plan.N, cols.end * panelCols) - col, values, stride});
        });
      }
    }
  }
}

}  // namespace

void gemm(Device& device, const Product& product, Finish finish) {
  if (product.M == 0 || product.N == 0 || product.batches == 0) return;
  // Small products run on one thread: waking another takes a few microseconds, the time of this many multiplications.
  Device alone{1};
  const bool small = double(product.M) * product.N * (product.K() + 1) * product.batches < 1e5;
  Device& used = small ? alone : device;
  if (matvecSuits(product)) matvec(used, product, finish);
  else if (dotsSuit(product)) dots(used, product, finish);
  else blocked(used, product, finish);
}

namespace {

template <class Op>
void change(float* values, int64_t count, Op op) {
  int64_t j = 0;
  for (; j + lanes <= count; j += lanes) store(values + j, op(load(values + j)));
  if (j < count) storePart(values + j, op(loadPart(values + j, count - j)), count - j);
}

template <class T>
void add(float* values, const T* other, int64_t count) {
  int64_t j = 0;
  for (; j + lanes <= count; j += lanes) store(values + j, load(values + j) + load(other + j));
  for (; j < count; j++) values[j] += float(other[j]);
}

void activate(float* values, int64_t count, Activation activation) {
  if (activation == Activation::silu) change(values, count, [](Floats x) { return silu(x); });
  else if (activation == Activation::gelu) change(values, count, [](Floats x) { return gelu(x); });
  else if (activation == Activation::geluTanh) change(values, count, [](Floats x) { return geluTanh(x); });
}

}  // namespace

void Destination::write(const Tile& tile, int64_t offset) const {
  for (int64_t r = 0; r < tile.rows; r++) {
    float* values = tile.values + r * tile.stride;
    const int64_t at = offset + (tile.row + r) * rowStride + tile.col;
    if (bias) add(values, bias + tile.col, tile.cols);
    activate(values, tile.cols, activation);
    if (residual)
      visitFloat(residualType,
                 [&](auto tag) { add(values, static_cast<const decltype(tag)*>(residual) + at, tile.cols); });
    visitFloat(dtype, [&](auto tag) { fromFloats(static_cast<decltype(tag)*>(data) + at, values, tile.cols); });
  }
}

void gemm(Device& device, const Product& product, const Destination& out) {
  gemmTiles(device, product, [&](const Tile& tile) { out.write(tile); });
}

}  // namespace cpu::CPU_ISA
