// Products of rows with one matrix for each group on tensor cores, by mma.sync (sm_80 and later): both operands bf16 or both
// f16, sums f32 (see tile-steps.cuh).
//
//   matmul  a [rows, K] along K;  b[g] [K, N] along K or along N
//   outer   a [rows, M] and b [rows, N] along M and N: a block has the whole of its group's rows, in their order
//
// A tile of the matmul never has rows of two groups, so its last rows may be missing.
#include "../device/launch.h"
#include "grouped.cuh"
#include "tile-steps.cuh"

namespace cuda {
namespace {

using tiles::depth, tiles::threads;

// Blocks: tiles of rows and of columns, `rowTiles` · columns.
template <class T, int tileM, int tileN, bool bAlongK>
__global__ __launch_bounds__(threads, 2) void groupedTile(const __grid_constant__ GroupedProduct p,
                                                          const __grid_constant__ Finish finish, uint32_t rowTiles) {
  if (blockIdx.x == 0 && threadIdx.x < 32) p.groups.check(int(threadIdx.x));
  const TileAt at = tileAt(blockIdx.x, rowTiles, uint32_t((p.N + tileN - 1) / tileN), tiles::group);
  const RowTile rows = RowTiles(p.groups, log2Of(tileM)).find(at.row);
  if (rows.group < 0) return;
  const int64_t col0 = int64_t(at.col) * tileN;
  const Term& term = p.terms[0];
  const uint16_t* a = static_cast<const uint16_t*>(term.a.bytes);
  const uint16_t* b = static_cast<const uint16_t*>(term.b.bytes) + rows.group * term.b.batchStrides[0];
  char* shared = ptx::sharedMemory();

  const auto load = [&](int step, uint32_t to) {
    const int64_t k = int64_t(step) * depth;
    tiles::fetch<true, tileM>(to, a, term.a.rowStride, rows.begin, rows.end, k, term.K);
    tiles::fetch<bAlongK, tileN>(to + tiles::Panel<true, tileM>::bytes, b,
                                 bAlongK ? term.b.colStride : term.b.rowStride, col0, p.N, k, term.K);
  };
  tiles::Sums<tileM, tileN> sums = {};
  tiles::multiplySteps<T, tileM, tileN, true, bAlongK>(sums, ptx::sharedAddress(shared), 0,
                                                       int((term.K + depth - 1) / depth), load);
  const Within own = within(finish, rows.group, rows.end);
  tiles::storeSums<tileM, tileN>(
      sums, shared, [&](int row, int col, float(&v)[8]) { finish.store8(0, 0, rows.begin + row, col0 + col, v, own); });
}

// Blocks: the tiles of the first group's matrix, of the second's, ….
template <class T, int tileM, int tileN>
__global__ __launch_bounds__(threads, 2) void groupedTileSums(const __grid_constant__ GroupedProduct p,
                                                              const __grid_constant__ Finish finish) {
  if (blockIdx.x == 0 && threadIdx.x < 32) p.groups.check(int(threadIdx.x));
  const uint32_t tileRows = uint32_t((p.M + tileM - 1) / tileM), tileCols = uint32_t((p.N + tileN - 1) / tileN);
  const uint32_t count = tileRows * tileCols, group = blockIdx.x / count;
  const TileAt at = tileAt(blockIdx.x % count, tileRows, tileCols, tiles::group);
  const int64_t row0 = int64_t(at.row) * tileM, col0 = int64_t(at.col) * tileN;
  const int begin = p.groups.edge(int(group)), end = p.groups.edge(int(group) + 1);
  const int steps = end > begin ? (end - begin + depth - 1) / depth : 0;
  const Term& term = p.terms[0];
  const uint16_t *a = static_cast<const uint16_t*>(term.a.bytes), *b = static_cast<const uint16_t*>(term.b.bytes);
  char* shared = ptx::sharedMemory();

  const auto load = [&](int step, uint32_t to) {
    const int64_t k = begin + int64_t(step) * depth;
    tiles::fetch<false, tileM>(to, a, term.a.colStride, row0, p.M, k, end);
    tiles::fetch<false, tileN>(to + tiles::Panel<false, tileM>::bytes, b, term.b.rowStride, col0, p.N, k, end);
  };
  tiles::Sums<tileM, tileN> sums = {};
  tiles::multiplySteps<T, tileM, tileN, false, false>(sums, ptx::sharedAddress(shared), 0, steps, load);
  tiles::storeSums<tileM, tileN>(
      sums, shared, [&](int row, int col, float(&v)[8]) { finish.store8(group, 0, row0 + row, col0 + col, v); });
}

template <class T, int tile>
void start(Device& device, const GroupedProduct& p, const Finish& finish) {
  const int64_t rowTiles = mostTiles(p.M, p.groups.count, tile);
  const auto kernel =
      p.terms[0].b.rowStride == 1 ? groupedTile<T, tile, tile, true> : groupedTile<T, tile, tile, false>;
  launch(device, kernel,
         {.blocks = dim3(unsigned(rowTiles * ceilDiv(p.N, tile))),
          .threads = dim3(threads),
          .shared = size_t(tiles::bytesOf(tile, tile))},
         p, finish, uint32_t(rowTiles));
}

template <class T, int tile>
void startOuter(Device& device, const GroupedProduct& p, const Finish& finish) {
  launch(device, groupedTileSums<T, tile, tile>,
         {.blocks = dim3(unsigned(ceilDiv(p.M, tile) * ceilDiv(p.N, tile) * p.groups.count)),
          .threads = dim3(threads),
          .shared = size_t(tiles::bytesOf(tile, tile))},
         p, finish);
}

}  // namespace

void groupedTiles(Device& device, const GroupedProduct& p, const Finish& finish, const MatmulPlan& plan) {
  const bool isLarge = plan.tileM == 128;
  if (p.terms[0].a.dtype == DType::bf16)
    isLarge ? start<bf16, 128>(device, p, finish) : start<bf16, 64>(device, p, finish);
  else isLarge ? start<f16, 128>(device, p, finish) : start<f16, 64>(device, p, finish);
}

void groupedTileOuter(Device& device, const GroupedProduct& p, const Finish& finish, const MatmulPlan& plan) {
  const bool isLarge = plan.tileM == 128;
  if (p.terms[0].a.dtype == DType::bf16)
    isLarge ? startOuter<bf16, 128>(device, p, finish) : startOuter<bf16, 64>(device, p, finish);
  else isLarge ? startOuter<f16, 128>(device, p, finish) : startOuter<f16, 64>(device, p, finish);
}

}  // namespace cuda
