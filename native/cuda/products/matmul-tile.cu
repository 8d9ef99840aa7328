// Matrix product on tensor cores by mma.sync (sm_80 and later): both operands bf16 or both f16, sums f32.
//
//   a  [M, K] along K or along M;  b  [K, N] along K or along N    16-byte aligned runs of elements
//
// A block of four warps makes a tile of out, each warp a quarter. A ring of stages, 32 of K each, is filled by cp.async
// while ldmatrix and mma empty it; chunks of 16 bytes are swizzled so that neither meets bank conflicts. Elements beyond
// the edges are filled with zeros. Where the tiles are too few for the GPU, K is split over blocks.
#include "../device/launch.h"
#include "../tools/tile.cuh"
#include "matmul-product.cuh"

namespace cuda {
namespace {

constexpr int threads = 128, depth = 32;
constexpr uint32_t group = 8;  // rows of tiles that run together, so that their operands are read from L2

constexpr int stagesOf(int tileM) { return tileM >= 128 ? 3 : 4; }
constexpr int bytesOf(int tileM, int tileN) { return stagesOf(tileM) * (tileM + tileN) * depth * 2; }

// A tile of an operand in shared memory: its rows are runs along K, or along the other axis.
template <bool alongK, int tile>
struct Panel {
  static constexpr int chunks = alongK ? depth / 8 : tile / 8, rows = alongK ? tile : depth;
  static constexpr int bytes = tile * depth * 2;
};

// `at` is the first row (column) of the tile in a (b), of `count`; `stride` lies between runs.
template <bool alongK, int tile>
__device__ __forceinline__ void fetch(uint32_t to, const uint16_t* from, int64_t stride, int64_t at, int64_t count,
                                      int64_t k, int64_t K) {
  using P = Panel<alongK, tile>;
  if constexpr (alongK) copyTile<P::rows, P::chunks, threads>(to, from, stride, at, count, k, K);
  else copyTile<P::rows, P::chunks, threads>(to, from, stride, k, K, at, count);
}

template <class T, int tileM, int tileN, bool aAlongK, bool bAlongK>
__global__ __launch_bounds__(threads, 2) void matmulTile(const __grid_constant__ Product p,
                                                         const __grid_constant__ Finish finish, uint32_t splits) {
  constexpr int stages = stagesOf(tileM), warpM = tileM / 2, warpN = tileN / 2;
  using A = Panel<aAlongK, tileM>;
  using B = Panel<bAlongK, tileN>;
  const int warp = int(threadIdx.x) / 32, lane = int(threadIdx.x) % 32;
  const int warpRow = warp / 2 * warpM, warpCol = warp % 2 * warpN;
  const uint32_t tileRows = uint32_t((p.M + tileM - 1) / tileM), tileCols = uint32_t((p.N + tileN - 1) / tileN);
  const uint32_t tiles = tileRows * tileCols;
  const TileAt tile = tileAt(blockIdx.x % tiles, tileRows, tileCols, group);
  const int64_t row0 = int64_t(tile.row) * tileM, col0 = int64_t(tile.col) * tileN;
  const uint32_t batch = blockIdx.x / tiles / splits;
  const int split = int(blockIdx.x / tiles % splits), steps = p.steps(depth);
  const int begin = partOf(steps, uint32_t(split), splits), end = partOf(steps, uint32_t(split) + 1, splits);
  const int firstSteps = int((p.terms[0].K + depth - 1) / depth);
  char* shared = ptx::sharedMemory();
  const uint32_t ring = ptx::sharedAddress(shared);

  // Steps are loaded in order: this batch's operands are found when a term's first one comes.
  const uint16_t *a = nullptr, *b = nullptr;
  const auto load = [&](int step) {
    const Term& term = p.terms[step < firstSteps ? 0 : 1];
    const int64_t k = int64_t(step < firstSteps ? step : step - firstSteps) * depth;
    if (step == begin || step == firstSteps) {
      a = static_cast<const uint16_t*>(term.a.bytes) + p.batches.offset(term.a.batchStrides, batch);
      b = static_cast<const uint16_t*>(term.b.bytes) + p.batches.offset(term.b.batchStrides, batch);
    }
    const uint32_t to = ring + uint32_t(step % stages) * (A::bytes + B::bytes);
    fetch<aAlongK, tileM>(to, a, aAlongK ? term.a.rowStride : term.a.colStride, row0, p.M, k, term.K);
    fetch<bAlongK, tileN>(to + A::bytes, b, bAlongK ? term.b.colStride : term.b.rowStride, col0, p.N, k, term.K);
  };

  float sums[warpM / 16][warpN / 8][4] = {};
  for (int i = 0; i < stages - 1; i++) {
    if (begin + i < end) load(begin + i);
    ptx::commitCopies();
  }
  for (int step = begin; step < end; step++) {
    ptx::waitCopies<stages - 2>();
    __syncthreads();  // the stage has arrived for all, and all have left the one that is filled next
    if (step + stages - 1 < end) load(step + stages - 1);
    ptx::commitCopies();
    const uint32_t a = ring + uint32_t(step % stages) * (A::bytes + B::bytes), b = a + A::bytes;
#pragma unroll
    for (int k = 0; k < depth; k += 16) {
      uint32_t left[warpM / 16][4];
#pragma unroll
      for (int i = 0; i < warpM / 16; i++) loadA<A::chunks, aAlongK>(left[i], a, warpRow + 16 * i, k, lane);
#pragma unroll
      for (int j = 0; j < warpN / 16; j++) {
        uint32_t right[2][2];
        loadB<B::chunks, bAlongK>(right, b, warpCol + 16 * j, k, lane);
#pragma unroll
        for (int i = 0; i < warpM / 16; i++) {
          ptx::mma<T>(sums[i][2 * j], left[i], right[0]);
          ptx::mma<T>(sums[i][2 * j + 1], left[i], right[1]);
        }
      }
    }
  }
  ptx::waitCopies<0>();
  __syncthreads();

  // Through shared memory, 16 rows at a time, so that a lane has eight neighbours to store.
  constexpr int pitch = warpN + 8, lanesPerRow = warpN / 8;
  float* room = reinterpret_cast<float*>(shared) + warp * 16 * pitch;
#pragma unroll 1
  for (int block = 0; block < warpM / 16; block++) {
#pragma unroll
    for (int i = 0; i < warpM / 16; i++) {
      if (i != block) continue;
#pragma unroll
      for (int j = 0; j < warpN / 8; j++) {
        float* to = room + lane / 4 * pitch + 8 * j + lane % 4 * 2;
        to[0] = sums[i][j][0], to[1] = sums[i][j][1];
        to[8 * pitch] = sums[i][j][2], to[8 * pitch + 1] = sums[i][j][3];
      }
    }
    __syncwarp();
#pragma unroll 1
    for (int r = lane / lanesPerRow; r < 16; r += 32 / lanesPerRow) {
      const int col = lane % lanesPerRow * 8;
      float v[8];
#pragma unroll
      for (int e = 0; e < 8; e++) v[e] = room[r * pitch + col + e];
      finish.store8(batch, split, row0 + warpRow + 16 * block + r, col0 + warpCol + col, v);
    }
    __syncwarp();
  }
}

template <class T, int tileM, int tileN, bool aAlongK, bool bAlongK>
void start(Device& device, const Product& p, const Finish& finish, uint32_t splits) {
  const int64_t tiles = ceilDiv(p.M, tileM) * ceilDiv(p.N, tileN);
  launch(device, matmulTile<T, tileM, tileN, aAlongK, bAlongK>,
         {.blocks = dim3(unsigned(tiles * splits * p.batches.count)),
          .threads = dim3(threads),
          .shared = size_t(bytesOf(tileM, tileN))},
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
