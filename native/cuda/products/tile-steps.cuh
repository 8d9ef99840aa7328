// The parts of a matrix product by mma.sync: tiles of both operands in shared memory, the steps along K, and storing the sums.
//
// A block of four warps makes a tile of out, each warp a quarter. A ring of stages, 32 of K each, is filled by cp.async
// while ldmatrix and mma empty it; chunks of 16 bytes are swizzled so that neither meets bank conflicts. Elements beyond
// the edges are filled with zeros.
#pragma once
#include "../tools/tile.cuh"
#include "matmul-product.cuh"

namespace cuda {
namespace tiles {

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

// A warp's quarter of the tile.
template <int tileM, int tileN>
using Sums = float[tileM / 32][tileN / 16][4];

// Adds steps [begin, end). `load(step, to)` starts the copies of a's panel to `to` and of b's behind it. At the end no copy is
// under way, and the ring is free for all.
template <class T, int tileM, int tileN, bool aAlongK, bool bAlongK, class Load>
__device__ __forceinline__ void multiplySteps(Sums<tileM, tileN>& sums, uint32_t ring, int begin, int end,
                                              Load&& load) {
  constexpr int stages = stagesOf(tileM), warpM = tileM / 2, warpN = tileN / 2;
  using A = Panel<aAlongK, tileM>;
  using B = Panel<bAlongK, tileN>;
  const int warp = int(threadIdx.x) / 32, lane = int(threadIdx.x) % 32;
  const int warpRow = warp / 2 * warpM, warpCol = warp % 2 * warpN;
  const auto stageAt = [&](int step) { return ring + uint32_t(step % stages) * (A::bytes + B::bytes); };
  for (int i = 0; i < stages - 1; i++) {
    if (begin + i < end) load(begin + i, stageAt(begin + i));
    ptx::commitCopies();
  }
  for (int step = begin; step < end; step++) {
    ptx::waitCopies<stages - 2>();
    __syncthreads();  // the stage has arrived for all, and all have left the one that is filled next
    if (step + stages - 1 < end) load(step + stages - 1, stageAt(step + stages - 1));
    ptx::commitCopies();
    const uint32_t a = stageAt(step), b = a + A::bytes;
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
}

// Through shared memory, 16 rows at a time, so that a lane has eight neighbours to store: `store(row, col, v)` takes eight
// columns of the tile.
template <int tileM, int tileN, class Store>
__device__ __forceinline__ void storeSums(const Sums<tileM, tileN>& sums, char* shared, Store&& store) {
  constexpr int warpM = tileM / 2, warpN = tileN / 2, pitch = warpN + 8, lanesPerRow = warpN / 8;
  const int warp = int(threadIdx.x) / 32, lane = int(threadIdx.x) % 32;
  const int warpRow = warp / 2 * warpM, warpCol = warp % 2 * warpN;
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
      store(warpRow + 16 * block + r, warpCol + col, v);
    }
    __syncwarp();
  }
}

}  // namespace tiles
}  // namespace cuda
