// AdamW (Loshchilov and Hutter, 2019, arXiv:1711.05101) over all tensors of one step, and the norm that clips gradients.
//
//   p  = p · (1 - lr · decay)
//   m  = β1 · m + (1 - β1) · g          v = β2 · v + (1 - β2) · g²
//   p -= lr / (1 - β1^t) · m / (√v / √(1 - β2^t) + eps)
//
// g is the gradient times min(1, maxNorm / (√norm + 1e-6)), with `norm` the sum of squares that squaredNorm gives.
// Tensors are contiguous. All elements of all tensors are cut into pieces of one size, which the threads share.
#include <cmath>
#include <vector>
#include "../kernels/adamw.h"
#include "device.h"
#include "tools/simd.h"

namespace cpu::CPU_ISA {
namespace {

constexpr int64_t pieceSize = 16384;

struct Piece {
  int tensor;
  int64_t begin, count;
};

template <class Views>
std::vector<Piece> piecesOf(const Views& tensors) {
  std::vector<Piece> pieces;
  for (int t = 0; t < tensors.count; t++)
    for (int64_t i = 0, size = tensors[t].size(); i < size; i += pieceSize)
      pieces.push_back({t, i, size - i < pieceSize ? size - i : pieceSize});
  return pieces;
}

typedef double Doubles __attribute__((vector_size(lanes * 8)));

double squares(const View& x, int64_t begin, int64_t count) {
  double total = 0;
  visitFloat(x.dtype, [&](auto tag) {
    const auto* from = x.data<decltype(tag)>() + begin;
    Doubles sums{};
    const auto add = [&](Floats values) {
      const Doubles wide = __builtin_convertvector(values, Doubles);
      sums += wide * wide;
    };
    int64_t i = 0;
    for (; i + lanes <= count; i += lanes) add(load(from + i));
    if (i < count) add(loadPart(from + i, count - i));
    for (int lane = 0; lane < lanes; lane++) total += sums[lane];
  });
  return total;
}

struct Update {
  float coefficient, keep, beta2, share1, share2, stepSize, inverseRoot, eps;
};

// f32 rows of `count` elements.
void update(float* p, float* m, float* v, const float* g, int64_t count, const Update& u) {
  const auto advance = [&](Floats gradient, Floats& parameter, Floats& moment, Floats& variance) {
    const Floats clipped = gradient * u.coefficient;
    moment = moment + (clipped - moment) * u.share1;
    variance = variance * u.beta2 + clipped * clipped * u.share2;
    Floats root;
    for (int lane = 0; lane < lanes; lane++) root[lane] = std::sqrt(variance[lane]);
    parameter = parameter * u.keep - moment / (root * u.inverseRoot + u.eps) * u.stepSize;
  };
  int64_t i = 0;
  for (; i + lanes <= count; i += lanes) {
    Floats parameter = load(p + i), moment = load(m + i), variance = load(v + i);
    advance(load(g + i), parameter, moment, variance);
    store(p + i, parameter);
    store(m + i, moment);
    store(v + i, variance);
  }
  if (i < count) {
    const int64_t rest = count - i;
    Floats parameter = loadPart(p + i, rest), moment = loadPart(m + i, rest), variance = loadPart(v + i, rest);
    advance(loadPart(g + i, rest), parameter, moment, variance);
    storePart(p + i, parameter, rest);
    storePart(m + i, moment, rest);
    storePart(v + i, variance, rest);
  }
}

}  // namespace

// The pieces' sums are added in their order, whichever thread formed them.
void squaredNorm(Device& device, Out out, Ins tensors) {
  const std::vector<Piece> pieces = piecesOf(tensors);
  std::vector<double> sums(pieces.size());
  device.parallelFor(int64_t(pieces.size()), [&](int64_t i, int) {
    sums[size_t(i)] = squares(tensors[pieces[size_t(i)].tensor], pieces[size_t(i)].begin, pieces[size_t(i)].count);
  });
  double total = 0;
  for (const double sum : sums) total += sum;
  out.data<float>()[0] = float(total);
}

void adamw(Device& device, Outs parameters, Outs moments, Outs variances, Ins gradients, In norm, float maxNorm,
           double learningRate, double beta1, double beta2, double eps, double weightDecay, double step) {
  float coefficient = 1;
  if (norm) {
    coefficient = maxNorm / (std::sqrt(norm.data<float>()[0]) + 1e-6f);
    if (coefficient > 1) coefficient = 1;
  }
  const double correction1 = 1 - std::pow(beta1, step), correction2 = 1 - std::pow(beta2, step);
  // Differences from 1 are formed in double precision: 1 - 0.999 of two floats is off by 1e-5.
  const Update u{coefficient,
                 float(1 - learningRate * weightDecay),
                 float(beta2),
                 float(1 - beta1),
                 float(1 - beta2),
                 float(learningRate / correction1),
                 float(1 / std::sqrt(correction2)),
                 float(eps)};

  const std::vector<Piece> pieces = piecesOf(parameters);
  // Rows of at most this many elements are widened at a time; four of them fit in L1.
  constexpr int64_t row = 1024;
  device.parallelFor(int64_t(pieces.size()), [&](int64_t index, int) {
    const Piece& piece = pieces[size_t(index)];
    const int t = piece.tensor;
    float buffers[4][row];
    for (int64_t i = piece.begin; i < piece.begin + piece.count; i += row) {
      const int64_t count = std::min(row, piece.begin + piece.count - i);
      // Each is updated in place where it is f32: readRow then gives the tensor's own memory.
      float* p = const_cast<float*>(readRow(parameters[t], i, count, buffers[0]));
      float* m = const_cast<float*>(readRow(moments[t], i, count, buffers[1]));
      float* v = const_cast<float*>(readRow(variances[t], i, count, buffers[2]));
      update(p, m, v, readRow(gradients[t], i, count, buffers[3]), count, u);
      writeRow(parameters[t], i, p, count);
      writeRow(moments[t], i, m, count);
      writeRow(variances[t], i, v, count);
    }
  });
}

}  // namespace cpu::CPU_ISA
