// Loops over tensors of one shape with any strides: which elements belong to the thread, and whether it may take eight
// at a time.
#pragma once
#include <initializer_list>
#include "../device/launch.h"
#include "numbers.cuh"

namespace cuda {

// Division by a number that the host knows, of dividends below 2^31: a multiplication and a shift (Granlund and
// Montgomery, "Division by invariant integers using multiplication", 1994).
struct Divisor {
  uint32_t by = 1, factor = 1;
  int shift = 0;

  Divisor() = default;
  __host__ explicit Divisor(uint32_t by) : by(by) {
    while (uint64_t(1) << shift < by) shift++;
    factor = uint32_t((((uint64_t(1) << shift) - by) << 32) / by + 1);
  }
  __device__ __forceinline__ uint32_t quotient(uint32_t n) const {
    return (uint32_t(uint64_t(n) * factor >> 32) + n) >> shift;
  }
};

// The shared shape of N tensors with their strides, axes of size 1 dropped and neighbours merged where all N allow it.
template <int N>
struct Nest {
  int rank = 0;
  int64_t size = 1;
  int64_t shape[maxRank] = {};
  int64_t strides[N][maxRank] = {};
  Divisor divisors[maxRank];

  Nest() = default;
  // The first tensor's shape counts.
  __host__ Nest(std::initializer_list<View> tensors) {
    const View& first = *tensors.begin();
    for (int axis = 0; axis < first.rank; axis++) {
      int64_t step[N];
      for (int k = 0; k < N; k++) step[k] = tensors.begin()[k].strides[axis];
      push(first.shape[axis], step);
    }
  }

  __host__ void push(int64_t length, const int64_t (&step)[N]) {
    size *= length;
    if (length == 1) return;
    bool merges = rank > 0;
    for (int k = 0; merges && k < N; k++) merges = strides[k][rank - 1] == step[k] * length;
    if (!merges) rank++;
    shape[rank - 1] = merges ? shape[rank - 1] * length : length;
    if (shape[rank - 1] > 0 && shape[rank - 1] <= INT32_MAX) divisors[rank - 1] = Divisor(uint32_t(shape[rank - 1]));
    for (int k = 0; k < N; k++) strides[k][rank - 1] = step[k];
  }

  __host__ __device__ int64_t inner() const { return rank ? shape[rank - 1] : 1; }
  __host__ __device__ int64_t innerStride(int k) const { return rank ? strides[k][rank - 1] : 1; }

  // Whether tensor k's elements lie side by side in the nest's order.
  __host__ bool dense(int k) const {
    int64_t expected = 1;
    for (int axis = rank - 1; axis >= 0; axis--) {
      if (strides[k][axis] != expected) return false;
      expected *= shape[axis];
    }
    return true;
  }
  // Whether tensor k lets eight neighbours be taken at once: side by side and aligned, or one number for all.
  __host__ bool inEights(int k, const View& x) const {
    if (rank == 0 || inner() % 8 != 0) return false;
    if (innerStride(k) == 0) return true;
    const int align = bytesOf(x.dtype) == 1 ? 8 : 16;
    if (innerStride(k) != 1 || reinterpret_cast<uintptr_t>(x.bytes) % align != 0) return false;
    for (int axis = 0; axis + 1 < rank; axis++)
      if (strides[k][axis] % 8 != 0) return false;
    return true;
  }

  // Where element `i` of the nest's order lies in each tensor.
  __device__ __forceinline__ void locate(int64_t i, int64_t (&at)[N]) const {
#pragma unroll
    for (int k = 0; k < N; k++) at[k] = 0;
    if (size <= INT32_MAX) {
      uint32_t rest = uint32_t(i);
#pragma unroll
      for (int axis = maxRank - 1; axis >= 0; axis--) {
        if (axis >= rank) continue;
        const uint32_t next = axis == 0 ? 0 : divisors[axis].quotient(rest),
                       place = rest - next * uint32_t(shape[axis]);
#pragma unroll
        for (int k = 0; k < N; k++) at[k] += place * strides[k][axis];
        rest = next;
      }
    } else {
      int64_t rest = i;
#pragma unroll
      for (int axis = maxRank - 1; axis >= 0; axis--) {
        if (axis >= rank) continue;
        const int64_t next = axis == 0 ? 0 : rest / shape[axis], place = rest - next * shape[axis];
#pragma unroll
        for (int k = 0; k < N; k++) at[k] += place * strides[k][axis];
        rest = next;
      }
    }
  }
};

constexpr int mostThreads = 256;  // of a block that only needs its threads one by one

// One thread per item, in blocks no larger than needed.
inline Grid gridFor(int64_t items, int most = mostThreads) {
  const int threads = items < most ? int(ceilDiv(items, 32) * 32) : most;
  return {.blocks = dim3(unsigned(threads ? ceilDiv(items, threads) : 0)), .threads = dim3(unsigned(threads))};
}
__device__ __forceinline__ int64_t threadPlace() { return int64_t(blockIdx.x) * blockDim.x + threadIdx.x; }

}  // namespace cuda
