// Warp operations, barriers, and the reports of what kernels must not do.
#include <algorithm>
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
    int results[] = {
        __shfl_xor_sync(all, lane, 5), __shfl_up_sync(all, lane, 3),           __shfl_down_sync(all, lane, 3),
        __shfl_sync(all, lane, 7, 16), int(__ballot_sync(all, lane % 3 == 0)), int(__match_any_sync(all, lane / 8)),
        __reduce_add_sync(all, lane)};
    for (int i = 0; i < 7; i++) to[i * 32 + lane] = results[i];
  });
  if (!problem.empty()) return problem;
  const auto got = out.values();
  unsigned thirds = 0;
  for (int lane = 0; lane < 32; lane += 3) thirds |= 1u << lane;
  for (int lane = 0; lane < 32; lane++) {
    const int expected[] = {lane ^ 5,
                            lane < 3 ? lane : lane - 3,
                            lane > 28 ? lane : lane + 3,
                            (lane & 16) | 7,
                            int(thirds),
                            int(0xffu << lane / 8 * 8),
                            496};
    for (int i = 0; i < 7; i++)
      if (got[size_t(i * 32 + lane)] != expected[i])
        return "operation " + std::to_string(i) + " of lane " + std::to_string(lane) + " gives " +
               std::to_string(got[size_t(i * 32 + lane)]);
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

// A sum over the block through shared memory, twice, as in native/cuda/tools/reduce.cuh. Without the first barrier a
// warp may overwrite what a slower one still has to read.
std::string blockSums(bool hasBarrier) {
  Buffer<float> out(2 * 128);
  const std::string problem = runKernel({1, 128, 128}, [=, to = out.get()] {
    float* room = reinterpret_cast<float*>(ptx::sharedMemory());
    const unsigned warp = threadIdx.x / 32, lane = threadIdx.x % 32;
    for (unsigned round = 0; round < 2; round++) {
      float sum = float(threadIdx.x + round);
      for (int step = 16; step > 0; step /= 2) sum += __shfl_xor_sync(~0u, sum, step);
      if (hasBarrier) __syncthreads();
      if (lane == 0) room[warp] = sum;
      __syncthreads();
      to[128 * round + threadIdx.x] = room[0] + room[1] + room[2] + room[3];
    }
  });
  if (!problem.empty()) return problem;
  std::vector<float> expected(2 * 128, 8128);
  std::fill(expected.begin() + 128, expected.end(), 8128 + 128);
  return compare(out.values(), expected, 0);
}

// A dependent launch: it may start before the kernel that writes its input has ended.
std::string dependent(bool inTurn, bool all) {
  Buffer<float> from(std::vector<float>(64, 3)), out(64);
  const std::string problem = runKernel({1, 64, 0, 1, true}, [=, x = from.get(), to = out.get()] {
    const float early = inTurn ? 0 : x[threadIdx.x];
    if (all || threadIdx.x < 63) ptx::takeTurn();
    else return;
    to[threadIdx.x] = x[threadIdx.x] + early;
  });
  if (!problem.empty()) return problem;
  return compare(out.values(), std::vector<float>(64, 3), 0);
}

// Each block of a cluster arrives at the barriers of both; a phase ends when both have.
std::string remoteArrivals() {
  Buffer<int> out(2);
  const std::string problem = runKernel({2, 32, 64, 2}, [to = out.get()] {
    const uint32_t at = ptx::sharedAddress(ptx::sharedMemory());
    if (threadIdx.x == 0) {
      ptx::initBarrier(at, 4);
      ptx::publishBarriers();
    }
    ptx::clusterSync();
    if (threadIdx.x < 2) ptx::arriveAt(at, threadIdx.x);
    else if (threadIdx.x < 4) ptx::arriveAt(at, threadIdx.x - 2);
    ptx::wait(at, 0);
    if (threadIdx.x == 0) to[ptx::clusterRank()] = 1;
    ptx::clusterSync();
  });
  if (!problem.empty()) return problem;
  return out.values() == std::vector<int>{1, 1} ? "" : "a block did not get its arrivals";
}

}  // namespace

std::vector<Check> warpChecks() {
  return {
      {"warp shuffles and votes", shuffles},
      {"warp halves apart", halves},
      {"warp atomics over blocks", atomics},
      {"cluster arrivals from afar", remoteArrivals},
      {"block sums", [] { return blockSums(true); }},
      {"block of a dependent launch", [] { return dependent(true, true); }},
      {"block bug: memory is read before its turn", [] { return dependent(false, true); }},
      {"block bug: a thread ends without its turn", [] { return dependent(true, false); }},
      {"block bug: no barrier between two uses of a sum's room", [] { return blockSums(false); }},
      {"report an arrival at a block that has ended",
       [] {
         return mustFail(
             {2, 32, 64, 2},
             [] {
               const uint32_t at = ptx::sharedAddress(ptx::sharedMemory());
               if (threadIdx.x == 0) ptx::initBarrier(at, 1);
               ptx::clusterSync();
               if (ptx::clusterRank() == 1) return;
               __nanosleep(0);
               for (int i = 0; i < 1000; i++) __nanosleep(0);
               if (threadIdx.x == 0) ptx::arriveAt(at, 1);
             },
             "block (1, 0, 0) of the cluster has ended");
       }},
      {"report an arrival at a block that the cluster lacks",
       [] {
         return mustFail(
             {2, 32, 64, 2}, [] { ptx::arriveAt(ptx::sharedAddress(ptx::sharedMemory()), 2); },
             "has no block of rank 2");
       }},
      {"report masks that overlap and differ",
       [] {
         return mustFail(
             {1, 32}, [] { __syncwarp(threadIdx.x < 16 ? 0x1ffffu : 0xffff8000u); }, "the warp diverged: the mask is");
       }},
      {"report more registers than a block has",
       [] {
         return mustFail(
             {1, 384},
             [] {
               if (threadIdx.x < 128) ptx::giveRegisters<40>();
               else ptx::takeRegisters<240>();
             },
             "registers, and there are 64512");
       }},
      {"report registers that are given where they are taken",
       [] {
         return mustFail(
             {1, 384}, [] { ptx::giveRegisters<176>(); }, "gives registers to have 176 of each thread, and it has 168");
       }},
      {"registers within the block's",
       [] {
         return runKernel({1, 384}, [] {
           if (threadIdx.x < 128) ptx::giveRegisters<40>();
           else ptx::takeRegisters<232>();
         });
       }},
      {"report deadlock of a barrier",
       [] {
         return mustFail(
             {1, 64},
             [] {
               if (threadIdx.x < 32) ptx::barrierSync(3, 64);
             },
             "deadlock: block (0, 0, 0), warp 0 waits for barrier 3 of 64 threads");
       }},
      {"report deadlock of an mbarrier",
       [] {
         return mustFail(
             {1, 32, 64},
             [] {
               const uint32_t at = ptx::sharedAddress(ptx::sharedMemory());
               if (threadIdx.x == 0) ptx::initBarrier(at, 2);
               __syncwarp();
               if (threadIdx.x == 5) ptx::arrive(at);
               ptx::wait(at, 0);
             },
             "the mbarrier at byte 0, phase of parity 0");
       }},
      {"report other operations in one warp",
       [] {
         return mustFail(
             {1, 32},
             [] {
               if (threadIdx.x < 7) __syncwarp();
               else __shfl_xor_sync(0xffffffffu, 1, 1);
             },
             "diverged");
       }},
      {"report a lane outside of its mask",
       [] {
         return mustFail(
             {1, 32}, [] { __ballot_sync(0xffffu, 1); }, "not in its mask");
       }},
      {"report shared memory out of bounds",
       [] {
         return mustFail(
             {1, 1, 64}, [] { ptx::copyAsync(ptx::sharedAddress(ptx::sharedMemory()) + 64, nullptr, 0); }, "outside");
       }},
      {"report a misaligned shared address",
       [] {
         return mustFail(
             {1, 1, 64}, [] { ptx::copyAsync(ptx::sharedAddress(ptx::sharedMemory()) + 8, nullptr, 0); }, "aligned");
       }},
      {"report a plain write past shared memory",
       [] {
         return mustFail(
             {1, 1, 64}, [] { *static_cast<volatile char*>(ptx::sharedMemory() + 64) = 1; }, "past the end");
       }},
      {"report memory that is not mapped",
       [] {
         return mustFail(
             {3, 64}, [] { *reinterpret_cast<volatile int*>(uintptr_t(0x10000000)) = int(threadIdx.x); }, "not mapped");
       }},
      {"report a race of warps in shared memory",
       [] {
         return mustFail(
             {1, 64, 1024},
             [] {
               uint32_t r[4] = {1, 2, 3, 4};
               const uint32_t at = ptx::sharedAddress(ptx::sharedMemory()) + threadIdx.x % 32 * 16;
               if (threadIdx.x < 32) ptx::storeMatrices(at, r);
               else ptx::loadMatrices(r, at);
             },
             "race");
       }},
  };
}

}  // namespace selftest
