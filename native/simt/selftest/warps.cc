// Warp operations, barriers, and the reports of what kernels must not do.
#include "check.h"

namespace selftest {
namespace {

// "" if the kernel fails with a sentence that has `part` in it.
std::string mustFail(const simt::Shape& shape, std::function<void()> body, const std::string& part) {
  const std::string problem = runKernel(shape, std::move(body));
  if (problem.empty()) return "the kernel passed";
  return problem.find(part) == std::string::npos ? "the report lacks '" + part + "': " + problem : "";
}

std::string shuffles() {
  Buffer<int> out(7 * 32);
  const std::string problem = runKernel({1, 32}, [to = out.get()] {
    const int lane = int(threadIdx.x);
    constexpr unsigned all = 0xffffffffu;
    int results[] = {__shfl_xor_sync(all, lane, 5),        __shfl_up_sync(all, lane, 3),
                     __shfl_down_sync(all, lane, 3),       __shfl_sync(all, lane, 7, 16),
                     int(__ballot_sync(all, lane % 3 == 0)), int(__match_any_sync(all, lane / 8)),
                     __reduce_add_sync(all, lane)};
    for (int i = 0; i < 7; i++) to[i * 32 + lane] = results[i];
  });
  if (!problem.empty()) return problem;
  const auto got = out.values();
  unsigned thirds = 0;
  for (int lane = 0; lane < 32; lane += 3) thirds |= 1u << lane;
  for (int lane = 0; lane < 32; lane++) {
    const int expected[] = {lane ^ 5, lane < 3 ? lane : lane - 3, lane > 28 ? lane : lane + 3, (lane & 16) | 7, int(thirds),
                            int(0xffu << lane / 8 * 8), 496};
    for (int i = 0; i < 7; i++)
      if (got[size_t(i * 32 + lane)] != expected[i])
        return "operation " + std::to_string(i) + " of lane " + std::to_string(lane) + " gives " + std::to_string(got[size_t(i * 32 + lane)]);
  }
  return "";
}

std::string halves() {
  return runKernel({1, 32}, [] {
    const bool low = threadIdx.x < 16;
    const unsigned mask = low ? 0xffffu : 0xffff0000u;
    int sum = 1;
    for (int step = 8; step > 0; step /= 2) sum += __shfl_xor_sync(mask, sum, step);
    if (sum != 16) simt::fault("a half-warp sum is " + std::to_string(sum));
  });
}

std::string atomics() {
  Buffer<int> out(std::vector<int>(3, 0));
  const std::string problem = runKernel({40, 96}, [to = out.get()] {
    atomicAdd(to, 1);
    atomicMax(to + 1, int(blockIdx.x * 96 + threadIdx.x));
    if (__syncthreads_count(threadIdx.x % 2 == 0) != 48) atomicAdd(to + 2, 1);
  });
  if (!problem.empty()) return problem;
  const auto got = out.values();
  return got[0] == 40 * 96 && got[1] == 40 * 96 - 1 && got[2] == 0 ? "" : "the counts are wrong";
}

}  // namespace

std::vector<Check> warpChecks() {
  return {
      {"warp shuffles and votes", shuffles},
      {"warp halves apart", halves},
      {"warp atomics over blocks", atomics},
      {"report deadlock of a barrier", [] {
         return mustFail({1, 64}, [] { if (threadIdx.x < 32) ptx::barrierSync(3, 64); },
                         "deadlock: block (0, 0, 0), warp 0 waits for barrier 3 of 64 threads");
       }},
      {"report deadlock of an mbarrier", [] {
         return mustFail({1, 32, 64}, [] {
           const uint32_t at = ptx::sharedAddress(ptx::sharedMemory());
           if (threadIdx.x == 0) ptx::initBarrier(at, 2);
           __syncwarp();
           if (threadIdx.x == 5) ptx::arrive(at);
           ptx::wait(at, 0);
         }, "the mbarrier at byte 0, phase of parity 0");
       }},
      {"report other operations in one warp", [] {
         return mustFail({1, 32}, [] {
           if (threadIdx.x < 7) __syncwarp();
           else __shfl_xor_sync(0xffffffffu, 1, 1);
         }, "diverged");
       }},
      {"report a lane outside of its mask", [] {
         return mustFail({1, 32}, [] { __ballot_sync(0xffffu, 1); }, "not in its mask");
       }},
      {"report shared memory out of bounds", [] {
         return mustFail({1, 1, 64}, [] { ptx::copyAsync(ptx::sharedAddress(ptx::sharedMemory()) + 64, nullptr, 0); }, "outside");
       }},
      {"report a misaligned shared address", [] {
         return mustFail({1, 1, 64}, [] { ptx::copyAsync(ptx::sharedAddress(ptx::sharedMemory()) + 8, nullptr, 0); }, "aligned");
       }},
      {"report a plain write past shared memory", [] {
         return mustFail({1, 1, 64}, [] { *static_cast<volatile char*>(ptx::sharedMemory() + 64) = 1; }, "past the end");
       }},
      {"report memory that is not mapped", [] {
         return mustFail({3, 64}, [] { *reinterpret_cast<volatile int*>(uintptr_t(0x10000000)) = int(threadIdx.x); }, "not mapped");
       }},
      {"report a race of warps in shared memory", [] {
         return mustFail({1, 64, 1024}, [] {
           uint32_t r[4] = {1, 2, 3, 4};
           const uint32_t at = ptx::sharedAddress(ptx::sharedMemory()) + threadIdx.x % 32 * 16;
           if (threadIdx.x < 32) ptx::storeMatrices(at, r);
           else ptx::loadMatrices(r, at);
         }, "race");
       }},
  };
}

}  // namespace selftest
