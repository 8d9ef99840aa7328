// Products of rows with one matrix for each group, in f32 arithmetic: any floating-point formats and strides.
//
// Blocks make 64 x 64 tiles (see float-steps.cuh). A tile of the matmul never has rows of two groups; a block of the outer
// product has the whole of its group's rows, in their order.
#include "../device/launch.h"
#include "float-steps.cuh"
#include "grouped.cuh"

namespace cuda {
namespace {

using floats::depth, floats::Layout, floats::Piece, floats::threads, floats::tile;

// Blocks: tile of rows, tile of columns.
__global__ __launch_bounds__(threads) void groupedFloat(const __grid_constant__ GroupedProduct p,
                                                        const __grid_constant__ Finish finish,
                                                        const __grid_constant__ Layout layout) {
  if (blockIdx.x + blockIdx.y == 0 && threadIdx.x < 32) p.groups.check(int(threadIdx.x));
  const GroupTile rows = findTile(p.groups, blockIdx.x, tile);
  if (rows.group < 0) return;
  const int64_t row0 = rows.begin, col0 = int64_t(blockIdx.y) * tile;
  const auto fetch = [&](int step, float(&a)[8], float(&b)[8]) {
    const int64_t k = int64_t(step) * depth;
    Piece(layout.aAlongK, layout.aEights)
        .fetch(a, {p.a.bytes, p.a.dtype}, row0 * p.a.rowStride + k * p.a.colStride, p.a.rowStride, p.a.colStride,
               rows.end - row0, p.K - k, 1);
    Piece(layout.bAlongK, layout.bEights)
        .fetch(b, {p.b.bytes, p.b.dtype}, rows.group * p.bGroup + col0 * p.b.colStride + k * p.b.rowStride,
               p.b.colStride, p.b.rowStride, p.N - col0, p.K - k, 1);
  };
  float sums[4][8] = {};
  floats::multiplySteps(sums, reinterpret_cast<float*>(ptx::sharedMemory()), 0, int((p.K + depth - 1) / depth), fetch,
                        [&](int) -> const Layout& { return layout; });
  const Finish own = finishOf(finish, rows);
#pragma unroll
  for (int i = 0; i < 4; i++) own.store8(0, 0, row0 + floats::ownRow() + i, col0 + floats::ownCol(), sums[i]);
}

// Blocks: tile of M, tile of N, group.
__global__ __launch_bounds__(threads) void groupedFloatSums(const __grid_constant__ GroupedProduct p,
                                                            const __grid_constant__ Finish finish,
                                                            const __grid_constant__ Layout layout) {
  if (blockIdx.x + blockIdx.y + blockIdx.z == 0 && threadIdx.x < 32) p.groups.check(int(threadIdx.x));
  const int64_t row0 = int64_t(blockIdx.x) * tile, col0 = int64_t(blockIdx.y) * tile;
  const int begin = p.groups.edge(int(blockIdx.z)), end = p.groups.edge(int(blockIdx.z) + 1);
  const int count = end > begin ? end - begin : 0;
  const auto fetch = [&](int step, float(&a)[8], float(&b)[8]) {
    const int64_t k = begin + int64_t(step) * depth;
    Piece(layout.aAlongK, layout.aEights)
        .fetch(a, {p.a.bytes, p.a.dtype}, row0 * p.a.rowStride + k * p.a.colStride, p.a.rowStride, p.a.colStride,
               p.M - row0, end - k, 1);
    Piece(layout.bAlongK, layout.bEights)
        .fetch(b, {p.b.bytes, p.b.dtype}, col0 * p.b.colStride + k * p.b.rowStride, p.b.colStride, p.b.rowStride,
               p.N - col0, end - k, 1);
  };
  float sums[4][8] = {};
  floats::multiplySteps(sums, reinterpret_cast<float*>(ptx::sharedMemory()), 0, (count + depth - 1) / depth, fetch,
                        [&](int) -> const Layout& { return layout; });
#pragma unroll
  for (int i = 0; i < 4; i++)
    finish.store8(blockIdx.z, 0, row0 + floats::ownRow() + i, col0 + floats::ownCol(), sums[i]);
}

bool even(const Operand& x, int64_t unit, int64_t other) { return x.inEights({}, unit, other); }

}  // namespace

void groupedFloats(Device& device, const GroupedProduct& p, const Finish& finish) {
  const Operand& b = p.b;
  const bool bAlongK = b.rowStride == 1 || (b.colStride != 1 && p.N < p.K);
  const bool bEights =
      p.bGroup % 8 == 0 && even(b, bAlongK ? b.rowStride : b.colStride, bAlongK ? b.colStride : b.rowStride);
  launch(device, groupedFloat,
         {.blocks = dim3(unsigned(mostTiles(p.groups.rows, p.groups.count, tile)), unsigned(ceilDiv(p.N, tile))),
          .threads = dim3(threads),
          .shared = floats::sharedBytes},
         p, finish, Layout{true, even(p.a, p.a.colStride, p.a.rowStride), bAlongK, bEights});
}

void groupedFloatOuter(Device& device, const GroupedProduct& p, const Finish& finish) {
  launch(device, groupedFloatSums,
         {.blocks = dim3(unsigned(ceilDiv(p.M, tile)), unsigned(ceilDiv(p.N, tile)), unsigned(p.groups.count)),
          .threads = dim3(threads),
          .shared = floats::sharedBytes},
         p, finish,
         Layout{false, even(p.a, p.a.rowStride, p.a.colStride), false, even(p.b, p.b.colStride, p.b.rowStride)});
}

}  // namespace cuda
