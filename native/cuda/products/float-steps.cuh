// The steps of a matrix product in f32 arithmetic, for operands of any floating-point formats and strides.
//
// A block of 128 threads makes a 64 x 64 tile, a thread 4 x 8 of it. The operands are widened to f32 on their way into
// shared memory, 16 of K at a time; the next piece is in registers while the current one is used.
#pragma once
#include "../tools/vector.cuh"
#include "matmul-product.cuh"

namespace cuda {
namespace floats {

constexpr int threads = 128, tile = 64, depth = 16, pitch = tile + 4;
constexpr size_t sharedBytes = 2 * 2 * depth * pitch * sizeof(float);

// One operand's piece in a thread's registers: eight neighbours along the axis in which they lie closest in memory.
struct Piece {
  int outer, k, stepOuter, stepK;
  bool eights;

  __device__ Piece(bool alongK, bool eights)
      : outer(alongK ? int(threadIdx.x) / 2 : int(threadIdx.x) % 8 * 8),
        k(alongK ? int(threadIdx.x) % 2 * 8 : int(threadIdx.x) / 8),
        stepOuter(alongK ? 0 : 1),
        stepK(alongK ? 1 : 0),
        eights(eights) {}

  __device__ __forceinline__ void fetch(float (&v)[8], const Source& from, int64_t offset, int64_t strideOuter,
                                        int64_t strideK, int64_t outerLeft, int64_t kLeft, float scale) const {
    const int64_t at = offset + outer * strideOuter + k * strideK;
    if (eights && outer + 7 * stepOuter < outerLeft && k + 7 * stepK < kLeft) {
      from.load8(at, v);
    } else {
      const int64_t step = stepOuter * strideOuter + stepK * strideK;
#pragma unroll
      for (int i = 0; i < 8; i++) {
        const bool inside = outer + i * stepOuter < outerLeft && k + i * stepK < kLeft;
        v[i] = inside ? from[at + i * step] : 0.0f;
      }
    }
    if (scale != 1)
#pragma unroll
      for (int i = 0; i < 8; i++) v[i] *= scale;
  }
  // to [depth, pitch]
  __device__ __forceinline__ void put(float* to, const float (&v)[8]) const {
#pragma unroll
    for (int i = 0; i < 8; i++) to[(k + i * stepK) * pitch + outer + i * stepOuter] = v[i];
  }
};

struct Layout {
  bool aAlongK, aEights, bAlongK, bEights;
};

inline Layout layoutOf(const Product& p, const Term& term) {
  const bool aAlongK = term.a.colStride == 1 || (term.a.rowStride != 1 && p.M < term.K);
  const bool bAlongK = term.b.rowStride == 1 || (term.b.colStride != 1 && p.N < term.K);
  return {aAlongK, aAlongK ? term.a.rowsInEights(p.batches) : term.a.colsInEights(p.batches), bAlongK,
          bAlongK ? term.b.colsInEights(p.batches) : term.b.rowsInEights(p.batches)};
}

// The first row and column of a thread's part of the tile.
__device__ __forceinline__ int ownRow() { return int(threadIdx.x) / 8 * 4; }
__device__ __forceinline__ int ownCol() { return int(threadIdx.x) % 8 * 8; }

// Adds steps [begin, end) to a thread's sums. `fetch(step, a, b)` brings its pieces of both operands, which lie as
// `layoutAt(step)` says.
template <class Fetch, class LayoutAt>
__device__ __forceinline__ void multiplySteps(float (&sums)[4][8], float* shared, int begin, int end, Fetch&& fetch,
                                              LayoutAt&& layoutAt) {
  float a[8], b[8];
  const int row = ownRow(), col = ownCol();
  if (begin < end) fetch(begin, a, b);
  for (int step = begin; step < end; step++) {
    float* left = shared + (step & 1) * 2 * depth * pitch;
    float* right = left + depth * pitch;
    const Layout& layout = layoutAt(step);
    Piece(layout.aAlongK, layout.aEights).put(left, a);
    Piece(layout.bAlongK, layout.bEights).put(right, b);
    __syncthreads();
    if (step + 1 < end) fetch(step + 1, a, b);
#pragma unroll
    for (int k = 0; k < depth; k++) {
      float x[4], y[8];
#pragma unroll
      for (int i = 0; i < 4; i++) x[i] = left[k * pitch + row + i];
#pragma unroll
      for (int j = 0; j < 8; j++) y[j] = right[k * pitch + col + j];
#pragma unroll
      for (int i = 0; i < 4; i++)
#pragma unroll
        for (int j = 0; j < 8; j++) sums[i][j] += x[i] * y[j];
    }
  }
}

}  // namespace floats
}  // namespace cuda
