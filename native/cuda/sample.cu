// Choosing the next token of every row of logits, and the repetition penalty.
//
//   sample     tokens i32 [rows], logits [rows, vocab], options f32 [rows, 4], seeds i32 [rows, 2], steps i32 [rows]
//   penalize   logits [rows, vocab] in place, tokens i32 [rows, count], penalties f32 [rows]
//
// The rules are in native/cpu/sample.cc. A block per row goes over the logits a few times. Weights are summed in
// fixed point, 2^-44 a unit: whole numbers add up to the same in any order, so atomics leave the choice determined.
//
// To find where a top-k or top-p list ends, the logits are counted into buckets of decreasing value; then the bucket in
// which the list ends is split by the bits of its numbers, until one number is left. Of its ties, the first ones by token
// are kept.
#include "../kernels/sample.h"
#include "../philox.h"
#include "device/fault.cuh"
#include "device/launch.h"
#include "tools/reduce.cuh"
#include "tools/vector.cuh"

namespace cuda {
namespace {

using Weight = unsigned long long;

constexpr int buckets = 2048;
constexpr float one = 17592186044416.0f;  // 2^44: 2^19 tokens of weight 1 stay below 2^63
constexpr int32_t sawNan = -1, sawNothing = -2;

struct Shared {
  Weight counts[buckets];
  Weight room[32];
  Weight above;
  int found;
};

struct Total {
  static constexpr Weight none = 0;
  __device__ Weight operator()(Weight a, Weight b) const { return a + b; }
};
struct Later {
  static constexpr Weight none = 0;
  __device__ Weight operator()(Weight a, Weight b) const { return a > b ? a : b; }
};

// Numbers in order as unsigned ones, and back.
__device__ __forceinline__ uint32_t keyOf(float x) {
  if (x != x) return 0xffffffffu;
  const uint32_t bits = __float_as_uint(x + 0.0f);  // no -0
  return bits >> 31 ? ~bits : bits | 0x80000000u;
}
__device__ __forceinline__ float numberAt(uint32_t key) {
  return __uint_as_float(key >> 31 ? key & 0x7fffffffu : ~key);
}

// A row, and the rules that leave tokens out, as they become known.
struct Logits {
  Source from;
  int64_t start, step;
  int vocab;
  float high, temperature, minP;
  uint32_t leastKey;  // top-k
  uint32_t cutKey;    // top-p, and the last place among the ties with it
  int cutPlace;

  __device__ __forceinline__ float operator[](int i) const { return from[start + i * step]; }
  __device__ __forceinline__ float share(float v) const { return expf((v - high) / temperature); }
  // Before top-p and min-p.
  __device__ __forceinline__ Weight weight(float v) const { return keyOf(v) < leastKey ? 0 : Weight(share(v) * one); }
  __device__ __forceinline__ Weight weight(float v, int i) const {
    const uint32_t key = keyOf(v);
    if (key < leastKey || key < cutKey || (key == cutKey && i > cutPlace)) return 0;
    const float w = share(v);
    return w < minP && v < high ? 0 : Weight(w * one);
  }
};

struct ByCount {
  __device__ Weight operator()(const Logits&, float v) const { return v > -INFINITY; }
};
struct ByWeight {
  __device__ Weight operator()(const Logits& logits, float v) const { return logits.weight(v); }
};

__device__ __forceinline__ Weight sumBefore(Weight x, Weight& all) {  // over the warp's lower lanes
  const int lane = int(threadIdx.x) % 32;
  Weight sum = x;
#pragma unroll
  for (int step = 1; step < 32; step *= 2) {
    const Weight lower = __shfl_up_sync(wholeWarp, sum, step);
    if (lane >= step) sum += lower;
  }
  all = __shfl_sync(wholeWarp, sum, 31);
  return sum - x;
}

__device__ __forceinline__ void clearCounts(Shared& shared) {
  __syncthreads();
  for (int b = int(threadIdx.x); b < buckets; b += int(blockDim.x)) shared.counts[b] = 0;
  __syncthreads();
}

// The bucket in which `above` and the counts reach `goal`, or -1; `above` becomes the sum before it.
__device__ __forceinline__ int findBucket(Shared& shared, Weight goal, Weight& above) {
  const int each = buckets / int(blockDim.x), first = int(threadIdx.x) * each, warp = int(threadIdx.x) / 32;
  __syncthreads();
  if (threadIdx.x == 0) shared.found = -1;
  Weight own = 0, all;
  for (int b = first; b < first + each; b++) own += shared.counts[b];
  Weight before = sumBefore(own, all);
  if (threadIdx.x % 32 == 0) shared.room[warp] = all;
  __syncthreads();
  before += above;
  Weight total = above;
  for (int w = 0; w < int(blockDim.x) / 32; w++) {
    if (w < warp) before += shared.room[w];
    total += shared.room[w];
  }
  if (before < goal && goal <= before + own) {
    int b = first;
    while (before + shared.counts[b] < goal) before += shared.counts[b++];
    shared.found = b;
    shared.above = before;
  }
  __syncthreads();
  const int found = shared.found;
  above = found < 0 ? total : shared.above;
  return found;
}

// The key of the number with which the sum of the largest reaches `goal`, which is above 0; `above` becomes the sum of
// those before it. 0 where there are not so many.
template <class Measure>
__device__ __forceinline__ uint32_t cutAt(Shared& shared, const Logits& logits, Measure measure, Weight goal,
                                          Weight& above) {
  // Beyond this distance from the largest logit nothing has a weight that counts: all that goes into the last bucket,
  // which is not counted, because everyone would wait for it.
  const float range = fminf(40 * logits.temperature, 64.0f), scale = (buckets - 1) / range;
  const auto bucketOf = [&](float v) {
    const float bucket = (logits.high - v) * scale;
    return bucket < buckets - 1 ? int(bucket) : buckets - 1;
  };
  const int threads = int(blockDim.x);
  clearCounts(shared);
  for (int i = int(threadIdx.x); i < logits.vocab; i += threads) {
    const float v = logits[i];
    if (const int b = bucketOf(v); b < buckets - 1)
      if (const Weight w = measure(logits, v)) atomicAdd(&shared.counts[b], w);
  }
  above = 0;
  int chosen = findBucket(shared, goal, above);
  if (chosen < 0) chosen = buckets - 1;
  Weight largest = 0, smallest = 0;  // the second as a complement
  for (int i = int(threadIdx.x); i < logits.vocab; i += threads) {
    const float v = logits[i];
    if (bucketOf(v) != chosen || !measure(logits, v)) continue;
    largest = Later()(largest, keyOf(v));
    smallest = Later()(smallest, ~keyOf(v));
  }
  uint32_t high = uint32_t(blockReduce(largest, shared.room, Later()));
  uint32_t low = ~uint32_t(blockReduce(smallest, shared.room, Later()));
  if (high == 0) return 0;
  for (bool last = false; !last;) {
    const int bits = 32 - __clz(int(high - low)), shift = bits > 11 ? bits - 11 : 0;
    clearCounts(shared);
    for (int i = int(threadIdx.x); i < logits.vocab; i += threads) {
      const float v = logits[i];
      if (const uint32_t key = keyOf(v); key >= low && key <= high)
        if (const Weight w = measure(logits, v)) atomicAdd(&shared.counts[(high - key) >> shift], w);
    }
    chosen = findBucket(shared, goal, above);
    if (chosen < 0) return 0;
    high -= uint32_t(chosen) << shift;
    const uint32_t least = high - ((1u << shift) - 1);
    if (least > low) low = least;
    last = shift == 0;
  }
  return high;
}

// A warp's share of the row, so that shares follow each other as the tokens do.
struct Share {
  int first, last;
  __device__ explicit Share(int vocab) {
    const int warps = int(blockDim.x) / 32, size = (vocab + warps * 32 - 1) / (warps * 32) * 32;
    first = int(threadIdx.x) / 32 * size;
    last = first + size < vocab ? first + size : vocab;
  }
};

// The first place at which the running sum of weightAt(i) exceeds `target`, or `none`. Every thread gets it; `total`
// becomes the sum of all. `targetOf` makes the target from the total.
template <class WeightAt, class TargetOf>
__device__ __forceinline__ int placeOf(Shared& shared, int vocab, WeightAt weightAt, TargetOf targetOf, int none) {
  const Share share(vocab);
  const int lane = int(threadIdx.x) % 32, warp = int(threadIdx.x) / 32;
  Weight own = 0;
  for (int i = share.first + lane; i < share.last; i += 32) own += weightAt(i);
  own = warpReduce(own, Total());
  __syncthreads();
  if (lane == 0) shared.room[warp] = own;
  if (threadIdx.x == 0) shared.found = none;
  __syncthreads();
  Weight before = 0, total = 0;
  for (int w = 0; w < int(blockDim.x) / 32; w++) {
    if (w < warp) before += shared.room[w];
    total += shared.room[w];
  }
  const Weight target = targetOf(total);
  if (before <= target && target < before + own) {
    for (int first = share.first; first < share.last; first += 32) {
      const int i = first + lane;
      const Weight w = i < share.last ? weightAt(i) : 0;
      Weight all;
      const Weight lower = sumBefore(w, all);
      if (const unsigned over = __ballot_sync(wholeWarp, before + lower + w > target)) {
        if (lane == 0) shared.found = first + __ffs(int(over)) - 1;
        break;
      }
      before += all;
    }
  }
  __syncthreads();
  return shared.found;
}

struct Chances {
  const float* options;
  const int32_t *seeds, *steps;
};

__global__ void __launch_bounds__(1024) sampleRow(int32_t* tokens, Logits logits, int64_t rowStep, Chances chances) {
  Shared& shared = *reinterpret_cast<Shared*>(ptx::sharedMemory());
  const int64_t row = blockIdx.x;
  const bool first = threadIdx.x == 0;
  logits.start = row * rowStep;
  const float* options = chances.options + row * 4;
  logits.temperature = options[0];
  const float topK = options[1], topP = options[2];

  Weight best = 0;
  for (int i = int(threadIdx.x); i < logits.vocab; i += int(blockDim.x))
    best = Later()(best, Weight(keyOf(logits[i])) << 32 | ~uint32_t(i));
  best = blockReduce(best, shared.room, Later());
  const uint32_t highest = uint32_t(best >> 32);
  logits.high = numberAt(highest);
  if (highest == 0xffffffffu || logits.high == -INFINITY) {
    if (first) tokens[row] = highest == 0xffffffffu ? sawNan : sawNothing;
    return;
  }
  if (logits.temperature < 1e-6f || logits.high == INFINITY) {
    if (first) tokens[row] = int32_t(~uint32_t(best));
    return;
  }

  Weight above;
  if (topK >= 1 && topK < float(logits.vocab))
    logits.leastKey = cutAt(shared, logits, ByCount(), Weight(floorf(topK)), above);
  if (topP < 1) {
    Weight sum = 0;
    for (int i = int(threadIdx.x); i < logits.vocab; i += int(blockDim.x)) sum += logits.weight(logits[i]);
    sum = blockReduce(sum, shared.room, Total());
    const double share = ceil(double(topP) * double(sum));
    const Weight goal = share < 1 ? 1 : share < double(sum) ? Weight(share) : sum;
    logits.cutKey = cutAt(shared, logits, ByWeight(), goal, above);
    // Of the ties, as many as the goal takes.
    const Weight each = logits.weight(numberAt(logits.cutKey));
    const Weight needed = each ? (goal - above + each - 1) / each : 1;
    logits.cutPlace = placeOf(
        shared, logits.vocab, [&](int i) { return Weight(keyOf(logits[i]) == logits.cutKey); },
        [&](Weight) { return needed - 1; }, INT32_MAX);
  }
  logits.minP = options[3];

  const uint32_t low = uint32_t(chances.seeds[row * 2]), high = uint32_t(chances.seeds[row * 2 + 1]);
  const Weight u = philox::block(uint64_t(high) << 32 | low, uint32_t(chances.steps[row])).word[0] >> 8;  // · 2^-24
  const int token = placeOf(
      shared, logits.vocab, [&](int i) { return logits.weight(logits[i], i); },
      [&](Weight total) { return (total >> 24) * u + ((total & 0xffffff) * u >> 24); }, int(~uint32_t(best)));
  if (first) tokens[row] = token;
}

constexpr int bandBits = 1 << 18;  // tokens whose bits a block holds at once, in 32 KB

// Every seen token is one bit: who sets it first applies the penalty.
__global__ void penalizeRow(Sink logits, Source from, const int32_t* tokens, const float* penalties, int64_t rowStep,
                            int64_t step, int64_t count, int64_t vocab, FaultNote note) {
  uint32_t* seen = reinterpret_cast<uint32_t*>(ptx::sharedMemory());
  const int64_t row = blockIdx.x;
  const float penalty = penalties[row];
  for (int64_t band = 0; band < vocab; band += bandBits) {
    const int64_t bits = vocab - band < bandBits ? vocab - band : bandBits;
    __syncthreads();
    for (int64_t word = threadIdx.x; word < (bits + 31) / 32; word += blockDim.x) seen[word] = 0;
    __syncthreads();
    for (int64_t i = threadIdx.x; i < count; i += blockDim.x) {
      const int32_t token = tokens[row * count + i];
      if (token >= vocab && band == 0) note(row, token);
      if (token < band || token >= band + bits) continue;
      const uint32_t place = uint32_t(token - band), bit = 1u << place % 32;
      if (atomicOr(&seen[place / 32], bit) & bit) continue;
      const int64_t at = row * rowStep + token * step;
      const float x = from[at];
      logits.store(at, x < 0 ? x * penalty : x / penalty);
    }
  }
}

}  // namespace

void sample(Device& device, Out tokens, In logits, In options, In seeds, In steps) {
  const int64_t rows = logits.rows(), vocab = logits.cols();
  if (rows == 0) return;
  if (vocab == 0) throw std::runtime_error("the logits have no columns");
  const Logits row{Source(logits), 0, logits.rank ? logits.stride(-1) : 1, int(vocab), 0, 1, 0, 0, 0, INT32_MAX};
  const int threads = vocab <= 1024 ? 32 : vocab <= 16384 ? 256 : 1024;
  const Grid grid{.blocks = dim3(unsigned(rows)), .threads = dim3(unsigned(threads)), .shared = sizeof(Shared)};
  const Chances chances{options.data<float>(), seeds.data<int32_t>(), steps.data<int32_t>()};
  launch(device, sampleRow, grid, tokens.data<int32_t>(), row, logits.rank > 1 ? logits.stride(-2) : 0, chances);
}

void penalize(Device& device, Out logits, In tokens, In penalties) {
  const int64_t rows = logits.rows(), vocab = logits.cols(), count = tokens.cols();
  if (rows == 0 || count == 0) return;
  const int64_t bits = vocab < bandBits ? vocab : bandBits, wanted = ceilDiv(count, 32) * 32;
  const Grid grid{.blocks = dim3(unsigned(rows)),
                  .threads = dim3(unsigned(wanted < 256 ? wanted : 256)),
                  .shared = size_t(ceilDiv(bits, 32)) * 4};
  launch(device, penalizeRow, grid, Sink(logits), Source(logits), tokens.data<int32_t>(), penalties.data<float>(),
         logits.rank > 1 ? logits.stride(-2) : 0, logits.rank ? logits.stride(-1) : 1, count, vocab,
         FaultNote{device.faults, Faults::penalizeToken, vocab});
}

}  // namespace cuda
