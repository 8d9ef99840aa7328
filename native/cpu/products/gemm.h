// Matrix products for the CPU's kernels: sums of products of strided matrices, given tile by tile, in f32, to the
// caller, which finishes a tile (rounding, a bias, a softmax) while it is still in cache.
//
//   tile = Σ over terms: scale · a [M, K] × b [K, N]
//
// The order in which an element's sum is formed depends on M, N, K and the strides, never on the number of threads. Where
// both operands are contiguous along k (x × W'), it depends on K alone: a sequence's numbers are the same in any batch.
#pragma once
#include <type_traits>
#include "../../activation.h"
#include "../../view.h"
#include "../device.h"

namespace cpu::CPU_ISA {

struct Matrix {
  const void* data = nullptr;
  DType dtype = DType::f32;
  int64_t rowStride = 0, colStride = 0;  // in elements

  Matrix transposed() const { return {data, dtype, colStride, rowStride}; }
  // The matrix from an element on: a count of elements, not bytes.
  Matrix at(int64_t offset) const {
    return {static_cast<const char*>(data) + offset * format(dtype).blockBytes, dtype, rowStride, colStride};
  }
};

// A tensor's last axis as columns, everything before as rows; the tensor is contiguous.
inline Matrix matrixOf(const View& x) { return {x.bytes, x.dtype, x.cols(), 1}; }
inline Matrix matrixOf(const float* x, int64_t rowStride) { return {x, DType::f32, rowStride, 1}; }

struct Term {
  Matrix a, b;
  int64_t K = 0;
  float scale = 1;
};

struct Product {
  int64_t M = 0, N = 0;
  Term terms[2];
  int termCount = 1;
  // Several products of one shape: element offsets of each one's `a` and `b`, for a product of one term.
  int64_t batches = 1;
  const int64_t* aOffsets = nullptr;
  const int64_t* bOffsets = nullptr;

  int64_t K() const { return terms[0].K + (termCount > 1 ? terms[1].K : 0); }
  Term term(int i, int64_t batch) const {
    Term t = terms[i];
    if (aOffsets) t.a = t.a.at(aOffsets[batch]);
    if (bOffsets) t.b = t.b.at(bOffsets[batch]);
    return t;
  }
};

// A finished piece of the product: `rows` × `cols` values from (row, col) on. They may be changed in place.
struct Tile {
  int64_t batch, row, col, rows, cols;
  float* values;
  int64_t stride;
};

// A tile's destination. Called from several threads at once, for tiles that never overlap.
struct Finish {
  void (*call)(void* state, const Tile& tile);
  void* state;
};

void gemm(Device& device, const Product& product, Finish finish);

// The same with any callable: body(tile).
template <class Body>
void gemmTiles(Device& device, const Product& product, Body&& body) {
  using Plain = std::remove_reference_t<Body>;
  gemm(device, product,
       Finish{[](void* state, const Tile& tile) { (*static_cast<Plain*>(state))(tile); }, (void*)&body});
}

// Rows of a result in memory, in any floating-point format: activation(sums + bias) + residual.
struct Destination {
  void* data = nullptr;
  DType dtype = DType::f32;
  int64_t rowStride = 0;
  const float* bias = nullptr;  // one number per column, optional
  Activation activation = Activation::none;
  const void* residual = nullptr;  // optional: laid out as `data`, and may be `data`
  DType residualType = DType::f32;

  // The same, added to what is there if `more`.
  Destination adding(bool more = true) const {
    Destination to = *this;
    if (more) to.residual = data, to.residualType = dtype;
    return to;
  }

  void write(const Tile& tile, int64_t offset = 0) const;
};

// One product, written where it belongs.
void gemm(Device& device, const Product& product, const Destination& out);

// For products with one small side (see matvec.cc): no packing of the large operand. gemm() calls it when `suits`.
bool matvecSuits(const Product& product);
void matvec(Device& device, const Product& product, Finish finish);

// For products whose operands are both contiguous along k (see dots.cc): rows that do not depend on how many there are.
bool dotsSuit(const Product& product);
void dots(Device& device, const Product& product, Finish finish);

}  // namespace cpu::CPU_ISA
