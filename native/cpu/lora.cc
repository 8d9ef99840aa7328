// LoRA: a frozen linear layer and its rank-r correction, in one product (Hu et al., 2021, arXiv:2106.09685).
//
//   out    = x W' + bias + s · (x A') B'          x [tokens, in], W [out, in], A [r, in], B [out, r]
//   hidden = x A'                                 [tokens, r], kept in f32 for the gradient
//   dx     = dout W + s · (dout B) A
//   da     = s · (dout B)' x,   db = s · dout' hidden
//
// The correction is the product's second term: r more steps of k in tiles that are computed anyway, so `out` is written
// once. W has no gradient. All tensors are contiguous.
#include "../kernels.h"
#include "device.h"
#include "gemm.h"
#include "simd.h"

namespace cpu::CPU_ISA {
namespace {

Product product(int64_t M, int64_t N, const Term& term) {
  Product p;
  p.M = M;
  p.N = N;
  p.terms[0] = term;
  return p;
}

Product product(int64_t M, int64_t N, const Term& first, const Term& second) {
  Product p = product(M, N, first);
  p.terms[1] = second;
  p.termCount = 2;
  return p;
}

Destination destination(const View& out, bool accumulate = false) {
  return {out.bytes, out.dtype, out.cols(), accumulate, nullptr};
}

}  // namespace

void loraLinear(Device& device, Out out, Out hidden, In x, In weight, In bias, In a, In b, float scaling) {
  const int64_t tokens = x.rows(), in = x.cols(), outputs = weight.rows(), rank = a.rows();
  const Matrix input = matrixOf(x);
  gemm(device, product(tokens, rank, {input, matrixOf(a).transposed(), in}), destination(hidden));

  Scratch<float> row(outputs);
  Destination to = destination(out);
  if (bias) to.bias = readRow(bias, 0, outputs, row);
  const Term frozen{input, matrixOf(weight).transposed(), in};
  const Term correction{matrixOf(hidden), matrixOf(b).transposed(), rank, scaling};
  gemm(device, product(tokens, outputs, frozen, correction), to);
}

void loraLinearBackward(Device& device, Out dx, Out da, Out db, In dout, In x, In weight, In a, In b, In hidden,
                        float scaling) {
  const int64_t tokens = x.rows(), in = x.cols(), outputs = weight.rows(), rank = a.rows();
  const Matrix gradient = matrixOf(dout);
  Scratch<float> dhidden(tokens * rank);
  const Matrix through = matrixOf(dhidden.data(), rank);
  gemm(device, product(tokens, rank, {gradient, matrixOf(b), outputs}), Destination{dhidden.data(), DType::f32, rank});

  if (dx) {
    const Term frozen{gradient, matrixOf(weight), outputs}, correction{through, matrixOf(a), rank, scaling};
    gemm(device, product(tokens, in, frozen, correction), destination(dx));
  }
  gemm(device, product(rank, in, {through.transposed(), matrixOf(x), tokens, scaling}), destination(da));
  gemm(device, product(outputs, rank, {gradient.transposed(), matrixOf(hidden), tokens, scaling}), destination(db));
}

void loraMerge(Device& device, Out weight, In a, In b, float scaling) {
  const int64_t outputs = weight.rows(), in = weight.cols(), rank = a.rows();
  gemm(device, product(outputs, in, {matrixOf(b), matrixOf(a), rank, scaling}), destination(weight, true));
}

}  // namespace cpu::CPU_ISA
