// Products of small matrices by a block, whose operands are functions of row and column: of shared memory, for the most part.
#pragma once
#include "tf32.cuh"

namespace cuda {

// store(i, j, Σ_c a(i, c) · b(c, j)) for all i < rows and j < cols, c < depth; by the same thread in all calls with the same
// rows and cols, of a block that is whole warps along x. Sums are f32. The block meets neither before nor after.
//
// Tensor cores round the operands to tf32. That suits operands which come from 16-bit numbers: these fit, and what was computed
// from them is rounded to 2^-11 of itself where their own rounding is 2^-9 or 2^-12. A warp then makes 16 rows and 8 · `across`
// columns, whose products share a's fragments.
template <bool onTensorCores, int across = 4, class A, class B, class Store>
__device__ __forceinline__ void blockProduct(int rows, int cols, int depth, A&& a, B&& b, Store&& store) {
  if constexpr (!onTensorCores) {
    for (int at = int(threadIdx.x); at < rows * cols; at += int(blockDim.x)) {
      const int i = at / cols, j = at % cols;
      float sum = 0;
      for (int c = 0; c < depth; c++) sum += a(i, c) * b(c, j);
      store(i, j, sum);
    }
    return;
  }
  const int warp = int(threadIdx.x) / 32, warps = int(blockDim.x) / 32, lane = int(threadIdx.x) % 32;
  const int g = lane / 4, q = lane % 4, tileCols = (cols + 8 * across - 1) / (8 * across);
  for (int tile = warp; tile < (rows + 15) / 16 * tileCols; tile += warps) {
    const int row0 = tile / tileCols * 16, col0 = tile % tileCols * 8 * across;
    float sums[across][4] = {};
#pragma unroll 2
    for (int k = 0; k < depth; k += 8) {
      uint32_t left[4];
#pragma unroll
      for (int m = 0; m < 4; m++) {
        const int i = row0 + g + 8 * (m & 1), c = k + q + 4 * (m >> 1);
        left[m] = ptx::tf32(i < rows && c < depth ? a(i, c) : 0.0f);
      }
#pragma unroll
      for (int t = 0; t < across; t++) {
        const int j = col0 + 8 * t + g;
        uint32_t right[2];
#pragma unroll
        for (int m = 0; m < 2; m++) {
          const int c = k + q + 4 * m;
          right[m] = ptx::tf32(j < cols && c < depth ? b(c, j) : 0.0f);
        }
        ptx::mmaTf32(sums[t], left, right);
      }
    }
#pragma unroll
    for (int t = 0; t < across; t++)
#pragma unroll
      for (int e = 0; e < 4; e++) {
        const int i = row0 + g + 8 * (e >> 1), j = col0 + 8 * t + 2 * q + (e & 1);
        if (i < rows && j < cols) store(i, j, sums[t][e]);
      }
  }
}

}  // namespace cuda
