// Matrix product in f32 arithmetic, for operands of any floating-point formats and strides (see float-steps.cuh).
#include "../device/launch.h"
#include "../tools/tile.cuh"
#include "float-steps.cuh"
#include "matmul-product.cuh"

namespace cuda {
namespace {

using floats::depth, floats::Layout, floats::Piece, floats::threads, floats::tile;
constexpr uint32_t group = 8;

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

  // Steps are fetched in order: this tile's place in the operands is found when a term's first one comes.
  int64_t atA = 0, atB = 0;
  const auto fetch = [&](int step, float(&a)[8], float(&b)[8]) {
    const bool isFirst = step < firstSteps;
    const Term& term = p.terms[isFirst ? 0 : 1];
    const Layout& layout = isFirst ? first : second;
    const int64_t k = int64_t(isFirst ? step : step - firstSteps) * depth;
    if (step == begin || step == firstSteps) {
      atA = p.batches.offset(term.a.batchStrides, batch) + row0 * term.a.rowStride;
      atB = p.batches.offset(term.b.batchStrides, batch) + col0 * term.b.colStride;
    }
    Piece(layout.aAlongK, layout.aEights)
        .fetch(a, {term.a.bytes, term.a.dtype}, atA + k * term.a.colStride, term.a.rowStride, term.a.colStride,
               p.M - row0, term.K - k, term.scale);
    Piece(layout.bAlongK, layout.bEights)
        .fetch(b, {term.b.bytes, term.b.dtype}, atB + k * term.b.rowStride, term.b.colStride, term.b.rowStride,
               p.N - col0, term.K - k, 1);
  };

  float sums[4][8] = {};
  floats::multiplySteps(sums, reinterpret_cast<float*>(ptx::sharedMemory()), begin, end, fetch,
                        [&](int step) -> const Layout& { return step < firstSteps ? first : second; });
  const int64_t row = row0 + floats::ownRow(), col = col0 + floats::ownCol();
#pragma unroll
  for (int i = 0; i < 4; i++) finish.store8(batch, split, row + i, col, sums[i]);
}

}  // namespace

void multiplyFloats(Device& device, const Product& p, const Finish& finish, const MatmulPlan& plan) {
  const int64_t tiles = ceilDiv(p.M, tile) * ceilDiv(p.N, tile);
  launch(device, matmulFloat,
         {.blocks = dim3(unsigned(tiles * plan.splits * p.batches.count)),
          .threads = dim3(threads),
          .shared = floats::sharedBytes},
         p, finish, floats::layoutOf(p, p.terms[0]), floats::layoutOf(p, p.terms[1]), uint32_t(plan.splits));
}

}  // namespace cuda
