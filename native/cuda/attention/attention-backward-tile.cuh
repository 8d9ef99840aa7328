// Attention's gradient on tensor cores (mma.sync), for 16-bit formats.
//
// Blocks have four warps of 16 keys or rows each. Scores come out with the owned side in their rows, so that they turn in
// registers into the left side of the next product. What passes by has two buffers.
#pragma once
#include "attention-backward.cuh"
#include "attention-tile.cuh"

namespace cuda {

template <class T>
struct Sides {
  const T *dout, *q, *k, *v;
  T *dq, *dk, *dv;
};

// Passing rows per step: what two buffers and the owned tiles leave of 99 KB of shared memory.
constexpr int passingOf(int D) { return D <= 96 ? 64 : D == 128 ? 32 : 16; }

template <class T, int D, int columns>
__device__ __forceinline__ void writeTile(T* to, char* tile, const float (&sum)[1][columns / 8][4], int width,
                                          int first, int count, const Strides& strides, const Span& span, int kvHead,
                                          int group) {
  const int warp = int(threadIdx.x) / 32;
  const float ones[1][2] = {{1, 1}};
  __syncwarp();
  storeTile<T, D, 1, columns>(tile, 16 * warp, sum, ones);
  __syncwarp();
  writeRows<D, columns>(to, tile, 16 * warp, 16, width,
                        [&](int r) { return first + r < count ? strides.row(span, kvHead, group, first + r) : -1; });
}

// dk and dv of 64 keys, in channels [blockIdx.y · columns, …).
template <class T, int D, int columns, int N>
__global__ void __launch_bounds__(128, D < 256 ? 2 : 1) gradeKeysTile(Gradient p, Sides<T> sides) {
  constexpr int owned = 64 * D * 2, step = N * D * 2;
  const BlockPlace place(p.kvHeads);
  const int kvHead = place.kvHead, warp = int(threadIdx.x) / 32, lane = int(threadIdx.x) % 32, g = lane / 4,
            quad = lane % 4;
  const int column = int(blockIdx.y) * columns;
  Span span;
  int key;
  if (!p.sequences.find(place.slot, 1, 64, span, key)) return;

  char* shared = ptx::sharedMemory();
  const uint32_t keyTile = ptx::sharedAddress(shared), valueTile = keyTile + owned, buffers = valueTile + owned;
  float2* stats = reinterpret_cast<float2*>(shared + 2 * owned + 4 * step);
  const KeyRange rows = span.keys > 0 ? p.rowsOf(span, key, 64) : KeyRange{0, 0};
  copyRows<D, 128>(keyTile, 64, sides.k, p.d,
                   [&](int n) { return key + n < span.keys ? p.k.key(span, kvHead, key + n) : -1; });
  copyRows<D, 128>(valueTile, 64, sides.v, p.d,
                   [&](int n) { return key + n < span.keys ? p.v.key(span, kvHead, key + n) : -1; });
  const auto copyQueries = [&](int row, int buffer) {
    const uint32_t to = buffers + uint32_t(buffer * 2 * step);
    copyRows<D, 128>(to, N, sides.q, p.d,
                     [&](int r) { return row + r < rows.end ? p.q.row(span, kvHead, p.group, row + r) : -1; });
    copyRows<D, 128>(to + step, N, sides.dout, p.d,
                     [&](int r) { return row + r < rows.end ? p.dout.row(span, kvHead, p.group, row + r) : -1; });
    ptx::commitCopies();
    if (threadIdx.x < N) stats[buffer * N + int(threadIdx.x)] = p.statsOf(span, kvHead, row + int(threadIdx.x));
  };

  float dk[1][columns / 8][4] = {}, dv[1][columns / 8][4] = {};
  int buffer = 0;
  const int begin = rows.first / N * N;
  copyQueries(begin, buffer);
  for (int row = begin; row < rows.end; row += N, buffer ^= 1) {
    ptx::waitCopies<0>();
    __syncthreads();  // this step's rows are here, and the rows of the step before are read
    if (row + N < rows.end) copyQueries(row + N, buffer ^ 1);
    const uint32_t queries = buffers + uint32_t(buffer * 2 * step), douts = queries + step;
    const float2* rowStats = stats + buffer * N;
    float s[1][N / 8][4], ds[1][N / 8][4];
    multiplyRows<T, D, 1, N>(s, keyTile, 16 * warp, queries);
    multiplyRows<T, D, 1, N>(ds, valueTile, 16 * warp, douts);
    const int lastRow = least(row + N, span.queries * p.group) - 1;
    const KeyRange all = p.scoring.all(span, row / p.group, lastRow / p.group);
    const bool whole = key >= all.first && key + 64 <= all.end;
#pragma unroll
    for (int n = 0; n < N / 8; n++)
#pragma unroll
      for (int i = 0; i < 2; i++) {
        const int r = 8 * n + 2 * quad + i;
        const float2 of = rowStats[r];
        const int position = whole ? 0 : span.position((row + r) / p.group);
#pragma unroll
        for (int h = 0; h < 2; h++) {
          float &score = s[0][n][2 * h + i], &dscore = ds[0][n][2 * h + i];
          const float t = p.scoring.quickTransform(score);
          const bool seen = whole || p.scoring.sees(position, key + 16 * warp + g + 8 * h, span.keys);
          score = seen ? ptx::exp2(t * p.scoring.exponent - of.x) : 0;
          dscore = score * (dscore - of.y) * p.scoring.slope(t);
        }
      }
    addProduct<T, D, 1, N, columns>(dv, s, douts, column);
    addProduct<T, D, 1, N, columns>(dk, ds, queries, column);
  }
  ptx::waitCopies<0>();
  __syncthreads();
  const int count = span.queries;
  writeTile<T, D, columns>(sides.dk + column, shared, dk, p.d - column, key, count, p.dk, span, kvHead, 1);
  writeTile<T, D, columns>(sides.dv + column, shared + owned, dv, p.d - column, key, count, p.dv, span, kvHead, 1);
}

// dq of 64 rows.
template <class T, int D, int N>
__global__ void __launch_bounds__(128, D < 256 ? 2 : 1) gradeQueriesTile(Gradient p, Sides<T> sides) {
  constexpr int owned = 64 * D * 2, step = N * D * 2;
  const BlockPlace place(p.kvHeads);
  const int kvHead = place.kvHead, warp = int(threadIdx.x) / 32, lane = int(threadIdx.x) % 32, g = lane / 4,
            quad = lane % 4;
  if (blockIdx.x == 0) p.sequences.checkAll();
  Span span;
  int row;
  if (!p.sequences.find(place.fromLast(), p.group, 64, span, row)) return;
  const int rows = span.queries * p.group, lastRow = least(row + 64, rows) - 1;

  char* shared = ptx::sharedMemory();
  const uint32_t queryTile = ptx::sharedAddress(shared), doutTile = queryTile + owned, buffers = doutTile + owned;
  const KeyRange some = span.keys > 0 ? p.scoring.some(span, row / p.group, lastRow / p.group) : KeyRange{0, 0};
  const KeyRange all = p.scoring.all(span, row / p.group, lastRow / p.group);
  copyRows<D, 128>(queryTile, 64, sides.q, p.d,
                   [&](int r) { return row + r < rows ? p.q.row(span, kvHead, p.group, row + r) : -1; });
  copyRows<D, 128>(doutTile, 64, sides.dout, p.d,
                   [&](int r) { return row + r < rows ? p.dout.row(span, kvHead, p.group, row + r) : -1; });
  const auto copyKeys = [&](int key, int buffer) {
    const uint32_t to = buffers + uint32_t(buffer * 2 * step);
    copyRows<D, 128>(to, N, sides.k, p.d,
                     [&](int n) { return key + n < some.end ? p.k.key(span, kvHead, key + n) : -1; });
    copyRows<D, 128>(to + step, N, sides.v, p.d,
                     [&](int n) { return key + n < some.end ? p.v.key(span, kvHead, key + n) : -1; });
    ptx::commitCopies();
  };
  float2 of[2];
  int position[2];
#pragma unroll
  for (int h = 0; h < 2; h++) {
    const int r = row + 16 * warp + g + 8 * h;
    of[h] = p.statsOf(span, kvHead, r);
    position[h] = span.position(r / p.group);
  }

  float dq[1][D / 8][4] = {};
  int buffer = 0;
  const int begin = some.first / N * N;
  copyKeys(begin, buffer);
  for (int key = begin; key < some.end; key += N, buffer ^= 1) {
    ptx::waitCopies<0>();
    __syncthreads();  // this step's keys are here, and the keys of the step before are read
    if (key + N < some.end) copyKeys(key + N, buffer ^ 1);
    const uint32_t keys = buffers + uint32_t(buffer * 2 * step), values = keys + step;
    float s[1][N / 8][4], ds[1][N / 8][4];
    multiplyRows<T, D, 1, N>(s, queryTile, 16 * warp, keys);
    multiplyRows<T, D, 1, N>(ds, doutTile, 16 * warp, values);
    const bool whole = key >= all.first && key + N <= all.end;
#pragma unroll
    for (int n = 0; n < N / 8; n++)
#pragma unroll
      for (int i = 0; i < 4; i++) {
        const int h = i / 2;
        const float t = p.scoring.quickTransform(s[0][n][i]);
        const bool seen = whole || p.scoring.sees(position[h], key + 8 * n + 2 * quad + i % 2, span.keys);
        const float probability = seen ? ptx::exp2(t * p.scoring.exponent - of[h].x) : 0;
        ds[0][n][i] = probability * (ds[0][n][i] - of[h].y) * p.scoring.slope(t);
      }
    addProduct<T, D, 1, N>(dq, ds, keys);
  }
  ptx::waitCopies<0>();
  __syncthreads();
  writeTile<T, D, D>(sides.dq, shared, dq, p.d, row, rows, p.dq, span, kvHead, p.group);
}

template <class T, int D, int N>
void launchGradeTiles(Device& device, const Gradient& p, const Sides<T>& sides) {
  constexpr int columns = D < 256 ? D : 128;
  constexpr size_t shared = size_t(128 + 4 * N) * D * 2, stats = 2 * N * sizeof(float2);
  // With 99 KB, half the rows let two blocks fill each other's waits.
  if constexpr (N == passingOf(D) && D > 64 && D < 256)
    if (!fitsTwice(device, shared + stats)) return launchGradeTiles<T, D, N / 2>(device, p, sides);
  launch(device, gradeKeysTile<T, D, columns, N>,
         {dim3(placesOf(p.sequences.slots(1, 64), p.kvHeads), D / columns), dim3(128), shared + stats}, p, sides);
  launch(device, gradeQueriesTile<T, D, N>,
         {dim3(placesOf(p.sequences.slots(p.group, 64), p.kvHeads)), dim3(128), shared}, p, sides);
}

// All seven of format T, d ≤ 256, rows in chunks of 16 bytes.
template <class T>
void gradeTiles(Device& device, const Gradient& p, const Backward& x) {
  const Sides<T> sides{x.dout.data<T>(), x.q.data<T>(),  x.k.data<T>(), x.v.data<T>(),
                       x.dq.data<T>(),   x.dk.data<T>(), x.dv.data<T>()};
  if (p.d <= 64) launchGradeTiles<T, 64, passingOf(64)>(device, p, sides);
  else if (p.d <= 96) launchGradeTiles<T, 96, passingOf(96)>(device, p, sides);
  else if (p.d <= 128) launchGradeTiles<T, 128, passingOf(128)>(device, p, sides);
  else launchGradeTiles<T, 256, passingOf(256)>(device, p, sides);
}

}  // namespace cuda
