// Decoding splits a sequence's keys over several blocks, which leave partial sums for combineSplits to join.
//
// How many splits there are follows from shapes alone, which keys a split has from the sequence's length: a recorded
// graph serves every length, and the order of the sums never changes.
#pragma once
#include "attention-forward.cuh"

namespace cuda {

constexpr int splitStep = 64;   // a split has a multiple of this many keys
constexpr int decodeRows = 16;  // rows of a sequence that decode together

// Split `split` of keys [range.first, range.end); empty once the keys run out.
__device__ inline KeyRange splitOf(KeyRange range, int splits, int split) {
  const int begin = range.first / splitStep * splitStep;
  const int each = ((range.end - begin + splits - 1) / splits + splitStep - 1) / splitStep * splitStep;
  return {greatest(range.first, begin + split * each), least(range.end, begin + (split + 1) * each)};
}

struct Partials {
  float* sums = nullptr;    // [rows, splits, d]: Σ 2^(score - largest) · value
  float* stats = nullptr;   // [rows, splits, 2]: largest, as an exponent of 2, and Σ 2^(score - largest)
  int splits = 0;           // 0: a block does all keys and writes the result
  bool bySequence = false;  // decodeRows rows are kept for each sequence, else one for each token and head
  int kvHeads = 0;

  __device__ int64_t at(const Span& span, int kvHead, int group, int row, int split) const {
    const int64_t first = bySequence ? int64_t(span.sequence) * decodeRows : int64_t(span.token) * group;
    return ((first + row) * kvHeads + kvHead) * splits + split;
  }
};

// One warp per token and head: joins the splits of what was decoded, and clears what has no keys.
constexpr int combineWarps = 8;
static __global__ void combineSplits(Forward p, Partials partials, Sink out) {
  ptx::takeTurn();
  const int heads = p.group * partials.kvHeads, lane = int(threadIdx.x) % 32;
  const int token = int(blockIdx.x), head = int(blockIdx.y) * combineWarps + int(threadIdx.x) / 32,
            kvHead = head / p.group;
  if (head >= heads) return;
  const Span span = p.sequences.spanOf(token);
  const int row = (token - span.token) * p.group + head % p.group;
  const int64_t to = int64_t(token) * p.outStrides.token + head * p.outStrides.head;
  if (span.keys <= 0) {
    for (int i = lane; i < p.d; i += 32) out.store(to + i, 0);
    if (p.lse != nullptr && lane == 0) p.lse[int64_t(head) * p.sequences.tokens + token] = -INFINITY;
    return;
  }
  if (partials.bySequence && span.queries * p.group > decodeRows) return;
  const KeyRange range = p.scoring.some(span, 0, span.queries - 1);
  int splits = 0;
  while (splits < partials.splits) {
    const KeyRange part = splitOf(range, partials.splits, splits);
    if (part.first >= part.end) break;
    splits++;
  }
  const float* stats = partials.stats + partials.at(span, kvHead, p.group, row, 0) * 2;
  const float* sums = partials.sums + partials.at(span, kvHead, p.group, row, 0) * p.d;
  float most = -INFINITY;
  for (int s = 0; s < splits; s++) most = fmaxf(most, stats[2 * s]);
  const float shift = most == -INFINITY ? 0 : most;
  float total = 0;
  for (int s = 0; s < splits; s++) total += stats[2 * s + 1] * ptx::exp2(stats[2 * s] - shift);
  if (p.lse != nullptr && lane == 0)
    p.lse[int64_t(head) * p.sequences.tokens + token] = total == 0 ? -INFINITY : most * ln2 + logf(total);
  const float factor = total == 0 ? 0 : 1 / total;
  for (int i = lane; i < p.d; i += 32) {
    float sum = 0;
#pragma unroll 4
    for (int s = 0; s < splits; s++) sum += sums[int64_t(s) * p.d + i] * ptx::exp2(stats[2 * s] - shift);
    out.store(to + i, sum * factor);
  }
}

inline void combine(Device& device, const Forward& p, const Partials& partials, const View& out) {
  const Grid grid{.blocks = dim3(unsigned(out.dim(0)), unsigned(ceilDiv(out.dim(1), combineWarps))),
                  .threads = dim3(32 * combineWarps),
                  .overlaps = true};
  launch(device, combineSplits, grid, p, partials, Sink(out));
}

}  // namespace cuda
