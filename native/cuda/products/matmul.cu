// Matrix product of batches: out [.., M, N] = activation(a [.., M, K] x b [.., K, N] + bias [N]) + residual.
//
//   a, b   strided, in any floating-point formats; a batch stride may be 0. Fewer axes than out's: broadcast.
//   out    contiguous rows
//
// Here the product is brought into its simplest form: axes are joined, batches that share b become rows, operands that
// tensor cores could not read are copied into order. Then the planned kernel runs, and where K was split, a sum.
#include <optional>
#include "../../kernels/matmul.h"
#include "../device/launch.h"
#include "matmul-product.cuh"

namespace cuda {
namespace {

// The stride of x along out's axis i; 0 where x repeats or has one element.
int64_t strideAt(const View& x, const View& out, int i) {
  const int own = i - (out.rank - x.rank);
  return own < 0 || x.shape[own] == 1 ? 0 : x.strides[own];
}

int64_t strideOf(const View& x, int axis) { return x.dim(axis) == 1 ? 0 : x.stride(axis); }

Operand operandOf(const View& x) { return {x.bytes, x.dtype, strideOf(x, -2), strideOf(x, -1)}; }

// A product under construction, with its operands apart by what a batch axis may become.
struct Draft {
  Product product;
  Finish finish;

  // Operands with the rows of out, and operands without.
  void rowOperands(Operand* (&list)[4]) {
    list[0] = &product.terms[0].a, list[1] = &product.terms[1].a, list[2] = &finish.out, list[3] = &finish.residual;
  }
  void colOperands(Operand* (&list)[2]) { list[0] = &product.terms[0].b, list[1] = &product.terms[1].b; }

  // Appends an axis of `size`, inside those so far.
  void addAxis(int64_t size, const int64_t (&strides)[6]) {
    Batches& batches = product.batches;
    Operand *rows[4], *cols[2];
    rowOperands(rows);
    colOperands(cols);
    const auto operand = [&](int i) -> Operand& { return i < 4 ? *rows[i] : *cols[i - 4]; };
    batches.count *= size;
    if (size == 1) return;
    bool joins = batches.axes > 0;
    for (int i = 0; i < 6 && joins; i++) joins = operand(i).batchStrides[batches.axes - 1] == size * strides[i];
    if (!joins) batches.axes++;
    batches.shape[batches.axes - 1] = uint32_t(joins ? batches.shape[batches.axes - 1] * size : size);
    for (int i = 0; i < 6; i++) operand(i).batchStrides[batches.axes - 1] = strides[i];
  }

  // Turns batches that share b, and whose rows follow each other evenly, into rows.
  void foldBatches() {
    Batches& batches = product.batches;
    Operand *rows[4], *cols[2];
    rowOperands(rows);
    colOperands(cols);
    while (batches.axes > 0) {
      const int last = batches.axes - 1;
      for (Operand* x : cols)
        if (x->batchStrides[last] != 0) return;
      for (Operand* x : rows)
        if (product.M > 1 && x->batchStrides[last] != product.M * x->rowStride) return;
      for (Operand* x : rows) {
        if (product.M == 1) x->rowStride = x->batchStrides[last];
        x->batchStrides[last] = 0;
      }
      product.M *= batches.shape[last];
      batches.count /= batches.shape[last];
      batches.axes--;
    }
  }
};

Draft draftOf(const View& out, const View& a, const View& b, const Epilogue& epilogue, const LowRank& lowRank) {
  Draft draft;
  Product& p = draft.product;
  Finish& f = draft.finish;
  p.M = out.dim(-2);
  p.N = out.dim(-1);
  p.terms[0] = {operandOf(a), operandOf(b), a.dim(-1), 1};
  if (lowRank.left) {
    p.terms[1] = {operandOf(lowRank.left), operandOf(lowRank.right), lowRank.left.dim(-1), lowRank.scale};
    p.termCount = 2;
  }
  f.out = operandOf(out);
  if (epilogue.residual) f.residual = operandOf(epilogue.residual);
  if (epilogue.bias) f.bias = {epilogue.bias.bytes, epilogue.bias.dtype, 0, epilogue.bias.stride(-1)};
  f.scale = epilogue.scale;
  f.activation = epilogue.activation;

  const View none{};
  const View& left = lowRank.left ? lowRank.left : none;
  const View& right = lowRank.left ? lowRank.right : none;
  const View& residual = epilogue.residual ? epilogue.residual : none;
  const View* views[6] = {&a, &left, &out, &residual, &b, &right};
  for (int axis = 0; axis + 2 < out.rank; axis++) {
    int64_t strides[6];
    for (int i = 0; i < 6; i++) strides[i] = *views[i] ? strideAt(*views[i], out, axis) : 0;
    draft.addAxis(out.shape[axis], strides);
  }
  draft.foldBatches();
  f.out.colStride = f.residual.colStride = 1;
  f.M = p.M;
  f.N = p.N;
  f.batches = p.batches;
  const bool biasInEights = f.bias.inEights(f.batches, f.bias.colStride, 0);
  f.eights = f.out.rowsInEights(f.batches) && (!f.residual.bytes || f.residual.rowsInEights(f.batches)) &&
             (!f.bias.bytes || biasInEights);
  return draft;
}

// --- split K ---

// Adds up the parts of eight columns of a row, in order, and stores them.
__global__ void sumSplits(const float* parts, const __grid_constant__ Finish finish, int splits, int64_t splitStride,
                          int64_t pitch, int64_t total) {
  const int64_t i = int64_t(blockIdx.x) * blockDim.x + threadIdx.x;
  if (i >= total) return;
  float sums[8] = {};
  for (int split = 0; split < splits; split++) {
    float v[8];
    Source(parts + split * splitStride, DType::f32).load8(8 * i, v);
#pragma unroll
    for (int e = 0; e < 8; e++) sums[e] += v[e];
  }
  const int64_t perRow = pitch / 8;
  finish.store8(uint32_t(i / perRow / finish.M), 0, i / perRow % finish.M, i % perRow * 8, sums);
}

void run(Device& device, const Product& p, const Finish& finish, const MatmulPlan& plan) {
  if (plan.kernel == MatmulKernel::hopper && multiplyHopper(device, p, finish, plan)) return;
  if (plan.kernel == MatmulKernel::vectors) multiplyVectors(device, p, finish, plan);
  else if (plan.kernel == MatmulKernel::floats) multiplyFloats(device, p, finish, plan);
  else multiplyTiles(device, p, finish, plan);
}

void runSplit(Device& device, const Product& p, const Finish& finish, const MatmulPlan& plan) {
  const int64_t pitch = ceilDiv(p.N, 8) * 8, part = p.batches.count * p.M * pitch;
  Scratch<float> parts(device, plan.splits * part);
  Finish plain;
  plain.M = p.M;
  plain.N = pitch;  // the padding may be stored too; whatever it holds is left out of the sums
  plain.batches = {p.batches.count, 1, {uint32_t(p.batches.count)}};
  plain.out = {static_cast<float*>(parts), DType::f32, pitch, 1, {p.M * pitch}};
  plain.splitStride = part;
  plain.eights = true;
  run(device, p, plain, plan);
  const Grid grid{.blocks = dim3(unsigned(ceilDiv(part / 8, 128))), .threads = dim3(128)};
  launch(device, sumSplits, grid, static_cast<float*>(parts), finish, plan.splits, part, pitch, part / 8);
}

}  // namespace

void multiply(Device& device, const View& out, const View& a, const View& b, const Epilogue& epilogue,
              const LowRank& lowRank) {
  Draft draft = draftOf(out, a, b, epilogue, lowRank);
  Product& p = draft.product;
  if (p.batches.count * p.M * p.N == 0) return;

  const Operand &left = p.terms[0].a, &right = p.terms[0].b;
  MatmulShape shape{p.M,
                    p.N,
                    p.terms[0].K + p.terms[1].K,
                    p.batches.count,
                    format(a.dtype).blockBytes,
                    format(b.dtype).blockBytes,
                    format(out.dtype).blockBytes};
  const bool inOrder = ordered(left, p.batches) && ordered(right, p.batches);
  const bool worthOrder = double(p.M) * p.N * p.terms[0].K * p.batches.count > 1e6;
  shape.tensor = a.dtype == b.dtype && a.dtype != DType::f32 && (inOrder || worthOrder);
  shape.streams = (left.colStride == 1 || p.terms[0].K == 1) && (right.rowStride == 1 || right.colStride == 1);
  shape.alongK = right.rowStride == 1;
  shape.hopper = suitsHopper(p);
  const MatmulPlan plan = planMatmul(shape, {device.capability, device.hopper, device.processors, device.memoryRate});

  const bool tensor = plan.kernel == MatmulKernel::tiles || plan.kernel == MatmulKernel::hopper;
  std::optional<Ordered> copies;
  if (tensor) copies.emplace(device, p);
  if (plan.splits > 1) runSplit(device, p, draft.finish, plan);
  else run(device, p, draft.finish, plan);
}

void matmul(Device& device, Out out, In a, In b, In bias, In residual, Activation activation) {
  multiply(device, out, a, b, {.bias = bias, .residual = residual, .activation = activation});
}

}  // namespace cuda
