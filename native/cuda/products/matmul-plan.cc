// The time of a product is the larger of what memory and what the busiest processor need; the plan with the least wins.
// The figures are estimates, from data sheets and from what others published. None was measured with these kernels yet.
#include "matmul-plan.h"
#include <algorithm>
#include <cmath>

namespace cuda {
namespace {

constexpr double mostRows = 8;         // of a matrix-vector product: beyond, tensor cores cost less than its FMAs
constexpr double mostGroupRows = 5;    // on average: some groups then have more than mostRows, and are read twice
constexpr double cacheRate = 40;       // bytes per cycle and processor from L2
constexpr double busyBytes = 20e3;     // that a processor must have under way to keep memory busy: rate times latency
constexpr double launchCycles = 3000;  // one more kernel in the stream

int64_t ceilDiv(int64_t a, int64_t b) { return (a + b - 1) / b; }

struct Candidate {
  MatmulKernel kernel;
  int tileM, tileN, cluster;
  double rate;   // multiply-adds per cycle and processor, of long products
  double fixed;  // cycles of a tile that no arithmetic hides: filling the pipeline, storing the sums
  int resident;  // blocks that share a processor: one's fixed cycles pass under the others' arithmetic
  int ahead;     // elements of K for which a block has loads under way
};

// sm_86 and sm_89 have half the tensor cores of sm_80; Hopper's mma.sync reaches about 62 % of wgmma's rate.
double syncRate(int capability) { return capability == 86 || capability == 89 ? 480 : capability == 90 ? 1100 : 900; }

// Matrices that the rows are multiplied with: of groups, as many as may be expected to have rows.
double matrices(const MatmulShape& s) {
  return s.groups > 0 ? s.groups * (1 - std::pow(1 - 1.0 / s.groups, double(s.M))) : 1;
}

// Rows of tiles. A group's last tile is half empty on average, but none has less than one.
double rowTiles(const MatmulShape& s, const Candidate& c) {
  if (s.groups == 0) return double(ceilDiv(s.M, c.tileM));
  return std::ceil(c.cluster * std::max(matrices(s), double(s.M) / (c.tileM * c.cluster) + matrices(s) / 2));
}

double cycles(const MatmulShape& s, const Candidate& c, int splits, const MatmulMachine& machine) {
  const double processors = machine.processors;
  const double blocks = rowTiles(s, c) * ceilDiv(s.N, c.tileN) * s.batch * splits;
  const double waves = std::ceil(blocks / processors), depth = double(ceilDiv(s.K, splits));
  const double arithmetic = depth * c.tileM * c.tileN / c.rate;
  const double operands = depth * (c.tileM * s.bytesA / c.cluster + c.tileN * s.bytesB) / cacheRate;
  const double busiest = waves * std::max(arithmetic, operands) + std::ceil(waves / c.resident) * c.fixed;

  const double bytes = double(s.batch) * (double(s.M) * s.K * s.bytesA + matrices(s) * s.K * s.N * s.bytesB +
                                          double(s.M) * s.N * s.bytesOut);
  const double underWay =
      std::min(blocks / processors, double(c.resident)) * std::min(double(c.ahead), depth) * c.tileN * s.bytesB;
  const double memory = bytes / (machine.memoryRate * processors) / std::min(1.0, underWay / busyBytes);

  double time = std::max(busiest, memory);
  if (splits > 1) time += launchCycles + 8.0 * splits * s.batch * s.M * s.N / (cacheRate * processors);
  return time;
}

// Rows that a block reads its weights for: more than there are leave lanes' registers idle, fewer read weights twice.
int rowsAtOnce(double rows) { return rows <= 1.2 ? 1 : rows <= 1.6 ? 2 : rows <= 3 ? 4 : 8; }

// Enough warps to keep the memory busy: the product's own columns first, then parts of K.
MatmulPlan planVectors(const MatmulShape& s, int processors) {
  MatmulPlan plan{.kernel = MatmulKernel::vectors};
  if (s.alongK) {
    if (s.groups > 0) plan.tileM = rowsAtOnce(s.M / matrices(s));
    const double groups = double(ceilDiv(s.N, 4)) * s.batch * matrices(s);
    while (plan.warps < 8 && groups * plan.warps < processors * 24 && s.K >= plan.warps * 512) plan.warps *= 2;
  } else {
    const int64_t blocks = ceilDiv(s.N, 64) * s.batch;
    while (plan.splits < 32 && blocks * plan.splits < processors * 3 && s.K >= plan.splits * 256) plan.splits *= 2;
  }
  return plan;
}

}  // namespace

MatmulPlan planMatmul(const MatmulShape& s, const MatmulMachine& machine) {
  if (s.K == 0) return {};
  const double rows = s.M / matrices(s);
  if (s.streams && rows <= (s.groups > 0 ? mostGroupRows : mostRows)) return planVectors(s, machine.processors);
  Candidate candidates[5];
  int count = 0;
  if (s.tensor) {
    const double rate = syncRate(machine.capability);
    const bool hopper = s.hopper && machine.hopper;
    // No Hopper GPU has so few processors: this is a test, and products of more than a small tile stand for large ones.
    const bool test = hopper && machine.processors <= 8 && s.M > 64 && s.N > 64;
    if (!test) {
      candidates[count++] = {MatmulKernel::tiles, 64, 64, 1, 0.6 * rate, 1200, 4, 96};
      candidates[count++] = {MatmulKernel::tiles, 128, 128, 1, rate, 2500, 2, 64};
    }
    if (hopper) {
      candidates[count++] = {MatmulKernel::hopper, 128, 128, 1, 1400, 2500, 1, 320};
      candidates[count++] = {MatmulKernel::hopper, 128, 256, rows > 128 ? 2 : 1, 1650, 4000, 1, 192};
      // Alone, a block reads b's tiles twice as often from L2, but wastes fewer rows behind a group's last one.
      if (s.groups > 0 && rows > 128) candidates[count++] = {MatmulKernel::hopper, 128, 256, 1, 1550, 4000, 1, 192};
    }
  } else {
    candidates[count++] = {MatmulKernel::floats, 64, 64, 1, machine.capability == 80 ? 48.0 : 90.0, 1200, 4, 16};
  }

  MatmulPlan best;
  double least = 0;
  for (int i = 0; i < count; i++) {
    for (int splits : {1, 2, 3, 4, 6, 8, 12, 16, 24, 32}) {
      if (splits > 1 && (s.whole || s.groups > 0 || s.K < int64_t(splits) * 128)) break;
      const double time = cycles(s, candidates[i], splits, machine);
      if (least != 0 && time >= least) continue;
      least = time;
      best = {.kernel = candidates[i].kernel,
              .tileM = candidates[i].tileM,
              .tileN = candidates[i].tileN,
              .splits = splits,
              .cluster = candidates[i].cluster};
    }
  }
  return best;
}

}  // namespace cuda
