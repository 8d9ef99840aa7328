// Products of few rows with one matrix for each group, as of a decoding step: a tile has at most eight rows of a group, whose
// matrix is read for it once (see vector-steps.cuh). Matrices of groups without rows are not read.
//
//   a [rows, K] along K;  b[g] [K, N] along K;  any formats
#include "../device/launch.h"
#include "grouped.cuh"
#include "vector-steps.cuh"

namespace cuda {
namespace {

// T: b's format. Blocks: `perTile` for the columns of each tile of `rows` rows.
template <class T, int rows>
__global__ __launch_bounds__(vectors::mostWarps * 32,
                             rows == 8 ? 1 : 2) void groupedDots(const __grid_constant__ GroupedProduct p,
                                                                 const __grid_constant__ Finish finish,
                                                                 uint32_t perTile, int warps, int64_t inEights) {
  ptx::takeTurn();
  if (blockIdx.x == 0 && threadIdx.x < 32) p.groups.check(int(threadIdx.x));
  const RowTile tile = RowTiles(p.groups, log2Of(rows)).find(blockIdx.x / perTile);
  if (tile.group < 0) return;
  const int64_t first = int64_t(blockIdx.x % perTile) * (int(blockDim.x) / 32 / warps);
  const Term& term = p.terms[0];
  const Within own = within(finish, tile.group, tile.end);
  vectors::dotColumns<T, rows>(
      {term.a.bytes, term.a.dtype}, tile.begin * term.a.rowStride, term.a.rowStride, tile.end - tile.begin,
      static_cast<const T*>(term.b.bytes) + tile.group * term.b.batchStrides[0],
      {first, p.N, term.K, term.b.colStride, inEights, warps},
      [&](int row, int64_t col, float sum) { finish.store1(0, 0, tile.begin + row, col, sum, own); });
}

template <class T, int rows>
void start(Device& device, const GroupedProduct& p, const Finish& finish, const MatmulPlan& plan) {
  const Term& term = p.terms[0];
  const bool eights = term.a.rowsInEights(p.batches) && term.b.colsInEights(p.batches);
  const vectors::Cut cut(p.N, plan.warps);
  launch(device, groupedDots<T, rows>,
         {.blocks = dim3(unsigned(cut.blocks * mostTiles(p.M, p.groups.count, rows))),
          .threads = cut.threads(plan.warps),
          .shared = cut.shared(plan.warps, rows),
          .overlaps = true},
         p, finish, uint32_t(cut.blocks), plan.warps, eights ? term.K / 8 * 8 : int64_t(0));
}

template <class T>
void start(Device& device, const GroupedProduct& p, const Finish& finish, const MatmulPlan& plan) {
  if (plan.tileM == 1) start<T, 1>(device, p, finish, plan);
  else if (plan.tileM == 2) start<T, 2>(device, p, finish, plan);
  else if (plan.tileM == 4) start<T, 4>(device, p, finish, plan);
  else start<T, 8>(device, p, finish, plan);
}

}  // namespace

void groupedVectors(Device& device, const GroupedProduct& p, const Finish& finish, const MatmulPlan& plan) {
  visitFloat(p.terms[0].b.dtype, [&](auto tag) { start<decltype(tag)>(device, p, finish, plan); });
}

}  // namespace cuda
