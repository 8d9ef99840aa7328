// Cross-entropy of a linear layer's logits, without the logits: they exist for a chunk of tokens and a block of the
// vocabulary at a time. A call is one such block: one call for all would keep other work off the device for seconds.
//
//   logits = softcap(x W')                       x [tokens, hidden], W [vocab, hidden]; softcap(z) = c · tanh(z / c)
//   losses = lse(logits) - logits[target]        f32 [tokens]; 0 where target < 0
//   likeliest = argmax(logits)                   i32 [tokens]; the first of equals; -1 where target < 0
//   dx     = Σ over v of (softmax - onehot)[v] · softcap'[v] · W[v]
//   dW[v] += Σ over tokens of dloss · (softmax - onehot)[v] · softcap'[v] · x
//
// The forward pass keeps for each token the largest logit so far (in lse until the last block), the target's logit (in
// losses), and the sums of e^(logit - largest) and of the same times W (sums and weighted); a new largest logit rescales both ("online softmax", Milakov and Gimelshein, 2018, arXiv:1805.02867). So dx
// needs no second pass over the vocabulary. Tokens without a target are left out of every product.
#include <algorithm>
#include <cmath>
#include <limits>
#include <string>
#include <vector>
#include "../kernels/loss.h"
#include "device.h"
#include "products/gemm.h"
#include "tools/simd.h"

namespace cpu::CPU_ISA {
namespace {

constexpr int64_t chunkTokens = 1024;  // of the backward pass

// The rows that count, and their x: in place where all rows do, else gathered.
class Rows {
 public:
  Rows(const View& x, std::vector<int64_t> which, int64_t longest)
      : which(std::move(which)),
        x_(x),
        bytes_(x.cols() * format(x.dtype).blockBytes),
        gathered_(dense() ? 0 : std::min(count(), longest) * bytes_) {}

  int64_t count() const { return int64_t(which.size()); }

  // x of the rows [begin, begin + length), length at most `longest`. Valid until the next call.
  Matrix chunk(int64_t begin, int64_t length) const {
    const Matrix all = matrixOf(x_);
    if (dense()) return all.at(begin * x_.cols());
    for (int64_t i = 0; i < length; i++)
      std::memcpy(gathered_.data() + i * bytes_, x_.data<char>() + which[begin + i] * bytes_, size_t(bytes_));
    return {gathered_.data(), x_.dtype, x_.cols(), 1};
  }

  const std::vector<int64_t> which;

 private:
  bool dense() const { return count() == x_.rows(); }
  const View& x_;
  const int64_t bytes_;
  Scratch<char> gathered_;
};

// The rows that `takes`. A target beyond the vocabulary is the caller's mistake, which only the data shows.
template <class Takes>
std::vector<int64_t> rowsWhere(const View& targets, int64_t vocab, Takes takes) {
  std::vector<int64_t> which;
  for (int64_t i = 0; i < targets.size(); i++) {
    const int32_t target = targets.data<int32_t>()[i];
    if (target >= vocab)
      throw std::runtime_error("target " + std::to_string(target) + " at " + std::to_string(i) +
                               " is beyond a vocabulary of " + std::to_string(vocab));
    if (target >= 0 && takes(i)) which.push_back(i);
  }
  return which;
}

Product product(int64_t M, int64_t N, const Term& term) {
  Product p;
  p.M = M;
  p.N = N;
  p.terms[0] = term;
  return p;
}

Floats capped(Floats z, float softcap) { return softcap > 0 ? tanh(z / softcap) * softcap : z; }
// The derivative of softcap, from its value.
Floats slope(Floats logit, float softcap) {
  if (!(softcap > 0)) return splat(1);
  const Floats t = logit / softcap;
  return 1.0f - t * t;
}
float slopeOf(float logit, float softcap) { return softcap > 0 ? 1 - logit / softcap * (logit / softcap) : 1; }

// Applies body(Floats) to each register of a row of `count` values, padded to whole registers by the caller.
template <class Body>
void eachRegister(float* row, int64_t count, Body&& body) {
  for (int64_t i = 0; i < count; i += lanes) store(row + i, body(load(row + i), i));
}

int64_t padded(int64_t count) { return (count + lanes - 1) / lanes * lanes; }

// logits [length, padded(width)] = softcap(x × W[first .. first + width)'); the padding is -infinity.
void logitsOf(Device& device, float* logits, const Matrix& x, int64_t length, const View& weight, int64_t first,
              int64_t width, float softcap) {
  const int64_t hidden = weight.cols(), stride = padded(width);
  const Matrix block = matrixOf(weight).at(first * hidden).transposed();
  gemm(device, product(length, width, {x, block, hidden}), Destination{logits, DType::f32, stride});
  device.parallelRanges(length, std::max<int64_t>(1, 16384 / stride), [&](int64_t begin, int64_t end, int) {
    for (int64_t i = begin; i < end; i++) {
      float* row = logits + i * stride;
      std::fill(row + width, row + stride, -std::numeric_limits<float>::infinity());
      if (softcap > 0) {
        eachRegister(row, stride, [&](Floats z, int64_t) { return capped(z, softcap); });
        std::fill(row + width, row + stride, -std::numeric_limits<float>::infinity());
      }
    }
  });
}

}  // namespace

void linearCrossEntropy(Device& device, Out losses, Out lse, Out likeliest, Out dx, Out sums, Out weighted, In x,
                        In weight, In targets, float softcap, int token, int tokens, int first, int words) {
  const int64_t hidden = x.cols(), vocab = weight.rows(), width = words, stride = padded(width);
  const Rows rows(x, rowsWhere(targets, vocab, [](int64_t) { return true; }), tokens);
  float *wanted = losses.data<float>(), *largest = lse.data<float>(), *total = sums.data<float>();
  int32_t* best = likeliest.data<int32_t>();
  if (token == 0 && first == 0) {
    std::fill_n(wanted, losses.size(), 0.0f);
    std::fill_n(largest, lse.size(), 0.0f);
    std::fill_n(best, likeliest.size(), -1);
    if (dx && rows.count() < x.rows())
      std::memset(dx.bytes, 0, size_t(x.rows() * hidden * format(dx.dtype).blockBytes));
  }
  const int64_t begin = token, length = std::min<int64_t>(tokens, rows.count() - begin);
  if (length <= 0) return;

  const Matrix chunk = rows.chunk(begin, length);
  Scratch<float> logits(length * stride);
  logitsOf(device, logits, chunk, length, weight, first, width, softcap);
  device.parallelRanges(length, std::max<int64_t>(1, 8192 / stride), [&](int64_t from, int64_t to, int) {
    for (int64_t i = from; i < to; i++) {
      float* row = logits + i * stride;
      const int64_t at = rows.which[begin + i], target = targets.data<int32_t>()[at] - first;
      if (target >= 0 && target < width) wanted[at] = row[target];
      const float before = first == 0 ? -std::numeric_limits<float>::infinity() : largest[at];
      Floats top = splat(before);
      for (int64_t j = 0; j < stride; j += lanes) top = max(load(row + j), top);
      const float peak = maxLanes(top);
      if (first == 0 || peak > before) best[at] = int32_t(first + (std::find(row, row + width - 1, peak) - row));
      // Nothing but -infinity so far: any shift will do, as long as it is a number.
      const float shift = std::isinf(peak) && peak < 0 ? 0 : peak;
      Floats sum{};
      eachRegister(row, stride, [&](Floats logit, int64_t) {
        const Floats e = exp(logit - shift);
        sum += e;
        return dx ? e * slope(logit, softcap) : e;
      });
      if (dx && softcap > 0) std::fill(row + width, row + stride, 0.0f);
      const float rescale = first == 0 ? 0 : std::exp(before - shift);
      total[at] = (first == 0 ? 0 : total[at] * rescale) + sumLanes(sum);
      largest[at] = peak;
      if (dx && first > 0 && rescale != 1)
        for (int64_t j = 0; j < hidden; j++) weighted.data<float>()[i * hidden + j] *= rescale;
    }
  });
  if (dx) {
    const Term term{matrixOf(logits.data(), stride), matrixOf(weight).at(first * hidden), width};
    gemm(device, product(length, hidden, term), Destination{weighted.bytes, DType::f32, hidden}.adding(first > 0));
  }
  if (first + width < vocab) return;

  Scratch<float> buffers(device.threads * 2 * hidden);
  device.parallelRanges(length, std::max<int64_t>(1, 16384 / hidden), [&](int64_t from, int64_t to, int thread) {
    for (int64_t i = from; i < to; i++) {
      const int64_t at = rows.which[begin + i];
      const float own = wanted[at];
      largest[at] += std::log(total[at]);
      wanted[at] = largest[at] - own;
      if (!dx) continue;
      float* buffer = buffers + thread * 2 * hidden;
      const float* row = readRow(weight, targets.data<int32_t>()[at] * hidden, hidden, buffer);
      float* to = rowFor(dx, at * hidden, buffer + hidden);
      const float inverse = 1 / total[at], less = slopeOf(own, softcap);
      for (int64_t j = 0; j < hidden; j++) to[j] = weighted.data<float>()[i * hidden + j] * inverse - less * row[j];
      writeRow(dx, at * hidden, to, hidden);
    }
  });
}

void linearCrossEntropyBackward(Device& device, Out dweight, In dlosses, In x, In weight, In targets, In lse,
                                float softcap, int first, int words) {
  const int64_t hidden = x.cols(), vocab = weight.rows(), width = words, stride = padded(width);
  const float* dloss = dlosses.data<float>();
  const Rows rows(x, rowsWhere(targets, vocab, [&](int64_t i) { return dloss[i] != 0; }), chunkTokens);
  if (rows.count() == 0) return;

  // Chunks of tokens add up in f32, so that a narrow dweight is rounded once.
  const bool wide = dweight.dtype == DType::f32 || rows.count() <= chunkTokens;
  Scratch<float> logits(std::min(chunkTokens, rows.count()) * stride), gathered(wide ? 0 : width * hidden);
  for (int64_t begin = 0; begin < rows.count(); begin += chunkTokens) {
    const int64_t length = std::min(chunkTokens, rows.count() - begin);
    const Matrix chunk = rows.chunk(begin, length);
    logitsOf(device, logits, chunk, length, weight, first, width, softcap);
    device.parallelRanges(length, std::max<int64_t>(1, 8192 / stride), [&](int64_t from, int64_t to, int) {
      for (int64_t i = from; i < to; i++) {
        float* row = logits + i * stride;
        const int64_t token = rows.which[begin + i], target = targets.data<int32_t>()[token] - first;
        const float total = lse.data<float>()[token], factor = dloss[token];
        const float own = target >= 0 && target < width ? slopeOf(row[target], softcap) : 0;
        eachRegister(row, stride,
                     [&](Floats logit, int64_t) { return exp(logit - total) * slope(logit, softcap) * factor; });
        if (target >= 0 && target < width) row[target] -= own * factor;
      }
    });
    const Term term{matrixOf(logits.data(), stride).transposed(), chunk, length};
    if (wide) {
      const Destination to = Destination{dweight.bytes, dweight.dtype, hidden}.adding();
      gemmTiles(device, product(width, hidden, term), [&](const Tile& tile) { to.write(tile, first * hidden); });
    } else {
      gemm(device, product(width, hidden, term), Destination{gathered.data(), DType::f32, hidden}.adding(begin > 0));
    }
  }
  if (wide) return;
  device.parallelRanges(width, std::max<int64_t>(1, 16384 / hidden), [&](int64_t from, int64_t to, int) {
    const Destination sum = Destination{dweight.bytes, dweight.dtype, hidden}.adding();
    sum.write(Tile{0, first + from, 0, to - from, hidden, gathered + from * hidden, hidden});
  });
}

}  // namespace cpu::CPU_ISA
