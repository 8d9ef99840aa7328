// wgmma in every layout of its operands: tiles are written by the formulas of the layouts, products compared with a sum.
#include "check.h"

namespace selftest {
namespace {

constexpr int n = 128, depth = 64;  // four instructions of 16

struct Layout {
  ptx::Swizzle swizzle;
  bool mnMajor;
  uint32_t span() const { return swizzle == ptx::Swizzle::none ? 16 : 256u >> int(swizzle); }
};

// Where element (mn, k) of a tile [rows][depth] lies, from the tile's start (a multiple of 1024).
uint32_t place(const Layout& layout, uint32_t rows, uint32_t mn, uint32_t k) {
  const uint32_t span = layout.span(), wide = span / 2;
  uint32_t offset;
  if (layout.swizzle == ptx::Swizzle::none && !layout.mnMajor)
    offset = mn / 8 * 128 + k / 8 * (rows * 16) + mn % 8 * 16 + k % 8 * 2;
  else if (layout.swizzle == ptx::Swizzle::none) offset = mn / 8 * 128 + k / 8 * (rows * 16) + k % 8 * 16 + mn % 8 * 2;
  else if (!layout.mnMajor) offset = k / wide * (rows * span) + mn * span + k % wide * 2;
  else offset = mn / wide * (depth * span) + k * span + mn % wide * 2;
  const uint32_t mask = span == 16 ? 0 : span / 16 - 1;
  return offset ^ ((offset >> 7 & mask) << 4);
}

// The descriptor of the 16 columns of k that begin at `k`.
uint64_t describe(const Layout& layout, uint32_t start, uint32_t rows, uint32_t k) {
  const uint32_t span = layout.span(), wide = span / 2;
  if (layout.swizzle == ptx::Swizzle::none)
    return ptx::matrixDescriptor(start + k / 8 * rows * 16, rows * 16, 128, layout.swizzle);
  if (!layout.mnMajor)
    return ptx::matrixDescriptor(start + k / wide * rows * span + k % wide * 2, 16, 8 * span, layout.swizzle);
  return ptx::matrixDescriptor(start + k * span, depth * span, 8 * span, layout.swizzle);
}

template <bool transposeA, bool transposeB>
std::string multiply(ptx::Swizzle swizzle, bool registers) {
  const Layout forA{swizzle, transposeA}, forB{swizzle, transposeB};
  Buffer<float> out(64 * n);
  const std::string problem = runKernel({1, 128, 64 * depth * 2 + n * depth * 2}, [=, to = out.get()] {
    const uint32_t t = threadIdx.x, warp = t / 32, g = t % 32 / 4, q = t % 4, startB = 64 * depth * 2;
    const uint32_t base = ptx::sharedAddress(ptx::sharedMemory());
    for (uint32_t i = t; i < 64 * depth; i += 128)
      *reinterpret_cast<bf16*>(ptx::sharedMemory() + place(forA, 64, i / depth, i % depth)) = sampleBf16(i);
    for (uint32_t i = t; i < n * depth; i += 128)
      *reinterpret_cast<bf16*>(ptx::sharedMemory() + startB + place(forB, n, i / depth, i % depth)) =
          sampleBf16(i + 9999);
    ptx::fenceAsyncProxy();
    __syncthreads();
    float d[n / 2];
    for (float& x : d) x = 7;
    uint32_t a[depth / 16][4];
    for (uint32_t step = 0; step < depth / 16; step++)
      for (uint32_t i = 0; i < 4; i++) {
        const uint32_t at = (16 * warp + g + 8 * (i & 1)) * depth + 16 * step + 2 * q + 8 * (i >> 1);
        a[step][i] = uint32_t(sampleBf16(at + 1).bits) << 16 | sampleBf16(at).bits;
      }
    ptx::wgmmaFence();
    for (uint32_t step = 0; step < depth / 16; step++) {
      const uint64_t b = describe(forB, base + startB, n, 16 * step);
      if (registers) ptx::wgmma<bf16, n, transposeB>(d, a[step], b, step > 0);
      else ptx::wgmma<bf16, n, transposeA, transposeB>(d, describe(forA, base, 64, 16 * step), b, step > 0);
    }
    ptx::wgmmaCommit();
    ptx::wgmmaWait<0>();
    for (uint32_t i = 0; i < n / 2; i++)
      to[(16 * warp + g + 8 * (i >> 1 & 1)) * n + 8 * (i >> 2) + 2 * q + (i & 1)] = d[i];
  });
  if (!problem.empty()) return problem;
  std::vector<float> expected(64 * n);
  for (uint32_t row = 0; row < 64; row++)
    for (uint32_t column = 0; column < n; column++)
      for (uint32_t k = 0; k < depth; k++)
        expected[row * n + column] += sample(row * depth + k) * sample(column * depth + k + 9999);
  return compare(out.values(), expected, 1e-5f);
}

}  // namespace

std::vector<Check> productChecks() {
  std::vector<Check> all;
  const char* names[] = {"none", "128B", "64B", "32B"};
  for (int i = 0; i < 4; i++) {
    const auto swizzle = ptx::Swizzle(i);
    const std::string name = std::string("wgmma ") + names[i];
    all.push_back({name + " A K-major, B K-major", [=] { return multiply<false, false>(swizzle, false); }});
    all.push_back({name + " A K-major, B N-major", [=] { return multiply<false, true>(swizzle, false); }});
    all.push_back({name + " A M-major, B K-major", [=] { return multiply<true, false>(swizzle, false); }});
    all.push_back({name + " A M-major, B N-major", [=] { return multiply<true, true>(swizzle, false); }});
    all.push_back({name + " A in registers, B K-major", [=] { return multiply<false, false>(swizzle, true); }});
    all.push_back({name + " A in registers, B N-major", [=] { return multiply<false, true>(swizzle, true); }});
  }
  return all;
}

}  // namespace selftest
