// Cross-entropy of a linear layer's output, without ever holding all logits: a chunk of tokens at a time.
//
//   logits = softcap(x W')                     x [tokens, hidden], W [vocab, hidden]
//   loss   = lse(logits) - logits[target]      lse = log Σ exp; likeliest = argmax(logits), the first of equals
//   dx     = (softmax(logits) - onehot(target)) · softcap' · W
//   dW    += (the same, times dloss)' · x
//
// A chunk's logits are f32. One block per row reads them twice: once for maximum, sum and target, once to turn them into
// their gradient, which has x's format so that the products behind it run on tensor cores. Rows without a target cost
// what the others cost: the host does not know them. The vocabulary is taken whole, eight words at a time where it is a
// multiple of that.
#include "../kernels/binary.h"
#include "../kernels/loss.h"
#include "device/fault.cuh"
#include "device/launch.h"
#include "products/matmul.h"
#include "tools/reduce.cuh"
#include "tools/vector.cuh"

#include <algorithm>

namespace cuda {
namespace {

#ifdef HELVETIA_SIMT
constexpr int64_t chunkElements = int64_t(1) << 14;  // so that small tests have several chunks
#else
constexpr int64_t chunkElements = int64_t(64) << 20;  // 256 MB of logits: their products are large, and memory small
#endif

int64_t chunkRows(int64_t tokens, int64_t vocab) {
  const int64_t rows = chunkElements / std::max<int64_t>(1, vocab) / 128 * 128;
  return std::min(tokens, std::max<int64_t>(rows, 128));
}

unsigned threadsFor(int64_t cols) { return cols >= 4096 ? 512 : cols >= 512 ? 128 : 32; }

__device__ __forceinline__ float capped(float logit, float softcap) {
  return softcap > 0 ? softcap * tanhf(logit / softcap) : logit;
}
// The derivative of `capped` where it gave `logit`.
__device__ __forceinline__ float slope(float logit, float softcap) {
  if (softcap <= 0) return 1;
  const float t = logit / softcap;
  return 1 - t * t;
}

// One row's target: negative where there is none, and where it is beyond the vocabulary, which is noted.
__device__ int targetOf(const int32_t* targets, int64_t row, int64_t vocab, const FaultNote& note) {
  const int target = targets[row];
  if (target < vocab) return target;
  if (threadIdx.x == 0) note(row, target);
  return -1;
}

struct Least {
  static constexpr int none = INT32_MAX;
  __device__ int operator()(int a, int b) const { return a < b ? a : b; }
};

// What one row's pass gives, for its place in the batch.
struct Scores {
  float *losses, *lse;
  int32_t* likeliest;
};

// Calls body(j, values) for the row's elements, `width` neighbours at a time.
template <int width, class Body>
__device__ __forceinline__ void eachLogit(const float* row, int64_t vocab, Body&& body) {
  const Source from(row, DType::f32);
  for (int64_t j = int64_t(threadIdx.x) * width; j < vocab; j += int64_t(blockDim.x) * width) {
    float v[width];
    from.load(j, v);
    body(j, v);
  }
}

// gradient may be null.
template <int width>
__global__ void crossEntropyRow(Scores scores, const float* logits, void* gradient, DType gradientDType,
                                const int32_t* targets, int64_t firstRow, int64_t vocab, float softcap,
                                FaultNote note) {
  float* room = reinterpret_cast<float*>(ptx::sharedMemory());
  const int64_t row = blockIdx.x, place = firstRow + row;
  const float* from = logits + row * vocab;
  const Sink to(gradient, gradientDType);
  const int target = targetOf(targets, place, vocab, note);
  if (target < 0) {
    if (threadIdx.x == 0) {
      scores.losses[place] = scores.lse[place] = 0;
      scores.likeliest[place] = -1;
    }
    if (gradient)
      eachLogit<width>(from, vocab, [&](int64_t j, float(&v)[width]) {
#pragma unroll
        for (float& x : v) x = 0;
        to.store(row * vocab + j, v);
      });
    return;
  }

  float largest = -INFINITY, sum = 0;
  int best = 0;
  eachLogit<width>(from, vocab, [&](int64_t j, const float(&v)[width]) {
#pragma unroll
    for (int i = 0; i < width; i++) {
      const float logit = capped(v[i], softcap);
      if (logit > largest) {
        sum = sum * expf(largest - logit) + 1;
        largest = logit;
        best = int(j) + i;
      } else if (logit != -INFINITY) {
        sum += expf(logit - largest);  // NaN stays
      }
    }
  });
  const float top = blockReduce(largest, room, Max{});
  const float total = blockReduce(largest == -INFINITY && sum == 0 ? 0 : sum * expf(largest - top), room, Sum{});
  best = blockReduce(largest == top ? best : Least::none, reinterpret_cast<int*>(room), Least{});
  const float all = top + logf(total);
  if (threadIdx.x == 0) {
    scores.losses[place] = all - capped(from[target], softcap);
    scores.lse[place] = all;
    scores.likeliest[place] = best;
  }
  if (!gradient) return;
  eachLogit<width>(from, vocab, [&](int64_t j, float(&v)[width]) {
#pragma unroll
    for (int i = 0; i < width; i++) {
      const float logit = capped(v[i], softcap);
      v[i] = (expf(logit - all) - (j + i == target ? 1.0f : 0.0f)) * slope(logit, softcap);
    }
    to.store(row * vocab + j, v);
  });
}

template <int width>
__global__ void crossEntropyGradientRow(void* gradient, DType gradientDType, const float* logits, const float* lse,
                                        const float* dlosses, const int32_t* targets, int64_t firstRow, int64_t vocab,
                                        float softcap, FaultNote note) {
  const int64_t row = blockIdx.x;
  const Sink to(gradient, gradientDType);
  const int target = targetOf(targets, firstRow + row, vocab, note);
  const float factor = target < 0 ? 0 : dlosses[firstRow + row], all = lse[firstRow + row];
  eachLogit<width>(logits + row * vocab, vocab, [&](int64_t j, float(&v)[width]) {
#pragma unroll
    for (int i = 0; i < width; i++) {
      const float logit = capped(v[i], softcap);
      const float share = expf(logit - all) - (j + i == target ? 1.0f : 0.0f);
      v[i] = factor == 0 ? 0 : share * slope(logit, softcap) * factor;
    }
    to.store(row * vocab + j, v);
  });
}

// to [rows, cols] = x's rows from firstRow on; zeros where there is no loss, because 0 · NaN would spread.
__global__ void keepRow(Sink to, Source x, const float* dlosses, const int32_t* targets, int64_t firstRow,
                        int64_t cols) {
  const int64_t row = blockIdx.x, from = firstRow + row;
  const bool kept = targets[from] >= 0 && dlosses[from] != 0;
  for (int64_t j = threadIdx.x; j < cols; j += blockDim.x) to.store(row * cols + j, kept ? x[from * cols + j] : 0);
}

View rowsOf(const View& x, int64_t first, int64_t count) {
  View part = matrixOf(x);
  const Format& f = format(x.dtype);
  part.bytes = static_cast<char*>(x.bytes) + first * x.cols() * f.blockBytes;
  part.shape[0] = count;
  return part;
}

// The format of gradients between two products: the operands' where they agree, so that tensor cores take it.
DType between(const View& x, const View& weight) { return x.dtype == weight.dtype ? x.dtype : DType::f32; }

}  // namespace

void linearCrossEntropy(Device& device, Out losses, Out lse, Out likeliest, Out dx, Out, Out, In x, In weight,
                        In targets, float softcap, int, int, int, int) {
  const int64_t tokens = x.rows(), vocab = weight.rows(), most = chunkRows(tokens, vocab);
  if (tokens == 0) return;
  const DType dtype = between(x, weight);
  Scratch<float> logits(device, most * vocab);
  Scratch<char> gradient(device, dx ? most * vocab * format(dtype).blockBytes : 0);
  for (int64_t first = 0; first < tokens; first += most) {
    const int64_t count = std::min(most, tokens - first);
    multiply(device, matrixAt(logits, DType::f32, count, vocab), rowsOf(x, first, count), transposed(matrixOf(weight)));
    launch(device, vocab % 8 == 0 ? crossEntropyRow<8> : crossEntropyRow<1>,
           {.blocks = unsigned(count), .threads = threadsFor(vocab), .shared = 32 * sizeof(float)},
           Scores{losses.data<float>(), lse.data<float>(), likeliest.data<int32_t>()}, logits,
           dx ? static_cast<void*>(gradient) : nullptr, dtype, targets.data<const int32_t>(), first, vocab, softcap,
           FaultNote{device.faults, Faults::lossTarget, vocab});
    if (dx) multiply(device, rowsOf(dx, first, count), matrixAt(gradient, dtype, count, vocab), matrixOf(weight));
  }
}

void linearCrossEntropyBackward(Device& device, Out dweight, In dlosses, In x, In weight, In targets, In lse,
                                float softcap, int, int) {
  const int64_t tokens = x.rows(), vocab = weight.rows(), hidden = x.cols(), most = chunkRows(tokens, vocab);
  if (tokens == 0) return;
  const DType dtype = between(x, weight);
  Scratch<float> logits(device, most * vocab);
  Scratch<char> gradient(device, most * vocab * format(dtype).blockBytes),
      kept(device, most * hidden * format(dtype).blockBytes);
  // Several chunks add up in f32, so that a narrow dweight is rounded once.
  const bool wide = dweight.dtype == DType::f32 || tokens <= most;
  Scratch<float> gathered(device, wide ? 0 : vocab * hidden);
  const View sum = wide ? matrixOf(dweight) : matrixAt(gathered, DType::f32, vocab, hidden);
  for (int64_t first = 0; first < tokens; first += most) {
    const int64_t count = std::min(most, tokens - first);
    const View chunk = matrixAt(kept, dtype, count, hidden);
    launch(device, keepRow, {.blocks = unsigned(count), .threads = threadsFor(hidden)}, Sink(chunk), Source(x),
           dlosses.data<const float>(), targets.data<const int32_t>(), first, hidden);
    multiply(device, matrixAt(logits, DType::f32, count, vocab), chunk, transposed(matrixOf(weight)));
    launch(device, vocab % 8 == 0 ? crossEntropyGradientRow<8> : crossEntropyGradientRow<1>,
           {.blocks = unsigned(count), .threads = threadsFor(vocab)}, static_cast<void*>(gradient), dtype, logits,
           lse.data<const float>(), dlosses.data<const float>(), targets.data<const int32_t>(), first, vocab, softcap,
           FaultNote{device.faults, Faults::lossBackwardTarget, vocab});
    multiply(device, sum, transposed(matrixAt(gradient, dtype, count, vocab)), chunk,
             {.residual = wide || first > 0 ? sum : View{}});
  }
  if (!wide) add(device, dweight, In{dweight}, In{sum});
}

}  // namespace cuda
