// The paged key-value cache: appending to it, and attention over it.
//
//   kCache, vCache  [blocks, kvHeads, blockSize, d]   contiguous
//   slots           i32 [tokens]                      block · blockSize + place; negative ones are skipped
//   q, out          [tokens, heads, d]                q: token and head strided
//   boundaries      i32 [sequences + 1]               the new tokens of each sequence
//   blockTables     i32 [sequences, maxBlocks]        each sequence's blocks in order
//   lengths         i32 [sequences]                   keys of each sequence, the new tokens' own included
//
// A sequence with one new token streams its cache (attention-decode.h), in splits of a fixed number of keys: one task
// per split and key-value head, combined afterwards in order, so that the result does not depend on the number of
// threads. With more new tokens it goes through the tiles of attention-forward.h.
#include <algorithm>
#include <stdexcept>
#include <string>
#include <vector>
#include "../../kernels/paged.h"
#include "attention-decode.h"
#include "attention-forward.h"
#include "attention-spans.h"

namespace cpu::CPU_ISA {
namespace {

constexpr int64_t splitKeys = 512;  // some hundred KB of cache: the work of tens of microseconds
constexpr int64_t grain = 32768;    // elements of cache that are worth a thread

// Where rows lie in a cache.
struct Pages {
  int64_t kvHeads, blockSize, d, maxBlocks;
  const int32_t* tables;

  int64_t row(int64_t block, int64_t kvHead, int64_t place) const {
    return ((block * kvHeads + kvHead) * blockSize + place) * d;
  }
  // The offsets of `count` keys of a sequence, from `key` on.
  void find(int64_t sequence, int64_t kvHead, int64_t key, int64_t count, int64_t* rows) const {
    int64_t index = key / blockSize, place = key % blockSize;
    for (int64_t n = 0; n < count; index++, place = 0) {
      const int64_t first = row(tables[sequence * maxBlocks + index], kvHead, 0);
      for (; place < blockSize && n < count; place++) rows[n++] = first + place * d;
    }
  }
};

// Lengths and tables are data, which lib/ops cannot check: wrong ones would read outside the caches.
void checkPages(const View& kCache, const View& blockTables, const View& boundaries, const View& lengths) {
  const int64_t blocks = kCache.dim(0), blockSize = kCache.dim(2), maxBlocks = blockTables.dim(1);
  const int32_t *b = boundaries.data<int32_t>(), *length = lengths.data<int32_t>();
  for (int64_t s = 0; s < lengths.size(); s++) {
    if (length[s] <= 0 || b[s] == b[s + 1]) continue;
    const auto fail = [&](const std::string& what) {
      throw std::runtime_error("sequence " + std::to_string(s) + what);
    };
    if (length[s] < b[s + 1] - b[s])
      fail(" has " + std::to_string(b[s + 1] - b[s]) + " new tokens and a length of " + std::to_string(length[s]));
    if (length[s] > maxBlocks * blockSize)
      fail(" has " + std::to_string(length[s]) + " keys, its block table room for " +
           std::to_string(maxBlocks * blockSize));
    for (int64_t i = 0; i * blockSize < length[s]; i++)
      if (const int32_t block = blockTables.data<int32_t>()[s * maxBlocks + i]; block < 0 || block >= blocks)
        fail(" names block " + std::to_string(block) + " of a cache of " + std::to_string(blocks));
  }
}

// One thread's share of the work: a split of a decoding sequence, or a run of rows.
struct Task {
  const Span* span;
  int64_t sequence;
  int64_t from, cost;
  int64_t partial;  // the split's number among all splits, or -1 for a run
};

// The sequence's one query token, combined from its splits.
void combine(const View& out, const View& lse, const Span& span, int64_t kvHead, int group, int64_t d,
             const float* partials, int64_t splits, int64_t step, float* row) {
  for (int h = 0; h < group; h++) {
    float most = -INFINITY, total = 0;
    for (int64_t s = 0; s < splits; s++)
      most = std::max(most, PartialSoftmax((float*)partials + s * step, group).most[h]);
    std::memset(row, 0, size_t(paddedDim(d)) * 4);
    for (int64_t s = 0; s < splits; s++) {
      const PartialSoftmax part((float*)partials + s * step, group);
      const float factor = exp2(splat(part.most[h] - most))[0];
      total += part.total[h] * factor;
      for (int64_t k = 0; k < d; k += lanes)
        store(row + k, load(row + k) + load(part.sum + h * paddedDim(d) + k) * factor);
    }
    if (lse) lse.data<float>()[(kvHead * group + h) * lse.dim(1) + span.token] = most * ln2 + std::log(total);
    for (int64_t k = 0; k < d; k += lanes) store(row + k, load(row + k) * (1 / total));
    writeRow(out, span.token * out.stride(0) + (kvHead * group + h) * out.stride(1), row, d);
  }
}

}  // namespace

void pagedAppend(Device& device, Out kCache, Out vCache, In k, In v, In slots) {
  const Pages pages{kCache.dim(1), kCache.dim(2), kCache.dim(3), 0, nullptr};
  const int64_t tokens = slots.size(), room = kCache.dim(0) * pages.blockSize, d = pages.d;
  const int32_t* slot = slots.data<int32_t>();
  for (int64_t t = 0; t < tokens; t++)
    if (slot[t] >= room)
      throw std::runtime_error("slot " + std::to_string(slot[t]) + " of a cache of " + std::to_string(room));
  const Scratch<float> buffers(device.threads * d);
  device.parallelRanges(tokens, 8192 / (pages.kvHeads * d + 1) + 1, [&](int64_t begin, int64_t end, int thread) {
    float* buffer = buffers + thread * d;
    for (int64_t t = begin; t < end; t++) {
      if (slot[t] < 0) continue;
      for (int64_t head = 0; head < pages.kvHeads; head++) {
        const int64_t to = pages.row(slot[t] / pages.blockSize, head, slot[t] % pages.blockSize);
        writeRow(kCache, to, readRow(k, t * k.stride(0) + head * k.stride(1), d, buffer), d);
        writeRow(vCache, to, readRow(v, t * v.stride(0) + head * v.stride(1), d, buffer), d);
      }
    }
  });
}

void pagedAttention(Device& device, Out out, Out lse, In q, In kCache, In vCache, In blockTables, In boundaries,
                    In lengths, float scale, int window, float softcap) {
  const Pages pages{kCache.dim(1), kCache.dim(2), kCache.dim(3), blockTables.dim(1), blockTables.data<int32_t>()};
  const int64_t d = pages.d, stride = paddedDim(d), kvHeads = pages.kvHeads;
  const int group = int(q.dim(1) / kvHeads);
  if (q.size() == 0) return;
  const Scoring scoring{scale, true, window, softcap};
  checkBoundaries(boundaries, q.dim(0));
  checkPages(kCache, blockTables, boundaries, lengths);

  const int32_t *b = boundaries.data<int32_t>(), *length = lengths.data<int32_t>();
  std::vector<Span> spans;
  std::vector<int64_t> sequences;
  for (int64_t s = 0; s < lengths.size(); s++)
    if (b[s + 1] > b[s] && length[s] > 0) {
      spans.push_back({b[s], b[s + 1] - b[s], length[s]});
      sequences.push_back(s);
    }
  clearOutside(out, spans);
  if (lse) std::fill(lse.data<float>(), lse.data<float>() + lse.size(), -INFINITY);

  std::vector<Task> tasks;
  std::vector<int64_t> firstPartial(spans.size() + 1, 0);
  int64_t partialCount = 0, work = 0;
  bool runs = false;
  for (size_t i = 0; i < spans.size(); i++) {
    const Span& span = spans[i];
    firstPartial[i] = partialCount;
    if (span.queries == 1) {
      for (int64_t key = scoring.firstKey(span.keys - 1) / splitKeys * splitKeys; key < span.keys; key += splitKeys)
        tasks.push_back({&span, sequences[i], key, std::min(splitKeys, span.keys - key), partialCount++});
    } else {
      runs = true;
      for (int64_t row = 0; row < span.queries * group; row += runRows)
        tasks.push_back({&span, sequences[i], row, span.position(row / group) * runRows / group, -1});
    }
  }
  firstPartial[spans.size()] = partialCount;
  for (const Task& task : tasks) work += task.cost * kvHeads * d;
  std::stable_sort(tasks.begin(), tasks.end(), [](const Task& a, const Task& b) { return a.cost > b.cost; });

  const int64_t step = PartialSoftmax::size(group, d), perThread = group * stride + group * stepKeys;
  const Scratch<float> partials(partialCount * kvHeads * step), buffers(device.threads * perThread);
  const RunScratch scratch(runs ? device.threads : 0, d);
  const auto attend = [&](int64_t i, int thread) {
    const Task& task = tasks[i / kvHeads];
    const Span& span = *task.span;
    const int64_t kvHead = i % kvHeads;
    if (task.partial < 0) {
      attendRun(out, lse, q, scoring, span, kvHead, group, task.from,
                std::min<int64_t>(runRows, span.queries * group - task.from), scratch, thread,
                [&](int64_t key, int64_t count, float* keys, float* values) {
                  int64_t rows[tileKeys];
                  pages.find(task.sequence, kvHead, key, count, rows);
                  packRows(keys, kCache, d, count, [&](int64_t n) { return rows[n]; });
                  packRows(values, vCache, d, count, [&](int64_t n) { return rows[n]; });
                });
      return;
    }
    float* query = buffers + thread * perThread;
    float* scores = query + group * stride;
    packRows(query, q, d, group,
             [&](int64_t h) { return span.token * q.stride(0) + (kvHead * group + h) * q.stride(1); });
    for (int64_t k = 0; k < group * stride; k += lanes) store(query + k, load(query + k) * scoring.queryScale());
    const int64_t key = std::max(task.from, scoring.firstKey(span.keys - 1));
    const PartialSoftmax part(partials + (task.partial * kvHeads + kvHead) * step, group);
    visitFloat(kCache.dtype, [&](auto k) {
      visitFloat(vCache.dtype, [&](auto v) {
        streamKeys(
            part, kCache.data<decltype(k)>(), vCache.data<decltype(v)>(), query, group, d, softcap,
            std::min(task.from + splitKeys, span.keys) - key, scores,
            [&](int64_t n, int64_t some, int64_t* rows) { pages.find(task.sequence, kvHead, key + n, some, rows); });
      });
    });
  };
  const int64_t count = int64_t(tasks.size()) * kvHeads;
  if (work >= grain) device.parallelFor(count, attend);
  else
    for (int64_t i = 0; i < count; i++) attend(i, 0);

  device.parallelRanges(
      int64_t(spans.size()) * kvHeads, grain / (group * d) + 1, [&](int64_t begin, int64_t end, int thread) {
        for (int64_t i = begin; i < end; i++) {
          const int64_t span = i / kvHeads, kvHead = i % kvHeads, first = firstPartial[span],
                        splits = firstPartial[span + 1] - first;
          if (splits == 0) continue;
          combine(out, lse, spans[span], kvHead, group, d, partials + (first * kvHeads + kvHead) * step, splits,
                  kvHeads * step, buffers + thread * perThread);
        }
      });
}

}  // namespace cpu::CPU_ISA
