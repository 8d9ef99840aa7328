// Sums and maxima over a warp or a block. Every thread gets the result.
#pragma once
#include "ptx.cuh"

namespace cuda {

constexpr unsigned wholeWarp = 0xffffffffu;

struct Sum {
  static constexpr float none = 0;
  __device__ __forceinline__ float operator()(float a, float b) const { return a + b; }
};
struct Max {  // a NaN wins
  static constexpr float none = -INFINITY;
  __device__ __forceinline__ float operator()(float a, float b) const { return a > b || a != a ? a : b; }
};

template <class T, class Join>
__device__ __forceinline__ T warpReduce(T x, Join join) {
#pragma unroll
  for (int step = 16; step > 0; step /= 2) x = join(x, __shfl_xor_sync(wholeWarp, x, step));
  return x;
}

// `room` is 32 numbers in shared memory that the block uses for nothing else until its next barrier after this call.
// All threads of the block call it; they are whole warps along x.
template <class T, class Join>
__device__ __forceinline__ T blockReduce(T x, T* room, Join join) {
  const int warp = int(threadIdx.x) / 32, lane = int(threadIdx.x) % 32, warps = int(blockDim.x) / 32;
  x = warpReduce(x, join);
  if (warps == 1) return x;
  __syncthreads();
  if (lane == 0) room[warp] = x;
  __syncthreads();
  return warpReduce(lane < warps ? room[lane] : T(Join::none), join);
}

}  // namespace cuda
