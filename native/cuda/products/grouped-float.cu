// Products of rows with one matrix for each group, in f32 arithmetic: any floating-point formats and strides.
//
// Blocks make 64 x 64 tiles (see float-steps.cuh). A tile of the matmul never has rows of two groups; a block of the outer
// product has the whole of its group's rows, in their order.
#include "../device/launch.h"
#include "../tools/tile.cuh"
#include "float-steps.cuh"
#include "grouped.cuh"

namespace cuda {
namespace {

using floats::depth, floats::Layout, floats::Piece, floats::threads, floats::tile;
constexpr uint32_t tileRowsTogether = 8;  // so that their operands are read from L2

// Blocks: tiles of rows and of columns, `rowTiles` · columns.
__global__ __launch_bounds__(threads) void groupedFloat(const __grid_constant__ GroupedProduct p,
                                                        const __grid_constant__ Finish finish,
                                                        const __grid_constant__ Layout layout, uint32_t rowTiles) {
  if (blockIdx.x == 0 && threadIdx.x < 32) p.groups.check(int(threadIdx.x));
  const TileAt at = tileAt(blockIdx.x, rowTiles, uint32_t((p.N + tile - 1) / tile), tileRowsTogether);
  const RowTile rows = RowTiles(p.groups, log2Of(tile)).find(at.row);
  if (rows.group < 0) return;
  const int64_t row0 = rows.begin, col0 = int64_t(at.col) * tile;
  const Term& term = p.terms[0];
  const auto fetch = [&](int step, float(&a)[8], float(&b)[8]) {
    const int64_t k = int64_t(step) * depth;
    Piece(layout.aAlongK, layout.aEights)
        .fetch(a, {term.a.bytes, term.a.dtype}, row0 * term.a.rowStride + k * term.a.colStride, term.a.rowStride,
               term.a.colStride, rows.end - row0, term.K - k, 1);
    Piece(layout.bAlongK, layout.bEights)
        .fetch(b, {term.b.bytes, term.b.dtype},
               rows.group * term.b.batchStrides[0] + col0 * term.b.colStride + k * term.b.rowStride, term.b.colStride,
               term.b.rowStride, p.N - col0, term.K - k, 1);
  };
  float sums[4][8] = {};
  floats::multiplySteps(sums, reinterpret_cast<float*>(ptx::sharedMemory()), 0, int((term.K + depth - 1) / depth),
                        fetch, [at = &layout](int) -> const Layout& { return *at; });
  const Within own = within(finish, rows.group, rows.end);
#pragma unroll
  for (int i = 0; i < 4; i++) finish.store8(0, 0, row0 + floats::ownRow() + i, col0 + floats::ownCol(), sums[i], own);
}

// Blocks: the tiles of the first group's matrix, of the second's, ….
__global__ __launch_bounds__(threads, 2) void groupedFloatSums(const __grid_constant__ GroupedProduct p,
                                                               const __grid_constant__ Finish finish,
                                                               const __grid_constant__ Layout layout) {
  if (blockIdx.x == 0 && threadIdx.x < 32) p.groups.check(int(threadIdx.x));
  const uint32_t tileRows = uint32_t((p.M + tile - 1) / tile), tileCols = uint32_t((p.N + tile - 1) / tile);
  const uint32_t count = tileRows * tileCols, group = blockIdx.x / count;
  const TileAt at = tileAt(blockIdx.x % count, tileRows, tileCols, tileRowsTogether);
  const int64_t row0 = int64_t(at.row) * tile, col0 = int64_t(at.col) * tile;
  const int begin = p.groups.edge(int(group)), end = p.groups.edge(int(group) + 1);
  const int steps = end > begin ? (end - begin + depth - 1) / depth : 0;
  const Term& term = p.terms[0];
  const auto fetch = [&](int step, float(&a)[8], float(&b)[8]) {
    const int64_t k = begin + int64_t(step) * depth;
    Piece(layout.aAlongK, layout.aEights)
        .fetch(a, {term.a.bytes, term.a.dtype}, row0 * term.a.rowStride + k * term.a.colStride, term.a.rowStride,
               term.a.colStride, p.M - row0, end - k, 1);
    Piece(layout.bAlongK, layout.bEights)
        .fetch(b, {term.b.bytes, term.b.dtype}, col0 * term.b.colStride + k * term.b.rowStride, term.b.colStride,
               term.b.rowStride, p.N - col0, end - k, 1);
  };
  float sums[4][8] = {};
  floats::multiplySteps(sums, reinterpret_cast<float*>(ptx::sharedMemory()), 0, steps, fetch,
                        [at = &layout](int) -> const Layout& { return *at; });
#pragma unroll
  for (int i = 0; i < 4; i++) finish.store8(group, 0, row0 + floats::ownRow() + i, col0 + floats::ownCol(), sums[i]);
}

}  // namespace

void groupedFloats(Device& device, const GroupedProduct& p, const Finish& finish) {
  const int64_t rowTiles = mostTiles(p.M, p.groups.count, tile);
  launch(device, groupedFloat,
         {.blocks = dim3(unsigned(rowTiles * ceilDiv(p.N, tile))),
          .threads = dim3(threads),
          .shared = floats::sharedBytes},
         p, finish, floats::layoutOf(p, p.terms[0]), uint32_t(rowTiles));
}

void groupedFloatOuter(Device& device, const GroupedProduct& p, const Finish& finish) {
  launch(device, groupedFloatSums,
         {.blocks = dim3(unsigned(ceilDiv(p.M, tile) * ceilDiv(p.N, tile) * p.groups.count)),
          .threads = dim3(threads),
          .shared = floats::sharedBytes},
         p, finish, floats::layoutOf(p, p.terms[0]));
}

}  // namespace cuda
