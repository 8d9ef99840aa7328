// Attention's forward pass on sm_90: TMA brings keys and values, wgmma multiplies.
//
// A block has one warpgroup that loads and two that own 64 rows each of one key-value head. Keys and values have two
// stages each with barriers of their own. While a warpgroup weighs the values of one tile, its product of the next one is
// already under way, and its softmax runs under the sum; the two warpgroups take turns in queueing products, so that one
// computes exponents while the other keeps the tensor cores busy. Probabilities go from the accumulators of one product to
// the left side of the next without leaving the registers. Tiles of keys come last to first.
#include "../device/tensormap.h"
#include "../tools/wgmma.cuh"
#include "attention-forward.cuh"

namespace cuda {
namespace {

constexpr int hopperRows = 128, hopperKeys = 128, stages = 2;

// Bytes from the start of shared memory. A tile is columns of 64 numbers, each of them rows of 128 bytes, swizzled.
template <int D>
struct Room {
  static constexpr uint32_t tile = hopperKeys * D * 2, key = hopperRows * D * 2, value = key + stages * tile,
                            barriers = value + stages * tile, settled = barriers + 4 * stages * 8,
                            bytes = settled + 256 * 4;
};

#ifdef HOPPER

__device__ __forceinline__ uint32_t placeOf(int row, int chunk) {
  return uint32_t(chunk / 8 * hopperRows * 128 + row * 128 + ((chunk % 8 ^ (row & 7)) << 4));
}

struct Barriers {
  uint32_t base;
  __device__ uint32_t keyFull(int stage) const { return base + 8 * stage; }
  __device__ uint32_t keyEmpty(int stage) const { return base + 8 * (stages + stage); }
  __device__ uint32_t valueFull(int stage) const { return base + 8 * (2 * stages + stage); }
  __device__ uint32_t valueEmpty(int stage) const { return base + 8 * (3 * stages + stage); }
};
__device__ __forceinline__ int stageOf(int tile) { return tile % stages; }
__device__ __forceinline__ uint32_t parityOf(int tile) { return uint32_t(tile / stages) & 1; }

// One thread loads tiles of keys and values as stages become free.
template <int D>
__device__ void load(const CUtensorMap* k, const CUtensorMap* v, uint32_t shared, const Barriers& barriers,
                     const Span& span, int kvHead, int lastTile, int tiles) {
  const auto bring = [&](const CUtensorMap* map, uint32_t to, uint32_t full, uint32_t empty, int j) {
    ptx::wait(empty, parityOf(j) ^ 1);
    ptx::arriveExpecting(full, Room<D>::tile);
    for (int c = 0; c < D / 64; c++)
      ptx::loadBox(to + uint32_t(stageOf(j)) * Room<D>::tile + uint32_t(c * hopperKeys * 128), map, 64 * c,
                   span.token + (lastTile - j) * hopperKeys, kvHead, full);
  };
  for (int j = 0; j < tiles; j++) {
    bring(k, shared + Room<D>::key, barriers.keyFull(stageOf(j)), barriers.keyEmpty(stageOf(j)), j);
    bring(v, shared + Room<D>::value, barriers.valueFull(stageOf(j)), barriers.valueEmpty(stageOf(j)), j);
  }
}

// Queues s = queries · keysᵀ for a warpgroup's 64 rows.
template <class T, int D>
__device__ __forceinline__ void queueScores(float (&s)[hopperKeys / 2], uint32_t queries, uint32_t keys) {
  ptx::wgmmaFence();
#pragma unroll
  for (int k = 0; k < D / 16; k++) {
    const uint32_t step = uint32_t(k / 4 * hopperRows * 128 + k % 4 * 32);
    ptx::wgmma<T, hopperKeys, false, false>(s, ptx::matrixDescriptor(queries + step, 16, 1024, ptx::Swizzle::b128),
                                            ptx::matrixDescriptor(keys + step, 16, 1024, ptx::Swizzle::b128), k > 0);
  }
  ptx::wgmmaCommit();
}
// Queues sum += weights · values.
template <class T, int D>
__device__ __forceinline__ void queueSum(float (&sum)[D / 2], const uint32_t (&weights)[hopperKeys / 16][4],
                                         uint32_t values) {
  ptx::wgmmaFence();
#pragma unroll
  for (int k = 0; k < hopperKeys / 16; k++)
    ptx::wgmma<T, D, true>(sum, weights[k],
                           ptx::matrixDescriptor(values + 2048 * k, hopperKeys * 128, 1024, ptx::Swizzle::b128), true);
  ptx::wgmmaCommit();
}

// The online softmax of a thread's two rows.
struct RowSoftmax {
  float most[2] = {-INFINITY, -INFINITY}, total[2] = {0, 0};

  // Turns scores into 2^(score - largest); earlier sums are to be multiplied by `factor`.
  __device__ __forceinline__ void take(float (&s)[hopperKeys / 2], float (&factor)[2], float exponent) {
#pragma unroll
    for (int h = 0; h < 2; h++) {
      float largest = most[h];
#pragma unroll
      for (int n = 0; n < hopperKeys / 8; n++) largest = fmaxf(largest, fmaxf(s[4 * n + 2 * h], s[4 * n + 2 * h + 1]));
      largest = quadReduce(largest, Larger{});
      // A row that has seen no key yet has the maximum -inf, and -inf - -inf is NaN.
      const float shift = largest == -INFINITY ? 0 : largest * exponent;
      factor[h] = ptx::exp2(most[h] * exponent - shift);
      most[h] = largest;
      float part = total[h] * factor[h];
#pragma unroll
      for (int n = 0; n < hopperKeys / 8; n++)
#pragma unroll
        for (int i = 2 * h; i < 2 * h + 2; i++) {
          s[4 * n + i] = ptx::exp2(s[4 * n + i] * exponent - shift);
          part += s[4 * n + i];
        }
      total[h] = part;
    }
  }
};

// A softcap, and -inf where a row does not see a key.
__device__ __forceinline__ void mask(float (&s)[hopperKeys / 2], const Scoring& scoring, const Span& span, int group,
                                     int row, int key, bool all) {
  const int lane = int(threadIdx.x) % 32;
  if (!scoring.plain()) {
#pragma unroll
    for (int i = 0; i < hopperKeys / 2; i++) s[i] = scoring.quickTransform(s[i]);
  }
  if (all) return;
#pragma unroll
  for (int h = 0; h < 2; h++) {
    const int position = span.position((row + 8 * h) / group);
    const int first = scoring.firstKey(position) - key - lane % 4 * 2,
              end = scoring.endKey(position, span.keys) - key - lane % 4 * 2;
#pragma unroll
    for (int n = 0; n < hopperKeys / 8; n++)
#pragma unroll
      for (int i = 0; i < 2; i++)
        if (8 * n + i < first || 8 * n + i >= end) s[4 * n + 2 * h + i] = -INFINITY;
  }
}

template <class T>
__device__ __forceinline__ void packWeights(uint32_t (&weights)[hopperKeys / 16][4], const float (&s)[hopperKeys / 2]) {
#pragma unroll
  for (int k = 0; k < hopperKeys / 16; k++)
#pragma unroll
    for (int i = 0; i < 4; i++) weights[k][i] = packPair<T>(s[8 * k + 2 * i], s[8 * k + 2 * i + 1]);
}

// One of the two warpgroups that own rows.
template <class T, int D>
__device__ void attend(const Forward& p, char* bytes, const Barriers& barriers, const Span& span, int kvHead, int row,
                       int lastTile, int tiles) {
  const int turn = ptx::warpgroup() - 1, thread = int(threadIdx.x) % 128, warp = thread / 32, lane = thread % 32;
  const uint32_t shared = ptx::sharedAddress(bytes), queries = shared + uint32_t(turn * 64 * 128),
                 settled = shared + Room<D>::settled + 4 * (threadIdx.x - 128);
  const int rows = span.queries * p.group, own = 16 * warp + lane / 4, firstRow = row + 64 * turn;
  const int lastRow = greatest(firstRow, least(firstRow + 64, rows) - 1);
  const bool leader = thread == 0;

  for (int i = thread; i < 64 * D / 8; i += 128) {
    const int r = i / (D / 8), chunk = i % (D / 8);
    const bool there = firstRow + r < rows && chunk * 8 < p.d;
    const T* from =
        static_cast<const T*>(p.q) + (there ? p.qStrides.row(span, kvHead, p.group, firstRow + r) + chunk * 8 : 0);
    ptx::copyAsync(queries + placeOf(r, chunk), from, there ? 16 : 0);
  }
  ptx::commitCopies();
  ptx::waitCopies<0>();
  ptx::fenceAsyncProxy();
  ptx::barrierSync(3 + turn, 128);

  const KeyRange all = p.scoring.all(span, firstRow / p.group, lastRow / p.group);
  const auto maskTile = [&](float(&s)[hopperKeys / 2], int j) {
    const int key = (lastTile - j) * hopperKeys;
    mask(s, p.scoring, span, p.group, firstRow + own, key, key >= all.first && key + hopperKeys <= all.end);
  };
  const auto keysOf = [&](int j) { return shared + Room<D>::key + uint32_t(stageOf(j)) * Room<D>::tile; };
  const auto valuesOf = [&](int j) { return shared + Room<D>::value + uint32_t(stageOf(j)) * Room<D>::tile; };

  float s[hopperKeys / 2], sum[D / 2], factor[2];
  uint32_t weights[hopperKeys / 16][4];
  RowSoftmax softmax;
#pragma unroll
  for (int i = 0; i < D / 2; i++) sum[i] = 0;

  ptx::wait(barriers.keyFull(0), 0);
  queueScores<T, D>(s, queries, keysOf(0));
  // Rows after the last key belong to other sequences and may hold NaN, and 0 · NaN is NaN. Each warpgroup clears every
  // other row.
  const int over = lastTile * hopperKeys + hopperKeys - span.keys;
  if (over > 0) {
    ptx::wait(barriers.valueFull(0), 0);
    for (int i = thread; i < over * (D / 8); i += 128) {
      const int n = hopperKeys - 1 - i / (D / 8);
      if (n % 2 == turn) *reinterpret_cast<uint4*>(bytes + Room<D>::value + placeOf(n, i % (D / 8))) = {0, 0, 0, 0};
    }
    ptx::fenceAsyncProxy();
    ptx::barrierSync(5, 256);
  }
  ptx::wgmmaWait<0>();
  if (leader) ptx::arrive(barriers.keyEmpty(0));
  maskTile(s, 0);
  softmax.take(s, factor, p.scoring.exponent);
  packWeights<T>(weights, s);

  if (turn == 1 && tiles > 1) ptx::barrierArrive(1, 256);
  for (int j = 1; j < tiles; j++) {
    ptx::wait(barriers.keyFull(stageOf(j)), parityOf(j));
    ptx::wait(barriers.valueFull(stageOf(j - 1)), parityOf(j - 1));
    ptx::barrierSync(1 + turn, 256);
    queueScores<T, D>(s, queries, keysOf(j));
    queueSum<T, D>(sum, weights, valuesOf(j - 1));
    if (turn == 0 || j + 1 < tiles) ptx::barrierArrive(2 - turn, 256);
    ptx::wgmmaWait<1>();
    if (leader) ptx::arrive(barriers.keyEmpty(stageOf(j)));
    maskTile(s, j);
    softmax.take(s, factor, p.scoring.exponent);
    ptx::settle(settled, softmax.total[0] + softmax.total[1]);  // the sum goes on under the exponents
    ptx::wgmmaWait<0>();
    if (leader) ptx::arrive(barriers.valueEmpty(stageOf(j - 1)));
#pragma unroll
    for (int i = 0; i < D / 2; i++) sum[i] *= factor[i / 2 % 2];
    packWeights<T>(weights, s);
  }
  ptx::wait(barriers.valueFull(stageOf(tiles - 1)), parityOf(tiles - 1));
  queueSum<T, D>(sum, weights, valuesOf(tiles - 1));
  ptx::wgmmaWait<0>();

#pragma unroll
  for (int h = 0; h < 2; h++) {
    const float total = quadReduce(softmax.total[h], Sum{});
    factor[h] = total == 0 ? 0 : 1 / total;
    const int r = firstRow + own + 8 * h;
    if (lane % 4 == 0 && r < rows)
      p.storeLse(span, kvHead, r, total == 0 ? -INFINITY : softmax.most[h] * p.scoring.exponent * ln2 + logf(total));
  }
  ptx::barrierSync(3 + turn, 128);  // no product reads the queries any more: their room takes the results
  char* results = bytes + turn * 64 * 128;
#pragma unroll
  for (int i = 0; i < D / 2; i += 2)
    *reinterpret_cast<uint32_t*>(results + placeOf(own + 8 * (i / 2 % 2), i / 4) + lane % 4 * 4) =
        packPair<T>(sum[i] * factor[i / 2 % 2], sum[i + 1] * factor[i / 2 % 2]);
  __syncwarp();
  for (int i = lane; i < 16 * D / 8; i += 32) {
    const int r = 16 * warp + i / (D / 8), chunk = i % (D / 8);
    if (firstRow + r < rows && chunk * 8 < p.d)
      *reinterpret_cast<uint4*>(static_cast<T*>(p.out) + p.outStrides.row(span, kvHead, p.group, firstRow + r) +
                                chunk * 8) = *reinterpret_cast<const uint4*>(results + placeOf(r, chunk));
  }
}

#endif

template <class T, int D>
__global__ void __launch_bounds__(384, 1)
    attentionHopper(Forward p, const __grid_constant__ CUtensorMap k, const __grid_constant__ CUtensorMap v) {
#ifdef HOPPER
  const BlockPlace place(p.kvHeads);
  const int kvHead = place.kvHead;
  if (blockIdx.x + 1 == gridDim.x) p.sequences.checkAll();
  Span span;
  int row;
  if (!p.sequences.find(place.fromLast(), p.group, hopperRows, span, row)) return;
  if (span.keys <= 0) return clearRows<T>(p, span, kvHead, row, hopperRows);
  const int lastRow = least(row + hopperRows, span.queries * p.group) - 1;
  const KeyRange some = p.scoring.some(span, row / p.group, lastRow / p.group);
  const int lastTile = (some.end - 1) / hopperKeys, tiles = lastTile - some.first / hopperKeys + 1;

  char* shared = ptx::sharedMemory();
  const Barriers barriers{ptx::sharedAddress(shared) + Room<D>::barriers};
  if (threadIdx.x == 0) {
    ptx::prefetchMap(&k);
    ptx::prefetchMap(&v);
    for (int s = 0; s < stages; s++) {
      ptx::initBarrier(barriers.keyFull(s), 1);
      ptx::initBarrier(barriers.valueFull(s), 1);
      ptx::initBarrier(barriers.keyEmpty(s), 2);
      ptx::initBarrier(barriers.valueEmpty(s), 2);
    }
    ptx::publishBarriers();
  }
  __syncthreads();
  if (threadIdx.x < 128) {
    ptx::giveRegisters<ptx::registersToLoad>();
    if (threadIdx.x == 0) load<D>(&k, &v, ptx::sharedAddress(shared), barriers, span, kvHead, lastTile, tiles);
  } else {
    ptx::takeRegisters<ptx::registersToMultiply>();
    attend<T, D>(p, shared, barriers, span, kvHead, row, lastTile, tiles);
  }
#else
  __trap();
#endif
}

template <class T, int D>
bool launchHopper(Device& device, const Forward& p, const View& k, const View& v) {
  const auto kernel = attentionHopper<T, D>;
  if (!startsWith(reinterpret_cast<const void*>(kernel), ptx::registersAtStart)) return false;
  const auto mapOf = [](const View& x) {
    return tensorMap({x.bytes, x.dtype, x.dim(0), x.dim(2), x.stride(0), x.dim(1), x.stride(1)}, hopperKeys);
  };
  const Grid grid{dim3(placesOf(p.sequences.slots(p.group, hopperRows), p.kvHeads)), dim3(384), Room<D>::bytes};
  launch(device, kernel, grid, p, mapOf(k), mapOf(v));
  return true;
}

}  // namespace

bool attendHopper(Device& device, const Forward& p, const View& k, const View& v) {
  const bool narrow = p.d <= 64;
  if (k.dtype == DType::bf16)
    return narrow ? launchHopper<bf16, 64>(device, p, k, v) : launchHopper<bf16, 128>(device, p, k, v);
  return narrow ? launchHopper<f16, 64>(device, p, k, v) : launchHopper<f16, 128>(device, p, k, v);
}

}  // namespace cuda
