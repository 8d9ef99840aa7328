// Softmax and its logarithm over the last axis, and their gradients.
//
//   softmax     out = exp(x - max) / Σ exp(x - max)      dx = out · (dout - Σ dout · out)
//   logSoftmax  out = x - max - ln Σ exp(x - max)        dx = dout - exp(out) · Σ dout
//
//   all  [rows, cols]   contiguous
//
// A warp or a block per row (see row.cuh), which holds rows of up to 8192 in registers and reads longer ones twice, the
// maximum and the sum in one pass. A row of nothing but -inf gives NaN, as 0 / 0 does.
#include "../kernels/softmax.h"
#include "tools/row.cuh"

namespace cuda {
namespace {

constexpr int forwardKept = 4, backwardKept = 2;

template <bool logarithm, int width, int kept>
__global__ void softmaxRow(Sink out, Source x, int64_t rows, int64_t cols) {
  const RowGroup group;
  if (group.first >= rows) return;
  Row<width, kept> row(x, group.first, cols);
  float most = -INFINITY, sum = 0;
  if constexpr (kept > 0) {
    eachChunk<width, kept>(cols, [&](int64_t i, int chunk) {
      for (float v : row(i, chunk)) most = Max()(most, v);
    });
    most = groupReduce(most, Max());
    eachChunk<width, kept>(cols, [&](int64_t i, int chunk) {
      for (float& v : row(i, chunk)) {
        sum += expf(v - most);
        if constexpr (!logarithm) v = expf(v - most);
      }
    });
  } else {
    eachChunk<width, kept>(cols, [&](int64_t i, int chunk) {
      const auto& v = row(i, chunk);
      float higher = most;
#pragma unroll
      for (int j = 0; j < width; j++) higher = Max()(higher, v[j]);
      if (higher == -INFINITY) return;
      sum *= expf(most - higher);
#pragma unroll
      for (int j = 0; j < width; j++) sum += expf(v[j] - higher);
      most = higher;
    });
    const float own = most;
    most = groupReduce(most, Max());
    sum = own == -INFINITY && most > -INFINITY ? 0 : sum * expf(own - most);
  }
  sum = groupReduce(sum, Sum());
  const float scale = 1 / sum, shift = logf(sum);
  eachChunk<width, kept>(cols, [&](int64_t i, int chunk) {
    auto& v = row(i, chunk);
#pragma unroll
    for (int j = 0; j < width; j++) {
      if constexpr (logarithm) v[j] = v[j] - most - shift;
      else v[j] = (kept > 0 ? v[j] : expf(v[j] - most)) * scale;
    }
    out.store(row.start + i, v);
  });
}

template <bool logarithm, int width, int kept>
__global__ void softmaxGradientRow(Sink dx, Source dout, Source out, int64_t rows, int64_t cols) {
  const RowGroup group;
  if (group.first >= rows) return;
  Row<width, kept> grad(dout, group.first, cols), y(out, group.first, cols);
  float sum = 0;
  eachChunk<width, kept>(cols, [&](int64_t i, int chunk) {
    const auto& g = grad(i, chunk);
    if constexpr (logarithm) {
#pragma unroll
      for (int j = 0; j < width; j++) sum += g[j];
    } else {
      const auto& v = y(i, chunk);
#pragma unroll
      for (int j = 0; j < width; j++) sum += g[j] * v[j];
    }
  });
  sum = groupReduce(sum, Sum());
  eachChunk<width, kept>(cols, [&](int64_t i, int chunk) {
    auto& g = grad(i, chunk);
    const auto& v = y(i, chunk);
#pragma unroll
    for (int j = 0; j < width; j++) g[j] = logarithm ? g[j] - expf(v[j]) * sum : v[j] * (g[j] - sum);
    dx.store(grad.start + i, g);
  });
}

template <bool logarithm>
void forward(Device& device, const Out& out, const In& x) {
  const int64_t rows = x.rows(), cols = x.cols();
  if (rows == 0 || cols == 0) return;
  const RowPlan plan(cols, forwardKept, inEights(out, cols) && inEights(x, cols));
  const auto start = [&](auto kernel) { launch(device, kernel, plan.grid(rows), Sink(out), Source(x), rows, cols); };
  if (plan.fits) start(softmaxRow<logarithm, 8, forwardKept>);
  else if (plan.width == 8) start(softmaxRow<logarithm, 8, 0>);
  else start(softmaxRow<logarithm, 1, 0>);
}

template <bool logarithm>
void backward(Device& device, const Out& dx, const In& dout, const In& out) {
  const int64_t rows = out.rows(), cols = out.cols();
  if (rows == 0 || cols == 0) return;
  const RowPlan plan(cols, backwardKept, inEights(dx, cols) && inEights(dout, cols) && inEights(out, cols));
  const auto start = [&](auto kernel) {
    launch(device, kernel, plan.grid(rows), Sink(dx), Source(dout), Source(out), rows, cols);
  };
  if (plan.fits) start(softmaxGradientRow<logarithm, 8, backwardKept>);
  else if (plan.width == 8) start(softmaxGradientRow<logarithm, 8, 0>);
  else start(softmaxGradientRow<logarithm, 1, 0>);
}

}  // namespace

void softmax(Device& device, Out out, In x) { forward<false>(device, out, x); }
void logSoftmax(Device& device, Out out, In x) { forward<true>(device, out, x); }
void softmaxBackward(Device& device, Out dx, In dout, In out) { backward<false>(device, dx, dout, out); }
void logSoftmaxBackward(Device& device, Out dx, In dout, In out) { backward<true>(device, dx, dout, out); }

}  // namespace cuda
