// Matrix product in f32 arithmetic, for operands of any floating-point formats and strides.
//
// A block of 128 threads makes a 64 x 64 tile of out, a thread 4 x 8 of it. The operands are widened to f32 on their way
// into shared memory, 16 of K at a time; the next piece is in registers while the current one is used.
#include "../device/launch.h"
#include "../tools/tile.cuh"
#include "matmul-product.cuh"

namespace cuda {
namespace {

constexpr int threads = 128, tile = 64, depth = 16, pitch = tile + 4;
constexpr uint32_t group = 8;

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

__global__ __launch_bounds__(threads) void matmulFloat(const __grid_constant__ Product p,
                                                       const __grid_constant__ Finish finish,
                                                       const __grid_constant__ Layout first,
                                                       const __grid_constant__ Layout second, uint32_t splits) {
  const uint32_t tileRows = uint32_t((p.M + tile - 1) / tile), tileCols = uint32_t((p.N + tile - 1) / tile);
  const uint32_t tiles = tileRows * tileCols;
  const TileAt at = tileAt(blockIdx.x % tiles, tileRows, tileCols, group);
  const int split = int(blockIdx.x / tiles % splits);
  const uint32_t batch = blockIdx.x / tiles / splits;
  const int64_t row0 = int64_t(at.row) * tile, col0 = int64_t(at.col) * tile;
  const int steps = p.steps(depth), firstSteps = int((p.terms[0].K + depth - 1) / depth);
  const int begin = partOf(steps, uint32_t(split), splits), end = partOf(steps, uint32_t(split) + 1, splits);
  float* shared = reinterpret_cast<float*>(ptx::sharedMemory());

  float a[8], b[8];
  const auto fetch = [&](int step) {
    const bool isFirst = step < firstSteps;
    const Term& term = p.terms[isFirst ? 0 : 1];
    const Layout& layout = isFirst ? first : second;
    const int64_t k = int64_t(isFirst ? step : step - firstSteps) * depth;
    Piece(layout.aAlongK, layout.aEights)
        .fetch(a, {term.a.bytes, term.a.dtype},
               p.batches.offset(term.a.batchStrides, batch) + row0 * term.a.rowStride + k * term.a.colStride,
               term.a.rowStride, term.a.colStride, p.M - row0, term.K - k, term.scale);
    Piece(layout.bAlongK, layout.bEights)
        .fetch(b, {term.b.bytes, term.b.dtype},
               p.batches.offset(term.b.batchStrides, batch) + col0 * term.b.colStride + k * term.b.rowStride,
               term.b.colStride, term.b.rowStride, p.N - col0, term.K - k, 1);
  };

  const int row = int(threadIdx.x) / 8 * 4, col = int(threadIdx.x) % 8 * 8;
  float sums[4][8] = {};
  if (begin < end) fetch(begin);
  for (int step = begin; step < end; step++) {
    float* left = shared + (step & 1) * 2 * depth * pitch;
    float* right = left + depth * pitch;
    const Layout& layout = step < firstSteps ? first : second;
    Piece(layout.aAlongK, layout.aEights).put(left, a);
    Piece(layout.bAlongK, layout.bEights).put(right, b);
    __syncthreads();
    if (step + 1 < end) fetch(step + 1);
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
#pragma unroll
  for (int i = 0; i < 4; i++) finish.store8(batch, split, row0 + row + i, col0 + col, sums[i]);
}

Layout layoutOf(const Product& p, const Term& term) {
  const bool aAlongK = term.a.colStride == 1 || (term.a.rowStride != 1 && p.M < term.K);
  const bool bAlongK = term.b.rowStride == 1 || (term.b.colStride != 1 && p.N < term.K);
  return {aAlongK, aAlongK ? term.a.rowsInEights(p.batches) : term.a.colsInEights(p.batches), bAlongK,
          bAlongK ? term.b.colsInEights(p.batches) : term.b.rowsInEights(p.batches)};
}

}  // namespace

void multiplyFloats(Device& device, const Product& p, const Finish& finish, const MatmulPlan& plan) {
  const int64_t tiles = ceilDiv(p.M, tile) * ceilDiv(p.N, tile);
  launch(device, matmulFloat,
         {.blocks = dim3(unsigned(tiles * plan.splits * p.batches.count)),
          .threads = dim3(threads),
          .shared = 2 * 2 * depth * pitch * sizeof(float)},
         p, finish, layoutOf(p, p.terms[0]), layoutOf(p, p.terms[1]), uint32_t(plan.splits));
}

}  // namespace cuda
