// Products with one small side, where packing the large operand would cost more than using it: a decoding step's
// x [M, K] × W', a rank-r LoRA factor. The large operand is streamed once, in place and in its own format; the small one,
// at most `maxSmall` rows wide, is first copied to f32.
//
// Where the large operand is contiguous along k (W [N, K]), an output is a dot product of two rows: `dots` forms a block
// of R × S of them. Where it is contiguous along its other axis (W [K, N]), `rows` adds multiples of its rows.
// When the small side is b instead of a, the product is done transposed.
#include <algorithm>
#include <utility>
#include "../tools/simd.h"
#include "gemm.h"

namespace cpu::CPU_ISA {
namespace {

constexpr int maxSmall = 16;
// Registers for sums and for the vectors that they are made from.
constexpr int registers = lanes == 16 ? 28 : 13;
constexpr int maxTogether = lanes == 16 ? 8 : 4;  // rows of the small operand that share one reading of the large one

// The streamed side is always the rows of `large`, the columns of `large` are k.
struct Sides {
  Matrix large, small;  // [count, K] each
  int64_t K;
  float scale;
};

bool transposes(const Product& p) { return p.M > p.N; }

Sides sidesOf(const Product& p, int term, int64_t batch) {
  const Term t = p.term(term, batch);
  return transposes(p) ? Sides{t.a, t.b.transposed(), t.K, t.scale} : Sides{t.b.transposed(), t.a, t.K, t.scale};
}

// to [R, S] (by its strides) += the dot products of R rows of `large` with S rows of `small`.
template <class T, int R, int S>
void dots(const T* large, int64_t largeStride, const float* small, int64_t K, float* to, int64_t stepR, int64_t stepS) {
  const int64_t smallStride = (K + lanes - 1) / lanes * lanes;
  Floats sums[R][S] = {};
  int64_t k = 0;
  for (; k + lanes <= K; k += lanes) {
    Floats x[S];
#pragma GCC unroll 8
    for (int s = 0; s < S; s++) x[s] = load(small + s * smallStride + k);
#pragma GCC unroll 8
    for (int r = 0; r < R; r++) {
      const T* row = large + r * largeStride + k;
      __builtin_prefetch(row + R * largeStride, 0, 2);
      const Floats w = load(row);
#pragma GCC unroll 8
      for (int s = 0; s < S; s++) sums[r][s] = fma(w, x[s], sums[r][s]);
    }
  }
  if (k < K) {
#pragma GCC unroll 8
    for (int r = 0; r < R; r++) {
      const Floats w = loadPart(large + r * largeStride + k, K - k);
#pragma GCC unroll 8
      for (int s = 0; s < S; s++) sums[r][s] = fma(w, load(small + s * smallStride + k), sums[r][s]);
    }
  }
#pragma GCC unroll 8
  for (int r = 0; r < R; r++)
#pragma GCC unroll 8
    for (int s = 0; s < S; s++) to[r * stepR + s * stepS] += sumLanes(sums[r][s]);
}

template <class T, int S>
void dotsOf(const T* large, int64_t largeStride, const float* small, int64_t K, int64_t count, float* to, int64_t stepR,
            int64_t stepS) {
  constexpr int R = std::clamp((registers - S) / S, 1, 8);
  int64_t i = 0;
  for (; i + R <= count; i += R)
    dots<T, R, S>(large + i * largeStride, largeStride, small, K, to + i * stepR, stepR, stepS);
  for (; i < count; i++) dots<T, 1, S>(large + i * largeStride, largeStride, small, K, to + i * stepR, stepR, stepS);
}

// to [S, columns] += small [K, S]' × large [K, columns], the columns contiguous, in V registers of columns.
template <class T, int S, int V>
void rows(const T* large, int64_t step, const float* small, int64_t K, int64_t columns, float* to, int64_t stepR,
          int64_t stepS) {
  Floats sums[S][V] = {};
  const bool whole = columns >= V * lanes;
  for (int64_t k = 0; k < K; k++) {
    Floats w[V];
#pragma GCC unroll 8
    for (int v = 0; v < V; v++) w[v] = whole ? load(large + k * step + v * lanes) : loadPart(large + k * step, columns);
#pragma GCC unroll 8
    for (int s = 0; s < S; s++) {
      const Floats x = splat(small[k * S + s]);
#pragma GCC unroll 8
      for (int v = 0; v < V; v++) sums[s][v] = fma(x, w[v], sums[s][v]);
    }
  }
  const int64_t count = std::min<int64_t>(columns, V * lanes);
  float values[V * lanes];
  for (int s = 0; s < S; s++) {
#pragma GCC unroll 8
    for (int v = 0; v < V; v++) store(values + v * lanes, sums[s][v]);
    for (int64_t i = 0; i < count; i++) to[i * stepR + s * stepS] += values[i];
  }
}

template <class T, int S>
void rowsOf(const T* large, int64_t step, const float* small, int64_t K, int64_t count, float* to, int64_t stepR,
            int64_t stepS) {
  constexpr int V = std::clamp((registers + 2) / (S + 1), 1, 8);
  int64_t i = 0;
  for (; i + V * lanes <= count; i += V * lanes)
    rows<T, S, V>(large + i, step, small, K, V * lanes, to + i * stepR, stepR, stepS);
  for (; i < count; i += lanes) rows<T, S, 1>(large + i, step, small, K, count - i, to + i * stepR, stepR, stepS);
}

// Calls body(std::integral_constant) for 1 <= n <= maxTogether.
template <class Body, int... I>
void withConstant(int n, Body&& body, std::integer_sequence<int, I...>) {
  ((n == I + 1 ? body(std::integral_constant<int, I + 1>{}) : void()), ...);
}

bool alongK(const Sides& s) { return s.large.colStride == 1 || s.K <= 1; }

int64_t paddedK(int64_t K) { return (K + lanes - 1) / lanes * lanes; }

// The small operand as f32, scaled: groups of `maxTogether` rows; in a group [row][k] for `dots`, k padded with zeros to
// whole registers, and [k][row] for `rows`.
void copySmall(const Sides& sides, int64_t count, float* to) {
  const bool dotted = alongK(sides);
  const int64_t K = sides.K;
  visitFloat(sides.small.dtype, [&](auto tag) {
    const auto* from = static_cast<const decltype(tag)*>(sides.small.data);
    for (int64_t first = 0; first < count; first += maxTogether) {
      const int64_t group = std::min<int64_t>(maxTogether, count - first);
      for (int64_t s = 0; s < group; s++) {
        const auto* row = from + (first + s) * sides.small.rowStride;
        const int64_t step = sides.small.colStride;
        if (dotted) {
          float* line = to + s * paddedK(K);
          for (int64_t k = 0; k < K; k++) line[k] = float(row[k * step]) * sides.scale;
          for (int64_t k = K; k < paddedK(K); k++) line[k] = 0;
        } else {
          for (int64_t k = 0; k < K; k++) to[k * group + s] = float(row[k * step]) * sides.scale;
        }
      }
      to += maxTogether * paddedK(K);
    }
  });
}

// Adds one term's part of the outputs [begin, end) of the large side.
void addTerm(const Sides& sides, int64_t count, const float* small, int64_t begin, int64_t end, float* to,
             int64_t stepR, int64_t stepS) {
  visitFloat(sides.large.dtype, [&](auto tag) {
    using T = decltype(tag);
    const T* large = static_cast<const T*>(sides.large.data) + begin * sides.large.rowStride;
    for (int64_t first = 0; first < count; first += maxTogether) {
      const int group = int(std::min<int64_t>(maxTogether, count - first));
      withConstant(
          group,
          [&](auto constant) {
            constexpr int S = decltype(constant)::value;
            const float* x = small + first * paddedK(sides.K);
            float* target = to + first * stepS;
            if (alongK(sides))
              dotsOf<T, S>(large, sides.large.rowStride, x, sides.K, end - begin, target, stepR, stepS);
            else rowsOf<T, S>(large, sides.large.colStride, x, sides.K, end - begin, target, stepR, stepS);
          },
          std::make_integer_sequence<int, maxTogether>{});
    }
  });
}

}  // namespace

bool matvecSuits(const Product& p) {
  if (std::min(p.M, p.N) > maxSmall) return false;
  for (int i = 0; i < p.termCount; i++) {
    const Sides sides = sidesOf(p, i, 0);
    if (!alongK(sides) && sides.large.rowStride != 1) return false;
  }
  return true;
}

void matvec(Device& device, const Product& p, Finish finish) {
  const bool swapped = transposes(p);
  const int64_t largeCount = std::max(p.M, p.N), smallCount = std::min(p.M, p.N);
  const int64_t groups = (smallCount + maxTogether - 1) / maxTogether;
  int64_t smallSize = 0;
  for (int i = 0; i < p.termCount; i++) smallSize += groups * maxTogether * paddedK(p.terms[i].K);

  // A task reads about 128 Ki elements of the large operand, and writes a tile that stays in L1 or L2.
  int64_t chunk = std::clamp<int64_t>((int64_t(1) << 17) / std::max<int64_t>(p.K(), 1), 64, 1024);
  while (chunk > 64 && p.batches * ((largeCount + chunk - 1) / chunk) < 8 * device.threads) chunk /= 2;
  const int64_t chunks = (largeCount + chunk - 1) / chunk;

  Scratch<float> small(p.batches * smallSize), tiles(device.threads * chunk * smallCount);
  const auto copyBatches = [&](int64_t begin, int64_t end, int) {
    for (int64_t batch = begin; batch < end; batch++) {
      float* to = small + batch * smallSize;
      for (int i = 0; i < p.termCount; i++) {
        copySmall(sidesOf(p, i, batch), smallCount, to);
        to += groups * maxTogether * paddedK(p.terms[i].K);
      }
    }
  };
  if (p.batches == 1) copyBatches(0, 1, 0);
  else device.parallelRanges(p.batches, std::max<int64_t>(1, 16384 / (smallSize + 1)), copyBatches);

  device.parallelFor(p.batches * chunks, [&](int64_t task, int thread) {
    const int64_t batch = task / chunks, begin = task % chunks * chunk, end = std::min(begin + chunk, largeCount);
    float* values = tiles + thread * chunk * smallCount;
    std::fill(values, values + chunk * smallCount, 0.0f);
    // The tile is [large, small] when b is the small side, else [small, large].
    const int64_t stepR = swapped ? smallCount : 1, stepS = swapped ? 1 : chunk;
    const float* from = small + batch * smallSize;
    for (int i = 0; i < p.termCount; i++) {
      addTerm(sidesOf(p, i, batch), smallCount, from, begin, end, values, stepR, stepS);
      from += groups * maxTogether * paddedK(p.terms[i].K);
    }
    if (swapped) finish.call(finish.state, Tile{batch, begin, 0, end - begin, smallCount, values, smallCount});
    else finish.call(finish.state, Tile{batch, 0, begin, smallCount, end - begin, values, chunk});
  });
}

}  // namespace cpu::CPU_ISA
