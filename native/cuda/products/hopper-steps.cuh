// The parts of a matrix product by wgmma (sm_90a): a ring of stages that one thread fills by TMA, two warpgroups that multiply,
// and storing the sums.
//
// Blocks stay, one per processor, and walk over the tiles of out, 128 x 256 or 128 x 128. A stage is 64 of K, in boxes of
// 64 x 64 elements; each warpgroup multiplies 64 rows. Two blocks of a cluster have tiles below each other: each fetches
// half of b's boxes, for both. Sums of a narrow out without further wishes leave by TMA, under the next tile's product; all
// others through shared memory and Finish.
//
// A Schedule says which tiles there are, of whole clusters: `tiles()`, and `work(index, rank, tiles, tileN)`, which whole warps
// call; and for each Work its `outBatch`, its `within`, and whether the 64 rows from `row` on leave by TMA (`byBoxes`).
#pragma once
#include <algorithm>
#include "../device/tensormap.h"
#include "../tools/tile.cuh"
#include "../tools/wgmma.cuh"
#include "matmul-product.cuh"

namespace cuda {
namespace hopper {

constexpr int tileM = 128, depth = 64, consumers = 2, threads = 128 * (1 + consumers);
constexpr int boxBytes = 64 * 64 * 2, roomBytes = 2 * boxBytes;  // a warpgroup's room for leaving sums
constexpr uint32_t group = 8;  // clusters of tile rows that run together, so that their operands are read from L2

constexpr int stagesOf(int tileN) { return tileN == 256 ? 4 : 6; }
constexpr int stageBytesOf(int tileN) { return (tileM + tileN) / 64 * boxBytes; }
constexpr int barriersAt(int tileN) { return stagesOf(tileN) * stageBytesOf(tileN) + consumers * roomBytes; }
constexpr size_t sharedBytes(int tileN) { return size_t(barriersAt(tileN) + 2 * 8 * stagesOf(tileN)); }

struct Maps {
  CUtensorMap a[2], b[2], out;  // of both terms
};

struct Steps {
  uint32_t cluster;               // blocks that share b's tiles
  uint32_t steps, firstSteps;     // of K, of both terms and of the first
  bool batchedA[2], batchedB[2];  // otherwise the same for all batches
  bool boxes;                     // out has a map
};

// One tile's place, and its share of K.
struct Work {
  int row, col;
  uint32_t batch, split;
  int begin, end;
  int rowEnd;  // of the rows that the tile may store; only where groups have rows
};

#ifdef HOPPER

// By a warp, whose first thread copies.
template <bool aAlongK, bool bAlongK, int tileN, class Schedule>
__device__ void produce(const Maps& maps, const Schedule& s, uint32_t ring, uint32_t full, uint32_t empty,
                        uint32_t rank) {
  constexpr uint32_t stages = stagesOf(tileN), stageBytes = stageBytesOf(tileN);
  const uint32_t tiles = s.tiles();
  uint32_t filled = 0;
  for (uint32_t i = blockIdx.x / s.cluster; i < tiles; i += gridDim.x / s.cluster) {
    const Work work = s.work(i, rank, tiles, tileN);
    if (threadIdx.x > 0) continue;
    for (int step = work.begin; step < work.end; step++, filled++) {
      const uint32_t slot = filled % stages, to = ring + slot * stageBytes, barrier = full + 8 * slot;
      const int term = uint32_t(step) < s.firstSteps ? 0 : 1, k = (step - (term ? int(s.firstSteps) : 0)) * depth;
      const int batchA = s.batchedA[term] ? int(work.batch) : 0, batchB = s.batchedB[term] ? int(work.batch) : 0;
      ptx::wait(empty + 8 * slot, (filled / stages & 1) ^ 1);
      ptx::arriveExpecting(barrier, stageBytes);
      for (int box = 0; box < tileM / 64; box++) {
        const int row = work.row + 64 * box;
        ptx::loadBox(to + box * boxBytes, &maps.a[term], aAlongK ? k : row, aAlongK ? row : k, batchA, barrier);
      }
      for (int box = 0; box < tileN / 64; box++) {
        const int col = work.col + 64 * box, x = bAlongK ? k : col, y = bAlongK ? col : k;
        const uint32_t at = to + (tileM / 64 + box) * boxBytes;
        if (s.cluster == 1) ptx::loadBox(at, &maps.b[term], x, y, batchB, barrier);
        else if (uint32_t(box) % 2 == rank) ptx::loadBoxMulticast(at, &maps.b[term], x, y, batchB, barrier, 3);
      }
    }
  }
}

// Sums of 64 rows to memory through `room`, 64 columns at a time, in two boxes by turns. Threads of one warpgroup.
template <class T, int tileN>
__device__ __forceinline__ void storeBoxes(const float (&sums)[tileN / 2], const CUtensorMap& out, float scale,
                                           uint32_t room, int row, int col, uint32_t batch, int barrier) {
  const int thread = int(threadIdx.x) % 128, warp = thread / 32, lane = thread % 32;
  const int boxRow = warp * 16 + (lane & 15);
#pragma unroll
  for (int box = 0; box < tileN / 64; box++) {
    const uint32_t at = room + box % 2 * boxBytes;
    if (thread == 0) ptx::waitStoresRead<1>();
    ptx::barrierSync(barrier, 128);
#pragma unroll
    for (int c = 0; c < 4; c++) {
      const float* v = sums + box * 32 + c * 8;
      uint32_t r[4];
#pragma unroll
      for (int m = 0; m < 4; m++) r[m] = packPair<T>(scale * v[2 * m], scale * v[2 * m + 1]);
      ptx::storeMatrices(at + chunkAt<8>(boxRow, 2 * c + (lane >> 4)), r);
    }
    ptx::fenceAsyncProxy();
    ptx::barrierSync(barrier, 128);
    if (thread == 0) {
      ptx::storeBox(&out, at, col + 64 * box, row, int(batch));
      ptx::commitStores();
    }
  }
}

// The same through Finish. Each warp has 16 rows, and a quarter of the room as f32 [16, 64].
template <int tileN>
__device__ __forceinline__ void storeRows(const float (&sums)[tileN / 2], const Finish& finish, const Within& within,
                                          char* roomOfGroup, const Work& work, int row) {
  const int warp = int(threadIdx.x) % 128 / 32, lane = int(threadIdx.x) % 32, g = lane / 4;
  float* room = reinterpret_cast<float*>(roomOfGroup + warp * roomBytes / 4);
#pragma unroll 1
  for (int block = 0; block < tileN / 64; block++) {
#pragma unroll
    for (int b = 0; b < tileN / 64; b++) {
      if (b != block) continue;
#pragma unroll
      for (int c = 0; c < 8; c++) {
        float* to = room + g * 64 + (c ^ g) * 8 + lane % 4 * 2;
        const float* v = sums + b * 32 + c * 4;
        to[0] = v[0], to[1] = v[1];
        to[8 * 64] = v[2], to[8 * 64 + 1] = v[3];
      }
    }
    __syncwarp();
#pragma unroll 1
    for (int r = lane / 8; r < 16; r += 4) {
      float v[8];
#pragma unroll
      for (int e = 0; e < 8; e++) v[e] = room[r * 64 + (lane % 8 ^ (r & 7)) * 8 + e];
      finish.store8(work.batch, int(work.split), row + warp * 16 + r, work.col + 64 * block + lane % 8 * 8, v, within);
    }
    __syncwarp();
  }
}

template <class T, bool aAlongK, bool bAlongK, int tileN, class Schedule>
__device__ __forceinline__ void consume(const Maps& maps, const Schedule& s, const Finish& finish, char* shared,
                                        uint32_t ring, uint32_t full, uint32_t empty, uint32_t rank) {
  constexpr uint32_t stages = stagesOf(tileN), stageBytes = stageBytesOf(tileN);
  const int consumer = ptx::warpgroup() - 1, barrier = 1 + consumer;
  const uint32_t roomAt = stages * stageBytes + consumer * roomBytes;
  const auto release = [&](uint32_t slot) {  // each warpgroup, in all blocks whose copies fill it
    if (threadIdx.x % 128 >= s.cluster) return;
    if (s.cluster == 1) ptx::arrive(empty + 8 * slot);
    else ptx::arriveAt(empty + 8 * slot, threadIdx.x % 128);
  };

  const uint32_t tiles = s.tiles();
  uint32_t used = 0;
  for (uint32_t i = blockIdx.x / s.cluster; i < tiles; i += gridDim.x / s.cluster) {
    const Work work = s.work(i, rank, tiles, tileN);
    float sums[tileN / 2];
    for (int step = work.begin; step < work.end; step++, used++) {
      const uint32_t slot = used % stages, a = ring + slot * stageBytes + consumer * boxBytes;
      const uint32_t b = ring + slot * stageBytes + tileM / 64 * boxBytes;
      ptx::wait(full + 8 * slot, used / stages & 1);
      ptx::wgmmaFence();
#pragma unroll
      for (int k = 0; k < depth; k += 16) {
        const auto left = ptx::matrixDescriptor(a + k * (aAlongK ? 2 : 128), boxBytes, 1024, ptx::Swizzle::b128);
        const auto right = ptx::matrixDescriptor(b + k * (bAlongK ? 2 : 128), boxBytes, 1024, ptx::Swizzle::b128);
        ptx::wgmma<T, tileN, !aAlongK, !bAlongK>(sums, left, right, step > work.begin || k > 0);
      }
      ptx::wgmmaCommit();
      if (step > work.begin) {
        ptx::wgmmaWait<1>();
        release((used - 1) % stages);
      }
    }
    ptx::wgmmaWait<0>();
    release((used - 1) % stages);
    const int row = work.row + 64 * consumer;
    if (s.byBoxes(work, row)) {
      storeBoxes<T, tileN>(sums, maps.out, finish.scale, ring + roomAt, row, work.col, s.outBatch(work), barrier);
    } else {
      if (Schedule::storesBothWays && s.boxes) {  // boxes of the tile before may still be read
        if (threadIdx.x % 128 == 0) ptx::waitStoresRead<0>();
        ptx::barrierSync(barrier, 128);
      }
      storeRows<tileN>(sums, finish, s.within(finish, work), shared + roomAt, work, row);
    }
  }
  if (s.boxes && threadIdx.x % 128 == 0) ptx::waitStoresRead<0>();
}

// A block of `threads`, with `sharedBytes` of shared memory.
template <class T, bool aAlongK, bool bAlongK, int tileN, class Schedule>
__device__ __forceinline__ void multiply(const Maps& maps, const Schedule& s, const Finish& finish) {
  constexpr int stages = stagesOf(tileN);
  char* shared = ptx::sharedMemory();
  const uint32_t ring = ptx::sharedAddress(shared), full = ring + barriersAt(tileN), empty = full + 8 * stages;
  const uint32_t rank = s.cluster == 1 ? 0 : ptx::clusterRank();
  if (threadIdx.x == 0) {
    for (int term = 0; term < (s.steps > s.firstSteps ? 2 : 1); term++) {
      ptx::prefetchMap(&maps.a[term]);
      ptx::prefetchMap(&maps.b[term]);
    }
    if (s.boxes) ptx::prefetchMap(&maps.out);
    for (int i = 0; i < stages; i++) {
      ptx::initBarrier(full + 8 * i, 1);
      ptx::initBarrier(empty + 8 * i, consumers * int(s.cluster));
    }
    ptx::publishBarriers();
  }
  if (s.cluster == 1) __syncthreads();
  else ptx::clusterSync();

  if (threadIdx.x < 128) {
    ptx::giveRegisters<ptx::registersToLoad>();
    if (threadIdx.x < 32) produce<aAlongK, bAlongK, tileN>(maps, s, ring, full, empty, rank);
    __syncwarp();
  } else {
    ptx::takeRegisters<ptx::registersToMultiply>();
    consume<T, aAlongK, bAlongK, tileN>(maps, s, finish, shared, ring, full, empty, rank);
    __syncwarp();
  }
  if (s.cluster > 1) ptx::clusterSync();  // a block stays while the other may still send to it
}

#endif

// An operand [rows, cols] of out's batches as TMA sees it, its runs along the columns or along the rows.
inline BoxedMatrix boxed(const Operand& x, const Batches& batches, bool alongCols, int64_t rows, int64_t cols) {
  const int64_t batchStride = batches.axes ? x.batchStrides[0] : 0;
  return {x.bytes,
          x.dtype,
          alongCols ? rows : cols,
          alongCols ? cols : rows,
          alongCols ? x.rowStride : x.colStride,
          batchStride ? batches.count : 1,
          batchStride};
}

// Blocks of a launch: whole clusters, no more than there are processors.
inline dim3 blocksFor(const Device& device, uint32_t tiles, uint32_t cluster) {
  return dim3(std::min(tiles, std::max(1u, uint32_t(device.processors) / cluster)) * cluster);
}

}  // namespace hopper
}  // namespace cuda
