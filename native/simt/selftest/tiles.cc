// An sm_80 matrix product (cp.async in two stages, ldmatrix, mma), right and with seeded bugs.
#include "check.h"

namespace selftest {
namespace {

enum class Bug { none, noBarrierAfterWait, waitsForTooFew, noBarrierAtLoopEnd, divergentShuffle };

constexpr int M = 64, N = 64, K = 160;
constexpr uint32_t pitch = 80;  // bytes of a row of 32 elements, 16 of them padding
constexpr uint32_t tile = 64 * pitch;

// c [M, N] = a [M, K] · b [N, K]ᵀ by one block of four warps, each for a quarter of the tile.
void multiply(float* c, const bf16* a, const bf16* b, Bug bug) {
  const uint32_t t = threadIdx.x, warp = t / 32, lane = t % 32, base = ptx::sharedAddress(ptx::sharedMemory());
  float sums[2][4][4] = {};
  const auto load = [&](uint32_t stage, int k) {
    for (uint32_t i = t; i < 64 * 4; i += 128) {
      const uint32_t row = i / 4, column = i % 4 * 8, to = base + stage * 2 * tile + row * pitch + column * 2;
      ptx::copyAsync(to, a + row * K + k + column);
      ptx::copyAsync(to + tile, b + row * K + k + column);
    }
    ptx::commitCopies();
  };
  load(0, 0);
  for (int step = 0; step < K / 32; step++) {
    const uint32_t stage = uint32_t(step) & 1;
    if (step + 1 < K / 32) load(stage ^ 1, (step + 1) * 32);
    else ptx::commitCopies();
    if (bug == Bug::waitsForTooFew) ptx::waitCopies<2>();
    else ptx::waitCopies<1>();
    if (bug != Bug::noBarrierAfterWait) __syncthreads();
    for (uint32_t k = 0; k < 32; k += 16) {
      uint32_t left[2][4], right[2][4];
      for (uint32_t i = 0; i < 2; i++) {
        const uint32_t row = warp / 2 * 32 + i * 16 + (lane & 15), column = k + (lane >> 4) * 8;
        ptx::loadMatrices(left[i], base + stage * 2 * tile + row * pitch + column * 2);
        const uint32_t n = warp % 2 * 32 + i * 16 + (lane & 7) + (lane >> 4 << 3), depth = k + (lane >> 3 & 1) * 8;
        ptx::loadMatrices(right[i], base + stage * 2 * tile + tile + n * pitch + depth * 2);
      }
      for (uint32_t i = 0; i < 2; i++)
        for (uint32_t j = 0; j < 4; j++) {
          const uint32_t pair[2] = {right[j / 2][j % 2 * 2], right[j / 2][j % 2 * 2 + 1]};
          ptx::mma<bf16>(sums[i][j], left[i], pair);
        }
    }
    if (bug != Bug::noBarrierAtLoopEnd) __syncthreads();
  }
  if (bug == Bug::divergentShuffle && lane < 16) sums[0][0][0] = __shfl_xor_sync(0xffffffffu, sums[0][0][0], 1);
  __syncwarp();
  for (uint32_t i = 0; i < 2; i++)
    for (uint32_t j = 0; j < 4; j++)
      for (uint32_t e = 0; e < 4; e++) {
        const uint32_t row = warp / 2 * 32 + i * 16 + lane / 4 + 8 * (e >> 1);
        c[row * N + warp % 2 * 32 + j * 8 + lane % 4 * 2 + (e & 1)] = sums[i][j][e];
      }
}

std::string run(Bug bug) {
  std::vector<bf16> left, right;
  for (uint32_t i = 0; i < M * K; i++) left.push_back(sampleBf16(i));
  for (uint32_t i = 0; i < N * K; i++) right.push_back(sampleBf16(i + 77777));
  Buffer<bf16> a(left), b(right);
  Buffer<float> c(M * N);
  const std::string problem =
      runKernel({1, 128, 4 * tile}, [=, to = c.get(), from = a.get(), by = b.get()] { multiply(to, from, by, bug); });
  if (!problem.empty()) return problem;
  std::vector<float> expected(M * N);
  for (uint32_t i = 0; i < M * N; i++)
    for (uint32_t k = 0; k < K; k++) expected[i] += float(left[i / N * K + k]) * float(right[i % N * K + k]);
  return compare(c.values(), expected, 1e-3f);
}

}  // namespace

std::vector<Check> tileChecks() {
  return {
      {"sm_80 product", [] { return run(Bug::none); }},
      {"sm_80 bug: no barrier after the wait for copies", [] { return run(Bug::noBarrierAfterWait); }},
      {"sm_80 bug: waits for one group of copies too few", [] { return run(Bug::waitsForTooFew); }},
      {"sm_80 bug: no barrier at the end of the loop", [] { return run(Bug::noBarrierAtLoopEnd); }},
      {"sm_80 bug: half of a warp shuffles with a mask of all", [] { return run(Bug::divergentShuffle); }},
  };
}

}  // namespace selftest
