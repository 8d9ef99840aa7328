// Products of rows with one matrix for each group on Hopper's tensor cores (sm_90a): both operands bf16 or both f16, sums f32
// (see hopper-steps.cuh).
//
//   a  [rows, K] along K;  b[g]  [K, N] along K or along N
//
// A tile, or with a cluster of two the tiles of both blocks, never has rows of two groups. TMA fetches the next group's rows
// behind the last of a group, whose sums are not stored; boxes of out leave by TMA where all of their rows are the group's.
#include "../device/launch.h"
#include "grouped.cuh"
#include "hopper-steps.cuh"

namespace cuda {

using namespace hopper;

// Not of this file alone: what other architectures leave out would be unused.
struct GroupedSchedule : Steps {
  Groups groups;
  uint32_t cols;
  int shift;  // 2^shift rows are in a cluster's tiles
  static constexpr bool storesBothWays = true;

  __device__ uint32_t tiles() const { return RowTiles(groups, shift).count() * cols; }

  __device__ Work work(uint32_t index, uint32_t rank, uint32_t tiles, int tileN) const {
    const TileAt at = tileAt(index, tiles / cols, cols, group);
    const RowTile rows = RowTiles(groups, shift).find(at.row);
    return {rows.begin + int(rank) * tileM, int(at.col) * tileN, uint32_t(rows.group), 0, 0, int(steps), rows.end};
  }
  __device__ bool byBoxes(const Work& work, int row) const { return boxes && row + 64 <= work.rowEnd; }
  __device__ uint32_t outBatch(const Work&) const { return 0; }
  __device__ Within within(const Finish& finish, const Work& work) const {
    return cuda::within(finish, int(work.batch), work.rowEnd);
  }
};

namespace {

template <class T, bool bAlongK, int tileN>
__global__ __launch_bounds__(threads, 1) void groupedHopper(const __grid_constant__ Maps maps,
                                                            const __grid_constant__ GroupedSchedule s,
                                                            const __grid_constant__ Finish finish) {
#ifdef HOPPER
  if (blockIdx.x == 0 && threadIdx.x < 32) s.groups.check(int(threadIdx.x));
  hopper::multiply<T, true, bAlongK, tileN>(maps, s, finish);
#else
  __trap();
#endif
}

template <class T, bool bAlongK, int tileN>
bool start(Device& device, const GroupedProduct& p, const Finish& finish, const MatmulPlan& plan) {
  const auto kernel = groupedHopper<T, bAlongK, tileN>;
  if (!startsWith(reinterpret_cast<const void*>(kernel), ptx::registersAtStart)) return false;
  const Term& term = p.terms[0];
  Maps maps{};
  GroupedSchedule s{};
  const BoxedMatrix b = boxed(term.b, p.batches, !bAlongK, term.K, p.N);
  maps.a[0] = tensorMap(boxed(term.a, p.batches, true, p.M, term.K), 64);
  maps.b[0] = tensorMap(b, 64);
  s.batchedB[0] = b.batches > 1;
  s.boxes = finish.leavesByBoxes(term.a.dtype);
  if (s.boxes) maps.out = tensorMap(boxed(finish.out, {}, true, p.M, p.N), 64);
  s.cluster = uint32_t(plan.cluster);
  s.steps = s.firstSteps = uint32_t(ceilDiv(term.K, depth));
  s.groups = p.groups;
  s.cols = uint32_t(ceilDiv(p.N, tileN));
  s.shift = log2Of(tileM * plan.cluster);
  const int64_t most = mostTiles(p.M, p.groups.count, tileM * plan.cluster) * s.cols;
  launch(device, kernel,
         {.blocks = blocksFor(device, uint32_t(most), s.cluster),
          .threads = dim3(threads),
          .shared = sharedBytes(tileN),
          .cluster = s.cluster},
         maps, s, finish);
  return true;
}

template <class T, int tileN>
bool start(Device& device, const GroupedProduct& p, const Finish& finish, const MatmulPlan& plan) {
  if (p.terms[0].b.rowStride == 1) return start<T, true, tileN>(device, p, finish, plan);
  return start<T, false, tileN>(device, p, finish, plan);
}

template <class T>
bool start(Device& device, const GroupedProduct& p, const Finish& finish, const MatmulPlan& plan) {
  return plan.tileN == 256 ? start<T, 256>(device, p, finish, plan) : start<T, 128>(device, p, finish, plan);
}

}  // namespace

bool groupedHopper(Device& device, const GroupedProduct& p, const Finish& finish, const MatmulPlan& plan) {
  if (p.terms[0].a.dtype == DType::bf16) return start<bf16>(device, p, finish, plan);
  return start<f16>(device, p, finish, plan);
}

}  // namespace cuda
