// LoRA: a frozen linear layer and its rank-r correction, in one product (Hu et al., 2021, arXiv:2106.09685).
//
//   out    = x W' + bias + s · (x A') B' + residual   x [tokens, in], W [out, in], A [r, in], B [out, r]
//   hidden = x A'                                     [tokens, r], kept in f32 for the gradient
//   dx     = dout W + s · (dout B) A
//   da     = s · (dout B)' x,   db = s · dout' hidden
//
// The correction is the product's second term: r more steps of k in tiles that are computed anyway, so `out` is written
// once. W has no gradient. All tensors are contiguous.
#include "../kernels/lora.h"
#include "device.h"
#include "products/gemm.h"
#include "tools/simd.h"

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

Destination destination(const View& out) { return {out.bytes, out.dtype, out.cols()}; }

// Rows and segments are data, which lib/ops cannot check: wrong ones would write outside `out`.
void checkGroups(const View& out, const View& ranks, int64_t most, const View& order, const View& segments) {
  const int64_t rows = out.rows(), tokens = order.size();
  for (int64_t s = 0; s < ranks.size(); s++)
    if (const int32_t rank = ranks.data<int32_t>()[s]; rank < 0 || rank > most)
      throw std::runtime_error("slot " + std::to_string(s) + " has rank " + std::to_string(rank) + " of at most " +
                               std::to_string(most));
  const int32_t *row = order.data<int32_t>(), *start = segments.data<int32_t>();
  for (int64_t s = 0; s + 1 < segments.size(); s++)
    if (start[s] < 0 || start[s] > start[s + 1] || start[s + 1] > tokens)
      throw std::runtime_error("slot " + std::to_string(s) + " has the rows " + std::to_string(start[s]) + " to " +
                               std::to_string(start[s + 1]) + " of " + std::to_string(tokens));
  for (int64_t i = 0; i < tokens; i++)
    if (row[i] < 0 || row[i] >= rows)
      throw std::runtime_error("row " + std::to_string(row[i]) + " of a batch of " + std::to_string(rows));
}

}  // namespace

void loraLinear(Device& device, Out out, Out hidden, In x, In weight, In bias, In residual, In a, In b, float scaling) {
  const int64_t tokens = x.rows(), in = x.cols(), outputs = weight.rows(), rank = a.rows();
  const Matrix input = matrixOf(x);
  gemm(device, product(tokens, rank, {input, matrixOf(a).transposed(), in}), destination(hidden));

  Scratch<float> row(outputs);
  Destination to = destination(out);
  to.residual = residual.bytes, to.residualType = residual.dtype;
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
  gemm(device, product(outputs, in, {matrixOf(b), matrixOf(a), rank, scaling}), destination(weight).adding());
}

void loraGrouped(Device& device, Out out, In x, In a, In b, In ranks, In scalings, In order, In segments) {
  checkGroups(out, ranks, a.dim(1), order, segments);
  const int64_t slots = a.dim(0), most = a.dim(1), in = a.dim(2), outputs = b.dim(1);
  const int32_t *row = order.data<int32_t>(), *start = segments.data<int32_t>();
  const auto addSlot = [&](Device& used, int64_t slot) {
    const int64_t first = start[slot], count = start[slot + 1] - first, rank = ranks.data<int32_t>()[slot];
    if (count == 0 || rank == 0) return;
    Scratch<float> rows(count * in), hidden(count * rank);
    for (int64_t i = 0; i < count; i++) {
      const float* from = readRow(x, row[first + i] * in, in, rows + i * in);
      if (from != rows + i * in) std::copy(from, from + in, rows + i * in);
    }
    const Matrix down = matrixOf(a).at(slot * most * in), up{b.bytes, b.dtype, most, 1};
    gemm(used, product(count, rank, {matrixOf(rows.data(), in), down.transposed(), in}),
         Destination{hidden.data(), DType::f32, rank});
    const Term correction{matrixOf(hidden.data(), rank), up.at(slot * outputs * most).transposed(), rank};
    gemmTiles(used, product(count, outputs, correction), [&](const Tile& tile) {
      for (int64_t r = 0; r < tile.rows; r++) {
        for (int64_t c = 0; c < tile.cols; c++) tile.values[r * tile.stride + c] *= scalings.data<float>()[slot];
        const Tile line{0, 0, tile.col, 1, tile.cols, tile.values + r * tile.stride, tile.stride};
        destination(out).adding().write(line, row[first + tile.row + r] * outputs);
      }
    });
  };
  int64_t busy = 0;
  for (int64_t slot = 0; slot < slots; slot++) busy += start[slot + 1] > start[slot];
  if (busy >= device.threads && device.threads > 1) {
    device.parallelFor(slots, [&](int64_t slot, int) {
      Device alone{1};
      addSlot(alone, slot);
    });
  } else {
    for (int64_t slot = 0; slot < slots; slot++) addSlot(device, slot);
  }
}

}  // namespace cpu::CPU_ISA
