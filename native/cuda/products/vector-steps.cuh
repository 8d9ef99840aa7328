// The dot products of a few rows with columns that lie along K: every weight is read once, so the time is that of reading the
// weights.
//
// A warp forms those of four columns, 16 bytes of each per lane and step. Where columns are few, several warps of a block
// share K. Weights pass the L1 cache by, the rows stay in it.
#pragma once
#include <algorithm>
#include "../tools/reduce.cuh"
#include "matmul-product.cuh"

namespace cuda {
namespace vectors {

constexpr int columns = 4;    // of a warp
constexpr int mostWarps = 8;  // of a block

// Steps of K on their way at once: more would not fit in Blackwell's registers beside four rows.
#if defined(__CUDA_ARCH__) && __CUDA_ARCH__ >= 1000
constexpr int stepsAhead(int rows) { return rows == 4 ? 1 : 2; }
#else
constexpr int stepsAhead(int) { return 2; }
#endif

// Eight weights, on their way through.
template <class T>
__device__ __forceinline__ void stream8(const T* from, float (&v)[8]) {
  if constexpr (sizeof(T) == 2) {
    unpack8<T>(ptx::loadStreaming(from), v);
  } else {
    const uint4 low = ptx::loadStreaming(from), high = ptx::loadStreaming(from + 4);
    v[0] = __uint_as_float(low.x), v[1] = __uint_as_float(low.y), v[2] = __uint_as_float(low.z),
    v[3] = __uint_as_float(low.w);
    v[4] = __uint_as_float(high.x), v[5] = __uint_as_float(high.y), v[6] = __uint_as_float(high.z),
    v[7] = __uint_as_float(high.w);
  }
}

// A block's place: `first` of its groups of columns, K elements of each, `inEights` of them in runs of eight and the rest one
// by one; `warps` share a group's K.
struct Columns {
  int64_t first, N, K, stride, inEights;
  int warps;
};

// T: the columns' format. `count` rows from element `at` of `a` on; those beyond repeat the last one, and are not stored.
// `store(row, col, sum)` takes each sum once.
template <class T, int rows, class Store>
__device__ __forceinline__ void dotColumns(const Source& a, int64_t at, int64_t rowStride, int64_t count, const T* b,
                                           const Columns& place, Store&& store) {
  const int lane = int(threadIdx.x) % 32, warp = int(threadIdx.x) / 32, warps = place.warps, part = warp % warps;
  const int groups = int(blockDim.x) / 32 / warps;
  const int64_t col0 = (place.first + warp / warps) * columns;
  const T* column[columns];
#pragma unroll
  for (int c = 0; c < columns; c++) column[c] = b + (col0 + c < place.N ? col0 + c : place.N - 1) * place.stride;
  int64_t row[rows];
#pragma unroll
  for (int r = 0; r < rows; r++) row[r] = at + (r < count ? r : count - 1) * rowStride;

  float sums[columns][rows] = {};
#pragma unroll stepsAhead(rows)
  for (int64_t k = (part * 32 + lane) * 8; k < place.inEights; k += warps * 256) {
    float w[columns][8];
#pragma unroll
    for (int c = 0; c < columns; c++) stream8(column[c] + k, w[c]);
#pragma unroll
    for (int r = 0; r < rows; r++) {
      float x[8];
      a.load8(row[r] + k, x);
#pragma unroll
      for (int c = 0; c < columns; c++)
#pragma unroll
        for (int i = 0; i < 8; i++) sums[c][r] += w[c][i] * x[i];
    }
  }
  for (int64_t k = place.inEights + part * 32 + lane; k < place.K; k += warps * 32) {
#pragma unroll
    for (int r = 0; r < rows; r++) {
      const float x = a[row[r] + k];
#pragma unroll
      for (int c = 0; c < columns; c++) sums[c][r] += valueOf(column[c][k]) * x;
    }
  }

  // Each warp's sums to shared memory, then a thread per output.
  float* room = reinterpret_cast<float*>(ptx::sharedMemory());
#pragma unroll
  for (int c = 0; c < columns; c++) {
#pragma unroll
    for (int r = 0; r < rows; r++) {
      const float sum = warpReduce(sums[c][r], Sum{});
      if (lane == c * rows + r) room[warp * columns * rows + lane] = sum;
    }
  }
  __syncthreads();
  for (int i = int(threadIdx.x); i < groups * columns * rows; i += int(blockDim.x)) {
    const int group = i / (columns * rows), output = i % (columns * rows), r = output % rows;
    const int64_t col = (place.first + group) * columns + output / rows;
    if (r >= count || col >= place.N) continue;
    float sum = 0;
    for (int w = 0; w < warps; w++) sum += room[(group * warps + w) * columns * rows + output];
    store(r, col, sum);
  }
}

// How a launch cuts N columns of which `warps` share each group's K.
struct Cut {
  int64_t used, blocks;  // groups of columns in a block, and blocks for all of them
  Cut(int64_t N, int warps)
      : used(std::min<int64_t>(mostWarps / warps, ceilDiv(N, columns))), blocks(ceilDiv(N, columns * used)) {}

  dim3 threads(int warps) const { return dim3(unsigned(used * warps * 32)); }
  size_t shared(int warps, int rows) const { return size_t(used) * warps * columns * rows * sizeof(float); }
};

}  // namespace vectors
}  // namespace cuda
