// LoRA: a frozen linear layer and its rank-r correction (Hu et al., 2021, arXiv:2106.09685).
//
//   out    = x W' + bias + s · (x A') B' + residual   x [tokens, in], W [out, in], A [r, in], B [out, r]
//   hidden = x A'                                     [tokens, r], kept in f32 for the gradient
//   dS     = dout B                                   [tokens, r]
//   dx     = dout W + s · dS A
//   da     = s · dS' x,   db = s · dout' hidden
//
// The correction rides in the frozen product's accumulators as one more step of k, so `out` and `dx` are written once.
// dS and db come from one reading of dout (lora-gradient.cuh). A and B are f32 and small: where x is narrow they are
// rounded to its format first, so that every large product runs on tensor cores. All tensors are contiguous.
#include "../kernels/copy.h"
#include "../kernels/lora.h"
#include "device/launch.h"
#include "lora-gradient.cuh"
#include "products/matmul.h"

namespace cuda {
namespace {

// A copy of `from` in another format, or `from` itself.
class Rounded {
 public:
  Rounded(Device& device, const View& from, DType dtype)
      : copy_(device, from.dtype == dtype ? 0 : from.size() * format(dtype).blockBytes), view_(matrixOf(from)) {
    if (from.dtype == dtype) return;
    const View source = view_;
    view_ = matrixAt(copy_, dtype, from.rows(), from.cols());
    copy(device, Out{view_}, In{source});
  }
  operator const View&() const { return view_; }

 private:
  Scratch<char> copy_;
  View view_;
};

}  // namespace

void loraLinear(Device& device, Out out, Out hidden, In x, In weight, In bias, In residual, In a, In b, float scaling) {
  const View rows = matrixOf(x), middle = matrixOf(hidden);
  multiply(device, middle, rows, transposed(Rounded(device, a, x.dtype)));
  multiply(device, matrixOf(out), rows, transposed(matrixOf(weight)),
           {.bias = bias, .residual = residual ? matrixOf(residual) : View{}},
           {middle, transposed(matrixOf(b)), scaling});
}

void loraLinearBackward(Device& device, Out dx, Out da, Out db, In dout, In x, In weight, In a, In b, In hidden,
                        float scaling) {
  const int64_t tokens = x.rows(), rank = a.rows();
  const DType dtype = x.dtype == dout.dtype ? x.dtype : DType::f32;
  const View gradient = matrixOf(dout);
  Scratch<char> through(device, tokens * rank * format(dtype).blockBytes);
  const View dS = matrixAt(through, dtype, tokens, rank);
  if (!loraGradient(device, dS, db, dout, b, hidden, scaling)) {
    multiply(device, dS, gradient, Rounded(device, b, dout.dtype));
    multiply(device, matrixOf(db), transposed(gradient), Rounded(device, hidden, dout.dtype), {.scale = scaling});
  }
  if (dx) multiply(device, matrixOf(dx), gradient, matrixOf(weight), {}, {dS, matrixOf(a), scaling});
  multiply(device, matrixOf(da), transposed(dS), matrixOf(x), {.scale = scaling});
}

void loraMerge(Device& device, Out weight, In a, In b, float scaling) {
  multiply(device, matrixOf(weight), matrixOf(b), matrixOf(a), {.residual = matrixOf(weight), .scale = scaling});
}

}  // namespace cuda
