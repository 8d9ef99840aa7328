// Rows of floating-point numbers, each held by one group of threads: a warp for short rows, several to a block; a block
// for long ones.
//
// A thread holds chunks of `width` (8 or 1) neighbours, `kept` of them in registers, so that a row is read once. With
// kept = 0 rows are too long for that: each pass reads the row again, from cache.
#pragma once
#include "../device/launch.h"
#include "reduce.cuh"
#include "vector.cuh"

namespace cuda {

constexpr int warpsPerBlock = 4;  // of one row each

// Which rows a group of threads takes, and its own place in the group.
struct RowGroup {
  int64_t first, count;  // the group's number, and how many there are
  int threads, thread;
  __device__ RowGroup()
      : first(int64_t(blockIdx.x) * blockDim.y + threadIdx.y),
        count(int64_t(gridDim.x) * blockDim.y),
        threads(int(blockDim.x)),
        thread(int(threadIdx.x)) {}
};

// Runs body(i, chunk) for the thread's chunks of a row: elements i to i + width - 1. `chunk` is known at compile time
// once the loop is unrolled; with kept = 0 it is always 0.
template <int width, int kept, class Body>
__device__ __forceinline__ void eachChunk(int64_t cols, Body&& body) {
  const int64_t first = int64_t(threadIdx.x) * width, step = int64_t(blockDim.x) * width;
  if constexpr (kept > 0) {
#pragma unroll
    for (int chunk = 0; chunk < kept; chunk++)
      if (const int64_t i = first + chunk * step; i < cols) body(i, chunk);
  } else {
    for (int64_t i = first; i < cols; i += step) body(i, 0);
  }
}

// One row of one tensor as f32.
template <int width, int kept>
struct Row {
  const Source& from;
  const int64_t start;
  float values[kept > 0 ? kept : 1][width];

  __device__ __forceinline__ Row(const Source& from, int64_t row, int64_t cols) : from(from), start(row * cols) {
    if constexpr (kept > 0)
      eachChunk<width, kept>(cols, [&](int64_t i, int chunk) { from.load(start + i, values[chunk]); });
  }
  // The chunk's numbers, to be used before the next call.
  __device__ __forceinline__ float (&operator()(int64_t i, int chunk))[width] {
    if constexpr (kept == 0) from.load(start + i, values[0]);
    return values[chunk];
  }
};

// Over the group's threads; see blockReduce for `room`.
template <class Join>
__device__ __forceinline__ float groupReduce(float x, Join join) {
  return blockReduce(x, reinterpret_cast<float*>(ptx::sharedMemory()), join);
}

// How many threads take a row of `cols`, and with which chunks: width 8 and `kept` of them where the row fits.
struct RowPlan {
  int width, threads;
  bool fits;
  RowPlan(int64_t cols, int kept, bool eights) : width(eights ? 8 : 1) {
    // A thread with too little to do costs more than it brings: at least two chunks of a row each, where there are two.
    const int64_t wanted = ceilDiv(ceilDiv(cols, width * (kept > 1 ? kept : 2)), 32) * 32;
    const int most = eights ? 8192 / (8 * kept) : 256;
    fits = eights && wanted <= most;
    threads = int(wanted < most ? (wanted > 32 ? wanted : 32) : most);
  }
  // `groups`: how many there are to be, one row each or several.
  Grid grid(int64_t groups) const {
    const int64_t perBlock = threads > 32 ? 1 : groups < warpsPerBlock ? groups : warpsPerBlock;
    return {.blocks = dim3(unsigned(perBlock ? ceilDiv(groups, perBlock) : 0)),
            .threads = dim3(unsigned(threads), unsigned(perBlock)),
            .shared = 32 * sizeof(float)};
  }
};

}  // namespace cuda
