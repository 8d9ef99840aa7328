// Attention's forward pass on tensor cores (mma.sync): one block per tile of rows and key-value head, keys and values
// streaming by. Keys come from packed tensors or from a paged cache.
//
// One buffer holds a tile of keys and one a tile of values: while a block multiplies queries with keys, the values are on
// their way, and while it weighs values, the next keys are. The room this leaves lets two blocks share a multiprocessor
// and fill each other's waits.
#pragma once
#include "../device/launch.h"
#include "attention-tile.cuh"

namespace cuda {

struct Forward {
  void* out;
  float* lse;  // [heads, tokens]; null: not wanted
  const void *q, *k, *v;
  Strides outStrides, qStrides;
  Sequences sequences;
  Scoring scoring;
  int kvHeads, group, d;
  int leastRows;  // sequences with fewer rows are left to another kernel

  Forward(const View& out, const View& lse, const View& q, const View& k, const View& v, const Sequences& sequences,
          const Scoring& scoring, int kvHeads)
      : out(out.bytes),
        lse(lse ? lse.data<float>() : nullptr),
        q(q.bytes),
        k(k.bytes),
        v(v.bytes),
        outStrides(out),
        qStrides(q),
        sequences(sequences),
        scoring(scoring),
        kvHeads(kvHeads),
        group(int(q.dim(1)) / kvHeads),
        d(int(q.dim(2))),
        leastRows(0) {}

  __device__ void storeLse(const Span& span, int kvHead, int row, float value) const {
    if (lse != nullptr)
      lse[int64_t(kvHead * group + row % group) * sequences.tokens + span.token + row / group] = value;
  }
};

// Rows that see nothing.
template <class T>
__device__ void clearRows(const Forward& p, const Span& span, int kvHead, int row, int rows) {
  for (int r = row; r < least(row + rows, span.queries * p.group); r++) {
    T* to = static_cast<T*>(p.out) + p.outStrides.row(span, kvHead, p.group, r);
    for (int i = int(threadIdx.x); i < p.d; i += int(blockDim.x)) to[i] = numberOf<T>(0);
    if (threadIdx.x == 0) p.storeLse(span, kvHead, r, -INFINITY);
  }
}

// Keys of a tile: the scores of more would not fit beside the sums in 255 registers.
constexpr int keysAtOnce(int D) { return D == 96 || D == 256 ? 32 : 64; }

template <class T, int D, int M, class Keys>
__global__ void __launch_bounds__(128, 2) attentionTile(Forward p, Keys keys) {
  constexpr int tileRows = 64 * M, N = keysAtOnce(D);
  const BlockPlace place(p.kvHeads);
  const int kvHead = place.kvHead, warp = int(threadIdx.x) / 32, lane = int(threadIdx.x) % 32;
  if (blockIdx.x + 1 == gridDim.x) p.sequences.checkAll();
  Span span;
  int row;
  if (!p.sequences.find(place.fromLast(), p.group, tileRows, span, row)) return;
  const int rows = span.queries * p.group;
  if (rows < p.leastRows) return;
  if (span.keys <= 0) return clearRows<T>(p, span, kvHead, row, tileRows);

  char* shared = ptx::sharedMemory();
  const uint32_t queryTile = ptx::sharedAddress(shared), keyTile = queryTile + tileRows * D * 2,
                 valueTile = keyTile + N * D * 2;
  const int lastRow = least(row + tileRows, rows) - 1;
  const KeyRange some = p.scoring.some(span, row / p.group, lastRow / p.group),
                 all = p.scoring.all(span, row / p.group, lastRow / p.group);
  const T *k = static_cast<const T*>(p.k), *v = static_cast<const T*>(p.v);
  const auto copyKeys = [&](int key) {
    copyRows<D, 128>(keyTile, N, k, p.d,
                     [&](int n) { return key + n < span.keys ? keys.key(span, kvHead, key + n) : -1; });
    ptx::commitCopies();
  };
  const auto copyValues = [&](int key) {
    copyRows<D, 128>(valueTile, N, v, p.d,
                     [&](int n) { return key + n < span.keys ? keys.value(span, kvHead, key + n) : -1; });
    ptx::commitCopies();
  };
  copyRows<D, 128>(queryTile, tileRows, static_cast<const T*>(p.q), p.d,
                   [&](int r) { return row + r <= lastRow ? p.qStrides.row(span, kvHead, p.group, row + r) : -1; });
  const int begin = some.first / N * N;
  copyKeys(begin);

  const int first = warp * 16 * M;  // this warp's rows of the tile
  Softmax<M> softmax;
  softmax.reset();
  float sum[M][D / 8][4] = {};
  for (int key = begin; key < some.end; key += N) {
    ptx::waitCopies<0>();
    __syncthreads();  // the keys are here, and the earlier values are read
    copyValues(key);
    float s[M][N / 8][4];
    multiplyRows<T, D, M, N>(s, queryTile, first, keyTile);
    ptx::waitCopies<0>();
    __syncthreads();  // the values are here, and the keys are read
    if (key + N < some.end) copyKeys(key + N);
    maskRows(s, p.scoring, span, p.group, row + first, key, key >= all.first && key + N <= all.end);
    softmax.take(s, sum, p.scoring.exponent);
    addProduct<T, D, M, N>(sum, s, valueTile);
  }
  ptx::waitCopies<0>();
  __syncthreads();

  float factor[M][2];
#pragma unroll
  for (int m = 0; m < M; m++)
#pragma unroll
    for (int h = 0; h < 2; h++) {
      const float total = quadReduce(softmax.total[m][h], Sum{});
      factor[m][h] = total == 0 ? 0 : 1 / total;
      const int r = row + first + 16 * m + lane / 4 + 8 * h;
      if (lane % 4 == 0 && r <= lastRow)
        p.storeLse(span, kvHead, r,
                   total == 0 ? -INFINITY : softmax.most[m][h] * p.scoring.exponent * ln2 + logf(total));
    }
  // A warp's own queries make room for its results.
  storeTile<T, D, M, D>(shared, first, sum, factor);
  __syncwarp();
  writeRows<D, D>(static_cast<T*>(p.out), shared, first, 16 * M, p.d,
                  [&](int r) { return row + r <= lastRow ? p.outStrides.row(span, kvHead, p.group, row + r) : -1; });
}

// The same for packed 16-bit tensors with d ≤ 128 on sm_90 (attention-hopper.cu). False where this build's kernel cannot run.
bool attendHopper(Device& device, const Forward& p, const View& k, const View& v);

template <class T, int D, int M, class Keys>
void launchTiles(Device& device, const Forward& p, const Keys& keys) {
  constexpr int tileRows = 64 * M;
  const Grid grid{dim3(placesOf(p.sequences.slots(p.group, tileRows), p.kvHeads)), dim3(128),
                  size_t(tileRows + 2 * keysAtOnce(D)) * D * 2};
  launch(device, attentionTile<T, D, M, Keys>, grid, p, keys);
}

// q, k and v of format T, d ≤ 256, rows in chunks of 16 bytes.
template <class T, class Keys>
void attendTiles(Device& device, const Forward& p, const Keys& keys) {
  if (p.d <= 64) launchTiles<T, 64, 2>(device, p, keys);
  else if (p.d <= 96) launchTiles<T, 96, 2>(device, p, keys);
  else if (p.d <= 128) launchTiles<T, 128, 1>(device, p, keys);
  else launchTiles<T, 256, 1>(device, p, keys);
}

}  // namespace cuda
