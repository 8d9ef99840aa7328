// Matrix products for the host side of other kernels: what kernels.h's matmul does, with more to fuse.
#pragma once
#include "../../activation.h"
#include "../device/device.h"

namespace cuda {

// What happens to the sums before they are stored:
//   out = activation(scale · sum + bias) + residual
struct Epilogue {
  View bias;      // [N], optional
  View residual;  // like out, optional; it may be `out` itself
  float scale = 1;
  Activation activation = Activation::none;
};

// A second product in the same sums: scale · left [.., M, r] × right [r, N]. Any strides and floating-point formats;
// r may be any size.
struct LowRank {
  View left, right;
  float scale = 1;
};

// out [.., M, N] = epilogue(a [.., M, K] × b [.., K, N] + lowRank). a and b are strided; axes that they lack or that have
// size 1 repeat. Rows of `out` are contiguous.
void multiply(Device& device, const View& out, const View& a, const View& b, const Epilogue& epilogue = {},
              const LowRank& lowRank = {});

// A contiguous matrix at `bytes`.
inline View matrixAt(void* bytes, DType dtype, int64_t rows, int64_t cols) {
  View matrix{bytes, dtype, 2};
  matrix.shape = {rows, cols};
  matrix.strides = {cols, 1};
  return matrix;
}

// The matrix whose rows are x's last axis; x is contiguous.
inline View matrixOf(const View& x) { return matrixAt(x.bytes, x.dtype, x.rows(), x.cols()); }

inline View transposed(View x) {
  std::swap(x.shape[x.rank - 2], x.shape[x.rank - 1]);
  std::swap(x.strides[x.rank - 2], x.strides[x.rank - 1]);
  return x;
}

}  // namespace cuda
