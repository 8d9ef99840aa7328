// What attention's kernels share: query rows that sit side by side in SIMD lanes, against tiles of keys.
//
// The rows of one key-value head are its queries' heads one after the other: row r is query r / group, head r % group of
// the group that shares the head. Scores lie transposed, [key][row], so that every step of a softmax over keys is one
// operation on whole registers, and the two products read keys and values where they were copied to, one scalar at a
// time. Exponents are base 2: the scores carry the factor log2(e).
#pragma once
#include "../device.h"
#include "../products/pack.h"
#include "../tools/simd.h"

namespace cpu::CPU_ISA {

// Sums of blockRows × blockVectors registers, with room for blockVectors operands and a broadcast one: 28 of 32
// registers, or all 16 of AVX2.
constexpr int blockRows = lanes == 8 ? 4 : 8, blockVectors = 3;
constexpr int tileRows = blockVectors * lanes;
constexpr int tileKeys = 64;
constexpr float log2e = 1.44269504f, ln2 = 0.693147181f;

// Row length of copied keys and values: whole blocks and whole registers on every machine.
inline int64_t paddedDim(int64_t d) { return (d + 15) / 16 * 16; }

// 2^x for x below 127, to about 1 ulp: 2^n times a minimax polynomial on [-1/2, 1/2]. 0 from -126.5 down; NaN stays NaN.
inline Floats exp2(Floats x) {
  x = max(splat(-127), x);
  const Floats magic = splat(12582912.0f);  // 1.5 * 2^23: adding it rounds to an integer, in the low bits
  const Floats shifted = x + magic;
  const Floats r = x - (shifted - magic);
  Floats p = splat(1.53458152e-4f);
  p = fma(p, r, splat(1.33999312e-3f));
  p = fma(p, r, splat(9.61848896e-3f));
  p = fma(p, r, splat(5.55032878e-2f));
  p = fma(p, r, splat(0.240226469f));
  p = fma(p, r, splat(0.693147206f));
  p = fma(p, r, splat(1.0f));
  return p * (Floats)(((Ints)shifted + 127) << 23);
}

// A matrix read one scalar at a time: element (row, k) lies at data[row * rowStride + k * step].
struct Scalars {
  const float* data;
  int64_t rowStride, step;
};

// c [rows, V registers] = first(c) + a [rows, depth] × b [depth, V registers]. `rows` counts up to whole blocks: what a
// block computes beyond it is never read. `first(c, v)` says what a sum starts from.
template <int V, class First>
inline void multiply(int64_t rows, int64_t depth, float* c, int64_t cStride, Scalars a, const float* b, int64_t bStride,
                     First&& first) {
  for (int64_t row = 0; row < rows; row += blockRows, c += blockRows * cStride, a.data += blockRows * a.rowStride) {
    Floats sums[blockRows][V];
#pragma GCC unroll 8
    for (int r = 0; r < blockRows; r++)
#pragma GCC unroll 3
      for (int v = 0; v < V; v++) sums[r][v] = first(c + r * cStride + v * lanes, v);
    const float* x = a.data;
    const float* y = b;
    for (int64_t k = 0; k < depth; k++, x += a.step, y += bStride) {
      Floats column[V];
#pragma GCC unroll 3
      for (int v = 0; v < V; v++) column[v] = load(y + v * lanes);
#pragma GCC unroll 8
      for (int r = 0; r < blockRows; r++) {
        const Floats scalar = splat(x[r * a.rowStride]);
#pragma GCC unroll 3
        for (int v = 0; v < V; v++) sums[r][v] = fma(scalar, column[v], sums[r][v]);
      }
    }
#pragma GCC unroll 8
    for (int r = 0; r < blockRows; r++)
#pragma GCC unroll 3
      for (int v = 0; v < V; v++) store(c + r * cStride + v * lanes, sums[r][v]);
  }
}

inline Floats fromZero(const float*, int) { return Floats{}; }
inline Floats fromSum(const float* c, int) { return load(c); }

// Which keys a query sees, and how a score is changed.
struct Scoring {
  float scale;
  bool causal;
  int window;
  float softcap;

  // Queries are multiplied by this when they are packed, so that a score comes out ready for tanh or for exp2.
  float queryScale() const { return softcap > 0 ? scale / softcap : scale * log2e; }
  int64_t firstKey(int64_t position) const { return window > 0 && position >= window ? position - window + 1 : 0; }
  int64_t endKey(int64_t position, int64_t keys) const {
    if (causal) return position + 1;
    return window > 0 && position + window < keys ? position + window : keys;
  }
};

// One sequence: its queries are `queries` tokens from `token` on, the last ones among `keys` keys.
struct Span {
  int64_t token, queries, keys;
  int64_t position(int64_t query) const { return keys - queries + query; }
};

// Up to tileRows query rows of one key-value head, with what their softmax has come to.
struct QueryTile {
  int rows, vectors;
  int64_t firstKey, endKey;  // keys that some row sees
  int64_t allFirst, allEnd;  // keys that every row sees
  int32_t first[tileRows], last[tileRows];
  float most[tileRows], total[tileRows];  // base-2 maximum so far, and Σ 2^(score - most)
  float* q;                               // [d][tileRows], scaled
  float* sum;                             // [padded d][tileRows]: Σ 2^(score - most) · value

  // Rows from `row` on of `span`. Lanes without a row repeat the last one's limits.
  void open(const Span& span, const Scoring& scoring, int group, int64_t row, int64_t count) {
    rows = int(count);
    vectors = (rows + lanes - 1) / lanes;
    for (int i = 0; i < tileRows; i++) {
      const int64_t position = span.position((row + (i < rows ? i : rows - 1)) / group);
      first[i] = int32_t(scoring.firstKey(position));
      last[i] = int32_t(scoring.endKey(position, span.keys) - 1);
    }
    firstKey = first[0];
    endKey = last[rows - 1] + 1;
    allFirst = first[rows - 1];
    allEnd = last[0] + 1;
  }
  // How many of `count` keys from `key` on are computed: up to the last row's end, rounded up to a block. Products
  // write whole blocks, and numbers of keys that were not computed must not reach a gradient.
  int64_t seen(int64_t key, int64_t count) const {
    if (key >= endKey || key + count <= firstKey) return 0;
    const int64_t most = (endKey - key + blockRows - 1) / blockRows * blockRows;
    return count < most ? count : most;
  }
  bool seesAll(int64_t key, int64_t count) const { return key >= allFirst && key + count <= allEnd; }
};

// A score that its query does not see is -inf.
inline Floats masked(Floats score, int64_t key, const QueryTile& tile, int v) {
  Ints first, last;
  std::memcpy(&first, tile.first + v * lanes, sizeof first);
  std::memcpy(&last, tile.last + v * lanes, sizeof last);
  const Ints at = splatInt(int32_t(key));
  return select((at >= first) & (at <= last), score, splat(-INFINITY));
}

// Copies rows side by side into lanes: to[k * tileRows + i] = x[offset(i) + k] · scale, 0 where there is no row i.
template <class Offset>
void packLanes(float* to, const View& x, int64_t d, int rows, float scale, Offset&& offset) {
  visitFloat(x.dtype, [&](auto tag) {
    const auto* from = x.data<decltype(tag)>();
    for (int i = 0; i < rows; i += lanes) {
      const decltype(tag)* starts[lanes];
      const int count = rows - i < lanes ? rows - i : lanes;
      for (int r = 0; r < count; r++) starts[r] = from + offset(i + r);
      for (int64_t k = 0; k < d; k += lanes) {
        const int64_t part = d - k < lanes ? d - k : lanes;
        Floats square[lanes];
        for (int r = 0; r < lanes; r++)
          square[r] =
              r >= count ? Floats{} : (part == lanes ? load(starts[r] + k) : loadPart(starts[r] + k, part)) * scale;
        transpose(square);
        for (int j = 0; j < part; j++) store(to + (k + j) * tileRows + i, square[j]);
      }
    }
  });
}

// The way back: row i of x is from[k * tileRows + i] · scale[i]. `buffer` holds lanes rows of padded d.
template <class Offset>
void unpackLanes(const View& x, const float* from, int64_t d, int rows, const float* scale, float* buffer,
                 Offset&& offset) {
  const int64_t stride = paddedDim(d);
  for (int i = 0; i < rows; i += lanes) {
    const Floats factor = load(scale + i);
    for (int64_t k = 0; k < d; k += lanes) {
      Floats square[lanes];
      for (int j = 0; j < lanes; j++) square[j] = load(from + (k + j) * tileRows + i) * factor;
      transpose(square);
      for (int r = 0; r < lanes; r++) store(buffer + r * stride + k, square[r]);
    }
    for (int r = 0; r < lanes && i + r < rows; r++) writeRow(x, offset(i + r), buffer + r * stride, d);
  }
}

// Copies `count` rows of d channels as f32, padded with zeros: to[n * padded d + k] = x[offset(n) + k].
template <class Offset>
void packRows(float* to, const View& x, int64_t d, int64_t count, Offset&& offset) {
  const int64_t stride = paddedDim(d);
  visitFloat(x.dtype, [&](auto tag) {
    const auto* from = x.data<decltype(tag)>();
    for (int64_t n = 0; n < count; n++, to += stride) {
      toFloats(to, from + offset(n), d);
      for (int64_t k = d; k < stride; k++) to[k] = 0;
    }
  });
}

}  // namespace cpu::CPU_ISA
