// Attention of one query token over a run of cached keys: a key-value head's keys and values are read once for all query
// heads that share it, straight from the cache in its own format, so that the speed is the memory's.
//
// Sixteen (or eight) dot products end in one register (sumRows). Scores of `stepKeys` keys are kept, then
// their values are summed up. Exponents are base 2, as in attention-tile.h.
#pragma once
#include "attention-tile.h"

namespace cpu::CPU_ISA {

constexpr int stepKeys = 64;
constexpr int headsAtOnce = 4;                    // query heads that share one load of a key
constexpr int valueVectors = lanes == 8 ? 2 : 4;  // registers of each head's sum; with 4 heads 8 of 16, or 16 of 32

// Prefetches memory. Rows lie in short runs, which hardware prefetching detects too late.
template <class T>
inline void prefetch(const T* row, int64_t elements) {
  for (int64_t at = 0; at < elements; at += 64 / int64_t(sizeof(T))) __builtin_prefetch(row + at);
}

// scores[h * stepKeys + n] = q[h] · keys[n], in whole registers of n; `next` are rows to prefetch
template <class T, class Next, int H>
void scoreKeys(float* scores, const T* const* keys, const Next* const* next, int count, const float* q, int64_t d) {
  const int64_t stride = paddedDim(d), whole = d / lanes * lanes;
  for (int from = 0; from < count; from += lanes) {
    Floats products[H][lanes];
    for (int n = 0; n < lanes; n++) {
      Floats sums[H] = {};
      if (from + n < count) {
        const T* key = keys[from + n];
        prefetch(next[from + n], d);
        for (int64_t k = 0; k < whole; k += lanes) {
          const Floats x = load(key + k);
#pragma GCC unroll 4
          for (int h = 0; h < H; h++) sums[h] = fma(x, load(q + h * stride + k), sums[h]);
        }
        if (whole < d) {
          const Floats x = loadPart(key + whole, d - whole);
#pragma GCC unroll 4
          for (int h = 0; h < H; h++) sums[h] = fma(x, load(q + h * stride + whole), sums[h]);
        }
      }
#pragma GCC unroll 4
      for (int h = 0; h < H; h++) products[h][n] = sums[h];
    }
    for (int h = 0; h < H; h++) store(scores + h * stepKeys + from, sumRows(products[h]));
  }
}

// sums[h][..] = sums[h][..] · factors[h] + Σ n weights[h * stepKeys + n] · values[n][..], for V registers or the part of
// one that `access` reads; `next` are rows to prefetch
template <class T, class Next, int H, int V, class Access>
inline void addValueColumns(float* sums, int64_t stride, const T* const* values, const Next* const* next,
                            int64_t column, int count, const float* weights, const float* factors, Access access) {
  Floats all[H][V];
#pragma GCC unroll 4
  for (int h = 0; h < H; h++)
#pragma GCC unroll 4
    for (int v = 0; v < V; v++) all[h][v] = load(sums + h * stride + column + v * lanes) * factors[h];
  for (int n = 0; n < count; n++) {
    const T* value = values[n] + column;
    prefetch(next[n] + column, V * lanes);
    Floats row[V];
#pragma GCC unroll 4
    for (int v = 0; v < V; v++) row[v] = access.load(value + v * lanes);
#pragma GCC unroll 4
    for (int h = 0; h < H; h++) {
      const Floats weight = splat(weights[h * stepKeys + n]);
#pragma GCC unroll 4
      for (int v = 0; v < V; v++) all[h][v] = fma(weight, row[v], all[h][v]);
    }
  }
#pragma GCC unroll 4
  for (int h = 0; h < H; h++)
#pragma GCC unroll 4
    for (int v = 0; v < V; v++) store(sums + h * stride + column + v * lanes, all[h][v]);
}

template <class T, class Next, int H>
void addValues(float* sums, const T* const* values, const Next* const* next, int count, const float* weights,
               const float* factors, int64_t d) {
  const int64_t stride = paddedDim(d);
  int64_t column = 0;
  for (; column + valueVectors * lanes <= d; column += valueVectors * lanes)
    addValueColumns<T, Next, H, valueVectors>(sums, stride, values, next, column, count, weights, factors, Whole{});
  for (; column + lanes <= d; column += lanes)
    addValueColumns<T, Next, H, 1>(sums, stride, values, next, column, count, weights, factors, Whole{});
  if (column < d)
    addValueColumns<T, Next, H, 1>(sums, stride, values, next, column, count, weights, factors, Part{d - column});
}

// Calls body with the number of heads to take at once as a constant: at most headsAtOnce of those that are left.
template <class Body>
void headBlocks(int heads, Body&& body) {
  for (int head = 0; head < heads; head += headsAtOnce) switch (heads - head) {
      case 1: body(head, std::integral_constant<int, 1>{}); break;
      case 2: body(head, std::integral_constant<int, 2>{}); break;
      case 3: body(head, std::integral_constant<int, 3>{}); break;
      default: body(head, std::integral_constant<int, headsAtOnce>{});
    }
}

// A softmax over part of the keys, for the query heads of one key-value head.
struct PartialSoftmax {
  float *most, *total;  // [group]
  float* sum;           // [group][padded d]
  static int64_t size(int group, int64_t d) { return (group * (2 + paddedDim(d)) + 15) / 16 * 16; }
  PartialSoftmax(float* at, int group) : most(at), total(at + group), sum(at + 2 * group) {}
};

// The softmax over `count` keys. `q` is [group][padded d], scaled and padded with zeros; rowsAt(n, some, rows) gives the
// offsets of rows n to n + some in either cache. `scores` holds group · stepKeys floats.
template <class K, class V, class RowsAt>
void streamKeys(const PartialSoftmax& state, const K* kCache, const V* vCache, const float* q, int group, int64_t d,
                float softcap, int64_t count, float* scores, RowsAt&& rowsAt) {
  const int64_t stride = paddedDim(d);
  for (int h = 0; h < group; h++) {
    state.most[h] = -INFINITY;
    state.total[h] = 0;
  }
  std::memset(state.sum, 0, size_t(group * stride) * 4);

  const K *keys[stepKeys], *nextKeys[stepKeys];
  const V *values[stepKeys], *nextValues[stepKeys];
  const auto find = [&](int64_t from) {
    int64_t rows[stepKeys];
    const int some = int(count - from < stepKeys ? count - from : stepKeys);
    rowsAt(from, some, rows);
    for (int n = 0; n < stepKeys; n++) {  // rows past the end are only prefetched: repeat the last one
      nextKeys[n] = kCache + rows[n < some ? n : some - 1];
      nextValues[n] = vCache + rows[n < some ? n : some - 1];
    }
  };
  find(0);
  float factors[headsAtOnce];
  for (int64_t from = 0; from < count; from += stepKeys) {
    const int some = int(count - from < stepKeys ? count - from : stepKeys);
    std::memcpy(keys, nextKeys, sizeof keys);
    std::memcpy(values, nextValues, sizeof values);
    if (from + stepKeys < count) find(from + stepKeys);
    headBlocks(group, [&](int h, auto H) {
      scoreKeys<K, V, H>(scores + h * stepKeys, keys, values, some, q + h * stride, d);
    });
    headBlocks(group, [&](int first, auto H) {
      for (int h = 0; h < H; h++) {
        float* s = scores + (first + h) * stepKeys;
        if (softcap > 0)
          for (int n = 0; n < some; n += lanes) store(s + n, softcap * log2e * tanh(load(s + n)));
        for (int n = some; n % lanes != 0; n++) s[n] = -INFINITY;
        Floats most = splat(state.most[first + h]);
        for (int n = 0; n < some; n += lanes) most = max(most, load(s + n));
        const float shift = maxLanes(most);
        Floats total{};
        for (int n = 0; n < some; n += lanes) {
          const Floats p = exp2(load(s + n) - shift);
          total += p;
          store(s + n, p);
        }
        factors[h] = exp2(splat(state.most[first + h] - shift))[0];
        state.total[first + h] = state.total[first + h] * factors[h] + sumLanes(total);
        state.most[first + h] = shift;
      }
      addValues<V, K, H>(state.sum + first * stride, values, nextKeys, some, scores + first * stepKeys, factors, d);
    });
  }
}

}  // namespace cpu::CPU_ISA
