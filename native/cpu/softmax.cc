// Softmax and its logarithm over the last axis, and their gradients.
//
//   softmax     out = exp(x - max) / Σ exp(x - max)      dx = out · (dout - Σ dout · out)
//   logSoftmax  out = x - max - ln Σ exp(x - max)        dx = dout - exp(out) · Σ dout
//
//   all  [rows, cols]   contiguous
//
// One thread per row, in three passes over it that hit cache. A row of nothing but -inf gives NaN, as 0 / 0 does.
#include "../kernels/softmax.h"
#include "device.h"
#include "tools/simd.h"

namespace cpu::CPU_ISA {
namespace {

constexpr int64_t grain = 4096;  // elements that are worth a thread

// Runs body(row's x, row's out) with rows as f32, and stores what it left in the second.
template <class Body>
void eachRow(Device& device, const View& out, const View& x, Body&& body) {
  const int64_t rows = x.rows(), cols = x.cols();
  if (rows == 0 || cols == 0) return;
  const Scratch<float> buffers(device.threads * cols * 2);
  device.parallelRanges(rows, cols >= grain ? 1 : grain / cols, [&](int64_t begin, int64_t end, int thread) {
    float* buffer = buffers + thread * cols * 2;
    for (int64_t row = begin; row < end; row++) {
      const float* from = readRow(x, row * cols, cols, buffer);
      float* to = rowFor(out, row * cols, buffer + cols);
      body(from, to, row, thread);
      writeRow(out, row * cols, to, cols);
    }
  });
}

float maximum(const float* x, int64_t cols) {
  if (cols < lanes) {
    float most = x[0];
    for (int64_t i = 1; i < cols; i++) most = x[i] > most ? x[i] : most;
    return most;
  }
  Floats most[slots] = {load(x), load(x), load(x), load(x)};
  eachRegister(cols / lanes * lanes,
               [&](int64_t i, auto access, int slot) { most[slot] = max(most[slot], access.load(x + i)); });
  // The last register overlaps the one before it, which leaves the maximum unchanged.
  most[0] = max(most[0], load(x + cols - lanes));
  return maxLanes(max(max(most[0], most[1]), max(most[2], most[3])));
}

}  // namespace

void softmax(Device& device, Out out, In x) {
  const int64_t cols = x.cols();
  eachRow(device, out, x, [cols](const float* from, float* to, int64_t, int) {
    const float most = maximum(from, cols);
    Floats sums[slots] = {};
    const int64_t whole = cols / lanes * lanes;
    eachRegister(whole, [&](int64_t i, auto access, int slot) {
      const Floats e = exp(access.load(from + i) - most);
      sums[slot] += e;
      access.store(to + i, e);
    });
    float sum = sumSlots(sums);
    for (int64_t i = whole; i < cols; i++) sum += to[i] = exp(splat(from[i] - most))[0];
    const float scale = 1 / sum;
    eachRegister(cols, [&](int64_t i, auto access, int) { access.store(to + i, access.load(to + i) * scale); });
  });
}

void logSoftmax(Device& device, Out out, In x) {
  const int64_t cols = x.cols();
  eachRow(device, out, x, [cols](const float* from, float* to, int64_t, int) {
    const float most = maximum(from, cols);
    Floats sums[slots] = {};
    const int64_t whole = cols / lanes * lanes;
    eachRegister(whole, [&](int64_t i, auto access, int slot) { sums[slot] += exp(access.load(from + i) - most); });
    float sum = sumSlots(sums);
    for (int64_t i = whole; i < cols; i++) sum += exp(splat(from[i] - most))[0];
    const float shift = std::log(sum);
    eachRegister(cols,
                 [&](int64_t i, auto access, int) { access.store(to + i, access.load(from + i) - most - shift); });
  });
}

void softmaxBackward(Device& device, Out dx, In dout, In out) {
  const int64_t cols = out.cols();
  const Scratch<float> buffers(device.threads * cols);
  eachRow(device, dx, out, [&](const float* y, float* to, int64_t row, int thread) {
    const float* grad = readRow(dout, row * cols, cols, buffers + thread * cols);
    Floats sums[slots] = {};
    eachRegister(cols,
                 [&](int64_t i, auto access, int slot) { sums[slot] += access.load(grad + i) * access.load(y + i); });
    const float sum = sumSlots(sums);
    eachRegister(cols, [&](int64_t i, auto access, int) {
      access.store(to + i, access.load(y + i) * (access.load(grad + i) - sum));
    });
  });
}

void logSoftmaxBackward(Device& device, Out dx, In dout, In out) {
  const int64_t cols = out.cols();
  const Scratch<float> buffers(device.threads * cols);
  eachRow(device, dx, out, [&](const float* y, float* to, int64_t row, int thread) {
    const float* grad = readRow(dout, row * cols, cols, buffers + thread * cols);
    Floats sums[slots] = {};
    eachRegister(cols, [&](int64_t i, auto access, int slot) { sums[slot] += access.load(grad + i); });
    const float sum = sumSlots(sums);
    eachRegister(cols, [&](int64_t i, auto access, int) {
      access.store(to + i, access.load(grad + i) - exp(access.load(y + i)) * sum);
    });
  });
}

}  // namespace cpu::CPU_ISA
