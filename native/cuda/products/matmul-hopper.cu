// Matrix product on Hopper's tensor cores (sm_90a): both operands bf16 or both f16, sums f32 (see hopper-steps.cuh).
//
//   a  [M, K] along K or along M;  b  [K, N] along K or along N;  at most one batch axis
#include "../device/launch.h"
#include "hopper-steps.cuh"

namespace cuda {

using namespace hopper;

// Not of this file alone: what other architectures leave out would be unused.
struct DenseSchedule : Steps {
  uint32_t clusterRows, cols, batches, splits;  // clusterRows: rows of tiles / cluster, rounded up
  static constexpr bool storesBothWays = false;

  __host__ __device__ uint32_t tiles() const { return clusterRows * cols * splits * batches; }

  __device__ Work work(uint32_t index, uint32_t rank, uint32_t, int tileN) const {
    const uint32_t perSplit = clusterRows * cols;
    const TileAt at = tileAt(index % perSplit, clusterRows, cols, group);
    Work work;
    work.row = int(at.row * cluster + rank) * tileM;
    work.col = int(at.col) * tileN;
    work.split = index / perSplit % splits;
    work.batch = index / perSplit / splits;
    work.begin = partOf(steps, work.split, splits);
    work.end = partOf(steps, work.split + 1, splits);
    return work;
  }
  __device__ bool byBoxes(const Work&, int) const { return boxes; }
  __device__ uint32_t outBatch(const Work& work) const { return work.batch; }
  __device__ Within within(const Finish& finish, const Work&) const { return {finish.M, 0}; }
};

namespace {

template <class T, bool aAlongK, bool bAlongK, int tileN>
__global__ __launch_bounds__(threads, 1) void matmulHopper(const __grid_constant__ Maps maps,
                                                           const __grid_constant__ DenseSchedule s,
                                                           const __grid_constant__ Finish finish) {
#ifdef HOPPER
  hopper::multiply<T, aAlongK, bAlongK, tileN>(maps, s, finish);
#else
  __trap();
#endif
}

template <class T, bool aAlongK, bool bAlongK, int tileN>
bool start(Device& device, const Product& p, const Finish& finish, const MatmulPlan& plan) {
  const auto kernel = matmulHopper<T, aAlongK, bAlongK, tileN>;
  if (!startsWith(reinterpret_cast<const void*>(kernel), ptx::registersAtStart)) return false;
  Maps maps{};
  DenseSchedule s{};
  for (int i = 0; i < p.termCount; i++) {
    const Term& term = p.terms[i];
    const BoxedMatrix a = boxed(term.a, p.batches, aAlongK, p.M, term.K),
                      b = boxed(term.b, p.batches, !bAlongK, term.K, p.N);
    maps.a[i] = tensorMap(a, 64);
    maps.b[i] = tensorMap(b, 64);
    s.batchedA[i] = a.batches > 1;
    s.batchedB[i] = b.batches > 1;
  }
  s.boxes = plan.splits == 1 && finish.leavesByBoxes(p.terms[0].a.dtype);
  if (s.boxes) maps.out = tensorMap(boxed(finish.out, p.batches, true, p.M, p.N), 64);
  s.cluster = uint32_t(plan.cluster);
  s.clusterRows = uint32_t(ceilDiv(p.M, tileM * plan.cluster));
  s.cols = uint32_t(ceilDiv(p.N, tileN));
  s.batches = uint32_t(p.batches.count);
  s.splits = uint32_t(plan.splits);
  s.firstSteps = uint32_t(ceilDiv(p.terms[0].K, depth));
  s.steps = s.firstSteps + (p.termCount > 1 ? uint32_t(ceilDiv(p.terms[1].K, depth)) : 0);
  launch(device, kernel,
         {.blocks = blocksFor(device, s.tiles(), s.cluster),
          .threads = dim3(threads),
          .shared = sharedBytes(tileN),
          .cluster = s.cluster},
         maps, s, finish);
  return true;
}

template <class T, int tileN>
bool start(Device& device, const Product& p, const Finish& finish, const MatmulPlan& plan) {
  const bool aAlongK = p.terms[0].a.colStride == 1, bAlongK = p.terms[0].b.rowStride == 1;
  if (aAlongK && bAlongK) return start<T, true, true, tileN>(device, p, finish, plan);
  if (aAlongK) return start<T, true, false, tileN>(device, p, finish, plan);
  if (bAlongK) return start<T, false, true, tileN>(device, p, finish, plan);
  return start<T, false, false, tileN>(device, p, finish, plan);
}

template <class T>
bool start(Device& device, const Product& p, const Finish& finish, const MatmulPlan& plan) {
  return plan.tileN == 256 ? start<T, 256>(device, p, finish, plan) : start<T, 128>(device, p, finish, plan);
}

}  // namespace

bool multiplyHopper(Device& device, const Product& product, const Finish& finish, const MatmulPlan& plan) {
  if (product.terms[0].a.dtype == DType::bf16) return start<bf16>(device, product, finish, plan);
  return start<f16>(device, product, finish, plan);
}

// A tensor map has no stride of 0: rows that repeat are left to mma.sync.
bool suitsHopper(const Product& p) {
  if (p.batches.axes > 1 || p.terms[0].K == 0) return false;
  for (int i = 0; i < p.termCount; i++) {
    const Term& term = p.terms[i];
    if ((p.M > 1 && term.a.rowStride == 0) || (p.N > 1 && term.b.colStride == 0)) return false;
    if (term.K > 1 && (term.a.colStride == 0 || term.b.rowStride == 0)) return false;
  }
  return true;
}

}  // namespace cuda
