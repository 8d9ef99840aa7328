// Matrix product on tensor cores by mma.sync (sm_80 and later): both operands bf16 or both f16, sums f32.
//
//   a  [M, K] along K or along M;  b  [K, N] along K or along N    16-byte aligned runs of elements
//
// A block makes a tile of out (see tile-steps.cuh). Where the tiles are too few for the GPU, K is split over blocks.
#include "../device/launch.h"
#include "tile-steps.cuh"

namespace cuda {
namespace {

using tiles::depth, tiles::threads;

template <class T, int tileM, int tileN, bool aAlongK, bool bAlongK>
__global__ __launch_bounds__(threads, 2) void matmulTile(const __grid_constant__ Product p,
                                                         const __grid_constant__ Finish finish, uint32_t splits) {
  const uint32_t tileRows = uint32_t((p.M + tileM - 1) / tileM), tileCols = uint32_t((p.N + tileN - 1) / tileN);
  const uint32_t count = tileRows * tileCols;
  const TileAt tile = tileAt(blockIdx.x % count, tileRows, tileCols, tiles::group);
  const int64_t row0 = int64_t(tile.row) * tileM, col0 = int64_t(tile.col) * tileN;
  const uint32_t batch = blockIdx.x / count / splits;
  const int split = int(blockIdx.x / count % splits), steps = p.steps(depth);
  const int begin = partOf(steps, uint32_t(split), splits), end = partOf(steps, uint32_t(split) + 1, splits);
  const int firstSteps = int((p.terms[0].K + depth - 1) / depth);
  char* shared = ptx::sharedMemory();

  // Steps are loaded in order: this batch's operands are found when a term's first one comes.
  const uint16_t *a = nullptr, *b = nullptr;
  const auto load = [&](int step, uint32_t to) {
    const Term& term = p.terms[step < firstSteps ? 0 : 1];
    const int64_t k = int64_t(step < firstSteps ? step : step - firstSteps) * depth;
    if (step == begin || step == firstSteps) {
      a = static_cast<const uint16_t*>(term.a.bytes) + p.batches.offset(term.a.batchStrides, batch);
      b = static_cast<const uint16_t*>(term.b.bytes) + p.batches.offset(term.b.batchStrides, batch);
    }
    tiles::fetch<aAlongK, tileM>(to, a, aAlongK ? term.a.rowStride : term.a.colStride, row0, p.M, k, term.K);
    tiles::fetch<bAlongK, tileN>(to + tiles::Panel<aAlongK, tileM>::bytes, b,
                                 bAlongK ? term.b.colStride : term.b.rowStride, col0, p.N, k, term.K);
  };
  tiles::Sums<tileM, tileN> sums = {};
  tiles::multiplySteps<T, tileM, tileN, aAlongK, bAlongK>(sums, ptx::sharedAddress(shared), begin, end, load);
  tiles::storeSums<tileM, tileN>(
      sums, shared, [&](int row, int col, float(&v)[8]) { finish.store8(batch, split, row0 + row, col0 + col, v); });
}

template <class T, int tileM, int tileN, bool aAlongK, bool bAlongK>
void start(Device& device, const Product& p, const Finish& finish, uint32_t splits) {
  const int64_t count = ceilDiv(p.M, tileM) * ceilDiv(p.N, tileN);
  launch(device, matmulTile<T, tileM, tileN, aAlongK, bAlongK>,
         {.blocks = dim3(unsigned(count * splits * p.batches.count)),
          .threads = dim3(threads),
          .shared = size_t(tiles::bytesOf(tileM, tileN))},
         p, finish, uint32_t(splits));
}

template <class T, int tileM, int tileN>
void start(Device& device, const Product& p, const Finish& finish, uint32_t splits) {
  const bool aAlongK = p.terms[0].a.colStride == 1, bAlongK = p.terms[0].b.rowStride == 1;
  if (aAlongK && bAlongK) start<T, tileM, tileN, true, true>(device, p, finish, splits);
  else if (aAlongK) start<T, tileM, tileN, true, false>(device, p, finish, splits);
  else if (bAlongK) start<T, tileM, tileN, false, true>(device, p, finish, splits);
  else start<T, tileM, tileN, false, false>(device, p, finish, splits);
}

template <class T>
void start(Device& device, const Product& p, const Finish& finish, const MatmulPlan& plan) {
  if (plan.tileM == 128) start<T, 128, 128>(device, p, finish, plan.splits);
  else start<T, 64, 64>(device, p, finish, plan.splits);
}

}  // namespace

void multiplyTiles(Device& device, const Product& product, const Finish& finish, const MatmulPlan& plan) {
  if (product.terms[0].a.dtype == DType::bf16) start<bf16>(device, product, finish, plan);
  else start<f16>(device, product, finish, plan);
}

}  // namespace cuda
