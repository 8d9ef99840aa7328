// Choosing the next token of every row of logits, and the repetition penalty.
//
//   sample     tokens i32 [rows], logits [rows, vocab], options f32 [rows, 4], seeds i32 [rows, 2], steps i32 [rows]
//   penalize   logits [rows, vocab] in place, tokens i32 [rows, count], penalties f32 [rows]
//
// With w = e^((logit - largest) / temperature), in this order: top-k keeps the k largest and whatever ties with the
// last of them; top-p keeps the shortest list of the largest w (ties by token) that holds a share p of what is left;
// min-p keeps w >= min-p. Then the first token, in the tokens' order, at which the running sum of w exceeds u times the
// whole. u is the uniform number of philox.h's block under the key `seeds` (low half, high half) at counter `steps`.
// A temperature below 1e-6 takes the largest logit, the first on ties; so does an infinite logit. A row that holds NaN
// gives -1, a row of nothing but -infinity gives -2; the other rows are valid.
//
// Nothing is sorted whole. To find where a top-k or top-p list ends, the logits are counted into buckets of decreasing
// value, and only the bucket in which the list ends is looked at again. One thread per row.
#include <string>
#include "../kernels/sample.h"
#include "../philox.h"
#include "tools/functions.h"
#include "tools/strided.h"

namespace cpu::CPU_ISA {
namespace {

constexpr int bucketCount = 2048;
constexpr int64_t fewEnough = 1024;  // elements that are sorted
constexpr int64_t blockLength = 512;
constexpr int32_t sawNan = -1, sawNothing = -2;

struct Options {
  float temperature, topK, topP, minP;
};

// A row's working memory, `vocab` of each.
struct Workspace {
  float *values, *weights;
  int32_t *tokens, *list;
};

// Where a list of the largest logits ends: the last value, and the last place among its ties.
struct Cut {
  float value;
  int64_t place;
  bool keeps(float v, int64_t i) const { return v > value || (v == value && i <= place); }
};

// The end of the shortest list, by decreasing value and then increasing place, whose weights sum up to `goal`. Without
// weights everything weighs 1. `range`: how far below `high` it pays to look closely.
Cut cutAt(const float* values, const float* weights, int64_t count, double goal, float high, float range,
          int32_t* list) {
  double sums[bucketCount] = {};
  const auto weight = [&](int64_t i) { return weights ? double(weights[i]) : 1.0; };
  const auto firstBucket = [&, scale = (bucketCount - 1) / range](int64_t i) {
    const float bucket = (high - values[i]) * scale;
    return bucket < bucketCount - 1 ? int(bucket) : bucketCount - 1;
  };
  for (int64_t i = 0; i < count; i++) sums[firstBucket(i)] += weight(i);

  double above = 0;
  const auto findBucket = [&] {
    for (int b = 0; b < bucketCount; b++) {
      if (above + sums[b] >= goal) return b;
      above += sums[b];
    }
    return -1;
  };
  const Cut everything{-INFINITY, INT64_MAX};
  int chosen = findBucket();
  if (chosen < 0) return everything;
  int64_t left = 0;
  for (int64_t i = 0; i < count; i++)
    if (firstBucket(i) == chosen && values[i] > -INFINITY) list[left++] = int32_t(i);

  while (left > fewEnough) {
    float most = -INFINITY, least = INFINITY;
    for (int64_t i = 0; i < left; i++) {
      most = std::max(most, values[list[i]]);
      least = std::min(least, values[list[i]]);
    }
    if (most == least) break;
    const double scale = (bucketCount - 1) / (double(most) - least);
    const auto bucket = [&](int32_t i) { return int((double(most) - values[i]) * scale); };
    std::fill(sums, sums + bucketCount, 0.0);
    for (int64_t i = 0; i < left; i++) sums[bucket(list[i])] += weight(list[i]);
    // Rounding of the sums may leave the goal just out of reach: then the list ends with the last bucket.
    chosen = findBucket();
    if (chosen < 0)
      chosen =
          bucket(*std::min_element(list, list + left, [&](int32_t a, int32_t b) { return values[a] < values[b]; }));
    left = std::remove_if(list, list + left, [&](int32_t i) { return bucket(i) != chosen; }) - list;
  }
  if (left <= fewEnough)  // more are equal, and already in order
    std::sort(list, list + left,
              [&](int32_t a, int32_t b) { return values[a] > values[b] || (values[a] == values[b] && a < b); });
  for (int64_t i = 0; i < left; i++) {
    above += weight(list[i]);
    if (above >= goal) return {values[list[i]], list[i]};
  }
  return left > 0 ? Cut{values[list[left - 1]], list[left - 1]} : everything;
}

double sumOf(const float* x, int64_t count) {
  double total = 0;
  for (int64_t i = 0; i < count; i += blockLength) {
    const int64_t end = std::min(count, i + blockLength);
    Floats sum{};
    int64_t j = i;
    for (; j + lanes <= end; j += lanes) sum += load(x + j);
    if (j < end) sum += loadPart(x + j, end - j);
    total += sumLanes(sum);
  }
  return total;
}

// The first place at which the running sum exceeds `target`; where rounding keeps it from that, the last place with any
// weight. At least one weight is above zero.
int64_t draw(const float* weights, int64_t count, double target) {
  double sum = 0;
  int64_t last = 0;
  for (int64_t i = 0; i < count; i += blockLength) {
    const int64_t end = std::min(count, i + blockLength);
    const double block = sumOf(weights + i, end - i);
    if (block > 0) last = i;
    if (sum + block > target) break;
    sum += block;
  }
  const int64_t end = std::min(count, last + blockLength);
  for (int64_t i = last; i < end; i++) {
    if (weights[i] == 0) continue;
    last = i;
    sum += weights[i];
    if (sum > target) break;
  }
  return last;
}

float largest(const float* x, int64_t count) {
  Floats most = splat(-INFINITY);
  int64_t i = 0;
  for (; i + lanes <= count; i += lanes) most = maxOrNan(most, load(x + i));
  if (i < count) most = maxOrNan(most, loadVectorPart(x + i, count - i, -INFINITY));
  float result = most[0];
  for (int lane = 1; lane < lanes; lane++) result = maxOrNan(result, float(most[lane]));
  return result;
}

// The chosen token, or the code of a row without one.
int32_t sampleRow(const float* logits, int64_t vocab, const Options& options, float u, const Workspace& work) {
  const float high = largest(logits, vocab);
  if (high != high) return sawNan;
  if (high == -INFINITY) return sawNothing;
  if (options.temperature < 1e-6f || high == INFINITY) return int32_t(std::find(logits, logits + vocab, high) - logits);

  const float* values = logits;
  int64_t count = vocab;
  // Weights are negligible beyond this distance from the largest logit.
  const float range = std::min(40 * options.temperature, 64.0f);
  const bool compact = options.topK >= 1 && options.topK < float(vocab);
  if (compact) {
    const Cut cut = cutAt(logits, nullptr, vocab, std::floor(options.topK), high, range, work.list);
    count = 0;
    for (int64_t i = 0; i < vocab; i++) {
      if (logits[i] < cut.value) continue;
      work.values[count] = logits[i];
      work.tokens[count++] = int32_t(i);
    }
    values = work.values;
  }

  float* weights = work.weights;
  int64_t i = 0;
  const float temperature = options.temperature;
  for (; i + lanes <= count; i += lanes) store(weights + i, exp((load(values + i) - high) / temperature));
  if (i < count) storePart(weights + i, exp((loadPart(values + i, count - i) - high) / temperature), count - i);

  if (options.topP < 1) {
    const double goal = double(options.topP) * sumOf(weights, count);
    const Cut cut = cutAt(values, weights, count, goal, high, range, work.list);
    for (int64_t j = 0; j < count; j++)
      if (!cut.keeps(values[j], j)) weights[j] = 0;
  }
  if (options.minP > 0)
    for (int64_t j = 0; j < count; j++)
      if (weights[j] < options.minP && values[j] < high) weights[j] = 0;

  const int64_t place = draw(weights, count, double(u) * sumOf(weights, count));
  return compact ? work.tokens[place] : int32_t(place);
}

}  // namespace

void sample(Device& device, Out tokens, In logits, In options, In seeds, In steps) {
  const int64_t rows = logits.rows(), vocab = logits.cols();
  if (rows == 0) return;
  if (vocab == 0) throw std::runtime_error("the logits have no columns");
  const Reader<float> read(logits);
  const bool direct = read.plain() && logits.stride(-1) == 1;
  const int threads = int(std::min<int64_t>(device.threads, rows));
  const Scratch<float> floats((direct ? 2 : 3) * vocab * threads);
  const Scratch<int32_t> places(2 * vocab * threads);
  int32_t* chosen = tokens.data<int32_t>();
  // One task per scratch area, each with every threads-th row.
  device.parallelFor(threads, [&](int64_t task, int) {
    float* area = floats + (direct ? 2 : 3) * vocab * task;
    int32_t* ids = places + 2 * vocab * task;
    const Workspace work{area, area + vocab, ids, ids + vocab};
    for (int64_t row = task; row < rows; row += threads) {
      Options o;
      std::memcpy(&o, options.data<float>() + row * 4, sizeof o);
      const uint32_t* seed = seeds.data<uint32_t>() + row * 2;
      const auto block = philox::block(uint64_t(seed[1]) << 32 | seed[0], uint32_t(steps.data<int32_t>()[row]));
      const float* from = read(logits.rank > 1 ? row * logits.stride(-2) : 0, logits.rank ? logits.stride(-1) : 1,
                               vocab, area + 2 * vocab);
      chosen[row] = sampleRow(from, vocab, o, philox::uniform(block.word[0]), work);
    }
  });
}

void penalize(Device& device, Out logits, In tokens, In penalties) {
  const int64_t rows = logits.rows(), vocab = logits.cols(), count = tokens.cols();
  if (rows == 0 || count == 0) return;
  const int32_t* all = tokens.data<int32_t>();
  for (int64_t i = 0; i < rows * count; i++)
    if (all[i] >= vocab)
      throw std::runtime_error("token " + std::to_string(all[i]) + " of row " + std::to_string(i / count) +
                               " is outside the logits' " + std::to_string(vocab) + " columns");
  const int64_t words = (vocab + 63) / 64;
  const Scratch<uint64_t> seen(words * device.threads);
  std::fill(seen.data(), seen.data() + words * device.threads, 0);
  const int64_t step = logits.rank > 1 ? logits.stride(-2) : 0, inner = logits.rank ? logits.stride(-1) : 1;
  visitFloat(logits.dtype, [&](auto tag) {
    using T = decltype(tag);
    device.parallelRanges(rows, std::max<int64_t>(1, 4096 / count), [&](int64_t begin, int64_t end, int thread) {
      uint64_t* bits = seen + words * thread;
      for (int64_t row = begin; row < end; row++) {
        const float penalty = penalties.data<float>()[row];
        const int32_t* token = all + row * count;
        for (int64_t i = 0; i < count; i++) {
          if (token[i] < 0 || bits[token[i] / 64] >> token[i] % 64 & 1) continue;
          bits[token[i] / 64] |= uint64_t(1) << token[i] % 64;
          T& logit = logits.data<T>()[row * step + token[i] * inner];
          const float x = float(logit);
          logit = T(x < 0 ? x * penalty : x / penalty);
        }
        for (int64_t i = 0; i < count; i++)
          if (token[i] >= 0) bits[token[i] / 64] = 0;
      }
    });
  });
}

}  // namespace cpu::CPU_ISA
