// The paged key-value cache: appending to it, and attention over it (native/cpu/attention/paged.cc).
//
// Sequences of at most 16 rows per key-value head decode, with their keys split over blocks; longer ones go through the
// tiles of the forward pass. Where every sequence can have one new token only, the second kernel is not even queued.
#include "../../kernels/paged.h"
#include "attention-float.cuh"
#include "paged-decode.cuh"

#include <algorithm>

namespace cuda {
namespace {

// One thread per eight channels of a row (or per channel, if rows have no such parts), for keys and values.
__global__ void appendRows(Sink kCache, Sink vCache, Source k, Source v, Strides kStrides, Strides vStrides,
                           const int32_t* slots, int tokens, int room, int kvHeads, int blockSize, int d, bool eights,
                           FaultNote note) {
  ptx::takeTurn();
  const int parts = eights ? d / 8 : d;
  const int64_t i = int64_t(blockIdx.x) * blockDim.x + threadIdx.x;
  if (i >= int64_t(tokens) * kvHeads * parts) return;
  const int part = int(i % parts), head = int(i / parts % kvHeads), token = int(i / parts / kvHeads),
            slot = slots[token];
  if (slot >= room) note(token, slot);
  if (slot < 0 || slot >= room) return;
  const int64_t to = ((int64_t(slot / blockSize) * kvHeads + head) * blockSize + slot % blockSize) * d;
  const int64_t fromK = token * kStrides.token + head * kStrides.head,
                fromV = token * vStrides.token + head * vStrides.head;
  if (eights) {
    float x[8];
    k.load8(fromK + 8 * part, x);
    kCache.store8(to + 8 * part, x);
    v.load8(fromV + 8 * part, x);
    vCache.store8(to + 8 * part, x);
  } else {
    kCache.store(to + part, k[fromK + part]);
    vCache.store(to + part, v[fromV + part]);
  }
}

// Enough blocks for three on every multiprocessor, if the longest sequence has that many steps.
int splitsFor(const Device& device, int64_t sequencesAndHeads, int64_t mostKeys) {
  const int64_t wanted = ceilDiv(3 * device.processors, std::max<int64_t>(1, sequencesAndHeads)),
                steps = ceilDiv(mostKeys, splitStep);
  return int(std::max<int64_t>(1, std::min<int64_t>({wanted, steps, 64})));
}

}  // namespace

void pagedAppend(Device& device, Out kCache, Out vCache, In k, In v, In slots) {
  const int tokens = int(slots.size()), kvHeads = int(kCache.dim(1)), blockSize = int(kCache.dim(2)),
            d = int(kCache.dim(3));
  const int room = int(kCache.dim(0)) * blockSize;
  const bool eights = inChunks(kCache) && inChunks(vCache) && inChunks(k) && inChunks(v);
  const int64_t threads = int64_t(tokens) * kvHeads * (eights ? d / 8 : d);
  const int block = int(std::min<int64_t>(256, ceilDiv(threads, 32) * 32));
  if (threads == 0) return;
  launch(device, appendRows,
         {.blocks = dim3(unsigned(ceilDiv(threads, block))), .threads = dim3(unsigned(block)), .overlaps = true},
         Sink(kCache), Sink(vCache), Source(k), Source(v), Strides(k), Strides(v), slots.data<int32_t>(), tokens, room,
         kvHeads, blockSize, d, eights, FaultNote{device.faults, Faults::pagedAppendSlot, room});
}

void pagedAttention(Device& device, Out out, Out lse, In q, In kCache, In vCache, In blockTables, In boundaries,
                    In lengths, float scale, int window, float softcap) {
  if (q.size() == 0) return;
  const int kvHeads = int(kCache.dim(1));
  const PagedKeys pages(kCache, blockTables, device.faults);
  Sequences sequences(boundaries, q.dim(0), {device.faults, Faults::pagedBoundary});
  sequences.lengths = lengths.data<int32_t>();
  sequences.mostKeys = pages.maxBlocks * pages.blockSize;
  Forward p(out, lse, q, kCache, vCache, sequences, Scoring(scale, true, window, softcap), kvHeads);
  const bool tiles = is16Bit(q.dtype) && kCache.dtype == q.dtype && vCache.dtype == q.dtype && p.d <= 256 &&
                     inChunks(out) && inChunks(q) && inChunks(kCache) && inChunks(vCache);
  const bool decodes = sequences.tokens <= sequences.count;

  Partials partials;
  partials.kvHeads = kvHeads;
  partials.bySequence = !decodes;
  if (!tiles && !decodes) return attendFloat(device, p, out, q, Rows(kCache), Rows(vCache), pages, partials);

  partials.splits = splitsFor(device, int64_t(sequences.count) * kvHeads, sequences.mostKeys);
  const int64_t rows = decodes ? q.dim(0) * q.dim(1) : int64_t(sequences.count) * decodeRows * kvHeads;
  const Scratch<float> sums(device, rows * partials.splits * p.d), stats(device, rows * partials.splits * 2);
  partials.sums = sums;
  partials.stats = stats;
  if (!tiles) attendFloat(device, p, out, q, Rows(kCache), Rows(vCache), pages, partials);
  else if (q.dtype == DType::bf16) decode<bf16>(device, p, pages, partials);
  else decode<f16>(device, p, pages, partials);
  combine(device, p, partials, out);
  if (decodes) return;
  p.leastRows = decodeRows + 1;
  if (q.dtype == DType::bf16) attendTiles<bf16>(device, p, pages);
  else attendTiles<f16>(device, p, pages);
}

}  // namespace cuda
