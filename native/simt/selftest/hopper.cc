// An sm_90 matrix product (TMA into a ring of stages, wgmma, TMA store), right and with seeded bugs.
#include "check.h"

namespace selftest {
namespace {

enum class Bug {
  none,
  noEmptyWait,
  noFullWait,
  readsBeforeWait,
  wrongStride,
  halfTheBytes,
  noProxyFence,
  stagingReusedEarly,
  noProductFence
};

constexpr int M = 128, N = 192, K = 320, tileN = 64, stages = 2;
constexpr uint32_t boxA = 128 * 128, boxB = tileN * 128, stage = boxA + boxB, staging = stages * stage;
constexpr uint32_t stagingBytes = 128 * 32 * 4, barriers = staging + stagingBytes, sharedBytes = barriers + 16 * stages;

struct Maps {
  CUtensorMap a, b, c;
};

// c [M, N] = a [M, K] · b [N, K]ᵀ. Warpgroup 0 loads, 1 and 2 multiply 64 rows each; one block walks all tiles along N.
void multiply(const Maps& maps, Bug bug) {
  const uint32_t t = threadIdx.x, group = t / 128, base = ptx::sharedAddress(ptx::sharedMemory());
  const auto full = [=](uint32_t s) { return base + barriers + 8 * s; };
  const auto empty = [=](uint32_t s) { return base + barriers + 8 * (stages + s); };
  if (t == 0) {
    for (uint32_t s = 0; s < stages; s++) {
      ptx::initBarrier(full(s), 1);
      ptx::initBarrier(empty(s), 2);
    }
    ptx::publishBarriers();
  }
  __syncthreads();
  uint32_t turn = 0;
  if (group == 0) {
    if (t > 0) return;
    for (int tile = 0; tile < N / tileN; tile++)
      for (int k = 0; k < K; k += 64, turn++) {
        const uint32_t s = turn % stages, to = base + s * stage;
        if (bug != Bug::noEmptyWait) ptx::wait(empty(s), (turn / stages & 1) ^ 1);
        ptx::arriveExpecting(full(s), bug == Bug::halfTheBytes ? stage / 2 : stage);
        ptx::loadBox(to, &maps.a, k, 0, full(s));
        ptx::loadBox(to + boxA, &maps.b, k, tile * tileN, full(s));
      }
    return;
  }
  const uint32_t rows = (group - 1) * 64, warp = t % 128 / 32, lane = t % 32;
  for (int tile = 0; tile < N / tileN; tile++) {
    float d[tileN / 2];
    for (float& x : d) x = 0;
    for (int k = 0; k < K; k += 64, turn++) {
      const uint32_t s = turn % stages, from = base + s * stage;
      if (bug != Bug::noFullWait) ptx::wait(full(s), turn / stages & 1);
      if (bug != Bug::noProductFence) ptx::wgmmaFence();
      for (uint32_t step = 0; step < 4; step++) {
        const uint64_t a = ptx::matrixDescriptor(from + rows * 128 + step * 32, 16,
                                                 bug == Bug::wrongStride ? 512 : 1024, ptx::Swizzle::b128);
        const uint64_t b = ptx::matrixDescriptor(from + boxA + step * 32, 16, 1024, ptx::Swizzle::b128);
        ptx::wgmma<bf16, tileN, false, false>(d, a, b, true);
      }
      ptx::wgmmaCommit();
      if (bug == Bug::readsBeforeWait) ptx::wgmmaWait<1>();
      else ptx::wgmmaWait<0>();
      if (t % 128 == 0) ptx::arrive(empty(s));
    }
    auto* out = reinterpret_cast<float*>(ptx::sharedMemory() + staging);
    for (int half = 0; half < 2; half++) {
      if (bug != Bug::stagingReusedEarly && t == 128) ptx::waitStoresRead<0>();
      ptx::barrierSync(1, 256);
      for (uint32_t i = 0; i < 16; i++) {
        const uint32_t row = rows + 16 * warp + lane / 4 + 8 * (i >> 1 & 1);
        out[row * 32 + 8 * (i >> 2) + 2 * (lane % 4) + (i & 1)] = d[16 * half + int(i)];
      }
      if (bug != Bug::noProxyFence) ptx::fenceAsyncProxy();
      ptx::barrierSync(1, 256);
      if (t == 128) {
        ptx::storeBox(&maps.c, base + staging, tile * tileN + 32 * half, 0, 0);
        ptx::commitStores();
      }
    }
  }
  if (t == 128) ptx::waitStores<0>();
  if (bug == Bug::readsBeforeWait) ptx::wgmmaWait<0>();
}

std::string run(Bug bug) {
  std::vector<bf16> left, right;
  for (uint32_t i = 0; i < M * K; i++) left.push_back(sampleBf16(i));
  for (uint32_t i = 0; i < N * K; i++) right.push_back(sampleBf16(i + 77777));
  Buffer<bf16> a(left), b(right);
  Buffer<float> c(M * N);
  const Maps maps{
      encodeBf16(a.get(), {K, M}, {64, 128}, CU_TENSOR_MAP_SWIZZLE_128B),
      encodeBf16(b.get(), {K, N}, {64, tileN}, CU_TENSOR_MAP_SWIZZLE_128B),
      encodeBf16(c.get(), {N, M, 1}, {32, 128, 1}, CU_TENSOR_MAP_SWIZZLE_NONE, CU_TENSOR_MAP_DATA_TYPE_FLOAT32)};
  const std::string problem = runKernel({1, 384, sharedBytes}, [=] { multiply(maps, bug); });
  if (!problem.empty()) return problem;
  std::vector<float> expected(M * N);
  for (uint32_t i = 0; i < M * N; i++)
    for (uint32_t k = 0; k < K; k++) expected[i] += float(left[i / N * K + k]) * float(right[i % N * K + k]);
  return compare(c.values(), expected, 1e-3f);
}

}  // namespace

std::vector<Check> hopperChecks() {
  return {
      {"sm_90 product", [] { return run(Bug::none); }},
      {"sm_90 bug: the producer does not wait for empty stages", [] { return run(Bug::noEmptyWait); }},
      {"sm_90 bug: the consumers do not wait for full stages", [] { return run(Bug::noFullWait); }},
      {"sm_90 bug: accumulators are read before the wait", [] { return run(Bug::readsBeforeWait); }},
      {"sm_90 bug: a stride of 32 units, not 64", [] { return run(Bug::wrongStride); }},
      {"sm_90 bug: half of the bytes are expected", [] { return run(Bug::halfTheBytes); }},
      {"sm_90 bug: no proxy fence before the store", [] { return run(Bug::noProxyFence); }},
      {"sm_90 bug: staging is written before the store has read it", [] { return run(Bug::stagingReusedEarly); }},
      {"sm_90 bug: no wgmma fence", [] { return run(Bug::noProductFence); }},
  };
}

}  // namespace selftest
