// Which kernel a matrix product gets, for shapes that models have.
#include <algorithm>
#include "../../cuda/products/matmul-plan.h"
#include "check.h"

namespace selftest {
namespace {

using cuda::MatmulKernel;

cuda::MatmulShape weightProduct(int64_t M, int64_t N, int64_t K) {
  return {.M = M,
          .N = N,
          .K = K,
          .bytesA = 2,
          .bytesB = 2,
          .bytesOut = 2,
          .tensor = true,
          .streams = true,
          .alongK = true,
          .hopper = true};
}

// Rows that are shared out among the experts of a mixture.
cuda::MatmulShape groupedProduct(int64_t rows, int64_t groups, int64_t N, int64_t K) {
  cuda::MatmulShape shape = weightProduct(rows, N, K);
  shape.groups = groups;
  return shape;
}

Check expects(const std::string& name, cuda::MatmulShape shape, int capability,
              std::function<bool(const cuda::MatmulPlan&)> right) {
  return {"plan: " + name, [=]() -> std::string {
            const bool hopper = capability == 90;
            const cuda::MatmulPlan plan =
                cuda::planMatmul(shape, {capability, hopper, hopper ? 132 : 108, hopper ? 12.0 : 10.0});
            if (right(plan)) return "";
            return "kernel " + std::to_string(int(plan.kernel)) + ", tile " + std::to_string(plan.tileM) + " x " +
                   std::to_string(plan.tileN) + ", " + std::to_string(plan.splits) + " splits, " +
                   std::to_string(plan.warps) + " warps, cluster " + std::to_string(plan.cluster);
          }};
}

// Bytes of weights that a processor of an H100 has under way, as the plan's model counts them.
double underWay(const cuda::MatmulPlan& plan, int64_t rows, int64_t cols) {
  const double blocks =
      double((rows + plan.tileM - 1) / plan.tileM * ((cols + plan.tileN - 1) / plan.tileN) * plan.splits);
  const bool hopper = plan.kernel == MatmulKernel::hopper;
  const int ahead = hopper             ? (plan.tileN == 256 ? 192 : 320)
                    : plan.tileM == 64 ? 96
                                       : 64,
            resident = hopper             ? 1
                       : plan.tileM == 64 ? 4
                                          : 2;
  return std::min(blocks / 132, double(resident)) * ahead * plan.tileN * 2;
}

}  // namespace

std::vector<Check> planChecks() {
  cuda::MatmulShape floats = weightProduct(4096, 4096, 4096);
  floats.tensor = floats.hopper = false;
  cuda::MatmulShape awkward = weightProduct(4096, 4096, 4096);
  awkward.hopper = false;
  return {
      expects("large products on sm_90 take wgmma's largest tile in clusters of two", weightProduct(8192, 8192, 8192),
              90,
              [](auto& p) {
                return p.kernel == MatmulKernel::hopper && p.tileN == 256 && p.cluster == 2 && p.splits == 1;
              }),
      expects("large products on sm_80 take the large tile", weightProduct(8192, 8192, 8192), 80,
              [](auto& p) { return p.kernel == MatmulKernel::tiles && p.tileM == 128 && p.splits == 1; }),
      expects("operands that TMA does not take go to mma.sync on sm_90", awkward, 90,
              [](auto& p) { return p.kernel == MatmulKernel::tiles; }),
      expects("sm_120 has no wgmma", weightProduct(8192, 8192, 8192), 120,
              [](auto& p) { return p.kernel == MatmulKernel::tiles; }),
      expects("f32 takes no tensor core", floats, 90, [](auto& p) { return p.kernel == MatmulKernel::floats; }),
      expects("one row streams the weights", weightProduct(1, 4096, 4096), 90,
              [](auto& p) { return p.kernel == MatmulKernel::vectors; }),
      expects("eight rows too", weightProduct(8, 14336, 4096), 90,
              [](auto& p) { return p.kernel == MatmulKernel::vectors; }),
      expects("nine rows do not", weightProduct(9, 14336, 4096), 90,
              [](auto& p) { return p.kernel != MatmulKernel::vectors; }),
      expects("few columns share K among the warps of a block", weightProduct(1, 1024, 8192), 90,
              [](auto& p) { return p.kernel == MatmulKernel::vectors && p.warps > 1; }),
      expects("a small result with a long K is split", weightProduct(64, 128, 16384), 90,
              [](auto& p) { return p.splits > 1; }),
      // A weight of 4096 x 4096 has 64 columns of tiles for 132 processors: without splits half of them would idle.
      expects("sixteen rows of a small weight keep memory busy", weightProduct(16, 4096, 4096), 90,
              [](auto& p) { return p.splits > 1 && underWay(p, 16, 4096) >= 20e3; }),
      expects("thirty-two rows of a long weight too", weightProduct(32, 4096, 14336), 90,
              [](auto& p) { return underWay(p, 32, 4096) >= 20e3; }),
      expects("wide weights have blocks enough", weightProduct(32, 28672, 4096), 90,
              [](auto& p) { return p.splits <= 2 && underWay(p, 32, 28672) >= 20e3; }),
      expects("a token's experts have a row each", groupedProduct(8, 128, 1536, 2048), 90,
              [](auto& p) { return p.kernel == MatmulKernel::vectors && p.tileM == 1; }),
      expects("experts of several tokens read their matrix for some rows at once", groupedProduct(256, 128, 1536, 2048),
              90, [](auto& p) { return p.kernel == MatmulKernel::vectors && p.tileM == 4; }),
      expects("experts with more rows than that take tensor cores", groupedProduct(1024, 128, 1536, 2048), 90,
              [](auto& p) { return p.kernel == MatmulKernel::tiles && p.tileM == 64 && p.splits == 1; }),
      expects("experts of a long prompt take wgmma", groupedProduct(32768, 128, 1536, 2048), 90,
              [](auto& p) { return p.kernel == MatmulKernel::hopper && p.cluster == 1 && p.splits == 1; }),
      expects("large experts take it in clusters", groupedProduct(32768, 8, 28672, 4096), 90,
              [](auto& p) { return p.kernel == MatmulKernel::hopper && p.tileN == 256 && p.cluster == 2; }),
      expects("experts of a long prompt take the large tile on sm_80", groupedProduct(32768, 128, 1536, 2048), 80,
              [](auto& p) { return p.kernel == MatmulKernel::tiles && p.tileM == 128; }),
      expects("an empty K is planned", weightProduct(64, 64, 0), 90, [](auto& p) { return p.splits == 1; }),
  };
}

}  // namespace selftest
