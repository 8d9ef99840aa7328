// What the kernels of a matrix product are given: where the operands lie, and what happens to the sums.
//
// M, N and K are the sizes of out [M, N] = a [M, K] × b [K, N]. A second term [M, K'] × [K', N] may go into the same sums
// (LoRA's correction).
#pragma once
#include "../device/device.h"
#include "../tools/vector.cuh"
#include "matmul-plan.h"
#include "matmul.h"

namespace cuda {

constexpr int batchAxes = maxRank - 2;

// Blocks and batches are counted in 32 bits: division is then one instruction sequence, without a call.
//
// The leading axes of `out`, size 1 left out and neighbours joined where every operand allows it; innermost last.
struct Batches {
  int64_t count = 1;
  int axes = 0;
  uint32_t shape[batchAxes] = {};

  __device__ int64_t offset(const int64_t (&strides)[batchAxes], uint32_t batch) const {
    if (axes == 1) return batch * strides[0];
    int64_t offset = 0;
    for (int i = axes - 1; i >= 0; i--) {
      offset += int64_t(batch % shape[i]) * strides[i];
      batch /= shape[i];
    }
    return offset;
  }
};

// Element (i, j) of batch z lies at offset(z) + i · rowStride + j · colStride.
struct Operand {
  void* bytes = nullptr;
  DType dtype = DType::f32;
  int64_t rowStride = 0, colStride = 0;
  int64_t batchStrides[batchAxes] = {};

  // Rows or columns whose runs start at multiples of 16 bytes and whose elements are neighbours.
  bool inEights(const Batches& batches, int64_t unitStride, int64_t otherStride) const {
    bool even = unitStride == 1 && otherStride % 8 == 0 && reinterpret_cast<uintptr_t>(bytes) % 16 == 0;
    for (int i = 0; i < batches.axes; i++) even = even && batchStrides[i] % 8 == 0;
    return even;
  }
  bool rowsInEights(const Batches& batches) const { return inEights(batches, colStride, rowStride); }
  bool colsInEights(const Batches& batches) const { return inEights(batches, rowStride, colStride); }
};

struct Term {
  Operand a, b;
  int64_t K = 0;
  float scale = 1;
};

struct Product {
  int64_t M = 0, N = 0;
  Batches batches;
  Term terms[2];
  int termCount = 1;

  // Steps of `size` (a power of two) along K, the second term's after the first's.
  __device__ __forceinline__ uint32_t steps(int size) const {
    const uint32_t first = uint32_t((terms[0].K + size - 1) / size);
    return termCount > 1 ? first + uint32_t((terms[1].K + size - 1) / size) : first;
  }
};

// Where part `i` of `count` steps begins.
__device__ __forceinline__ int partOf(uint64_t steps, uint32_t i, uint32_t parts) {
  return int(uint32_t(steps) / parts * i + uint32_t(steps) % parts * i / parts);
}

__device__ __forceinline__ float activate(float x, Activation activation) {
  if (activation == Activation::silu) return x / (1 + __expf(-x));
  if (activation == Activation::gelu) return 0.5f * x * (1 + erff(x * 0.70710678f));
  if (activation == Activation::geluTanh) return 0.5f * x * (1 + tanhf(0.79788456f * (x + 0.044715f * x * x * x)));
  return x;
}

// Rows that may be stored, and where their bias begins.
struct Within {
  int64_t rows, bias;
};

// Stores sums: scale, bias, activation, residual and the output's format. Where K is split, each part's
// sums go to a workspace of its own, `splitStride` elements apart.
struct Finish {
  int64_t M = 0, N = 0;
  Batches batches;
  Operand out, residual, bias;  // the columns of out and residual are neighbours; bias has only columns
  int64_t splitStride = 0;
  float scale = 1;
  Activation activation = Activation::none;
  bool eights = false;  // rows of out, residual and bias may be touched eight columns at a time

  // Whether sums, times `scale`, are all that out takes, in the operands' 16-bit format: TMA can store them.
  bool leavesByBoxes(DType operands) const {
    return out.dtype == operands && eights && !bias.bytes && !residual.bytes && activation == Activation::none;
  }

  __device__ __forceinline__ void store1(uint32_t batch, int split, int64_t row, int64_t col, float v) const {
    store1(batch, split, row, col, v, {M, 0});
  }
  // The row is known to be within.
  __device__ __forceinline__ void store1(uint32_t batch, int split, int64_t row, int64_t col, float v,
                                         const Within& within) const {
    v *= scale;
    if (bias.bytes) v += Source(bias.bytes, bias.dtype)[within.bias + col * bias.colStride];
    v = activate(v, activation);
    if (residual.bytes)
      v += Source(residual.bytes,
                  residual.dtype)[batches.offset(residual.batchStrides, batch) + row * residual.rowStride + col];
    const int64_t at = batches.offset(out.batchStrides, batch) + split * splitStride + row * out.rowStride + col;
    Sink(out.bytes, out.dtype).store(at, v);
  }

  // Columns `col` to `col` + 7 of one row, those inside the matrix; `col` is a multiple of 8. Every call is inlined and
  // long: kernels have one or two.
  __device__ __forceinline__ void store8(uint32_t batch, int split, int64_t row, int64_t col, float (&v)[8]) const {
    store8(batch, split, row, col, v, {M, 0});
  }
  __device__ __forceinline__ void store8(uint32_t batch, int split, int64_t row, int64_t col, float (&v)[8],
                                         const Within& within) const {
    if (row >= within.rows || col >= N) return;
    const int count = N - col < 8 ? int(N - col) : 8;
    const bool whole = eights && count == 8;
#pragma unroll
    for (int i = 0; i < 8; i++) v[i] *= scale;
    if (bias.bytes) add(v, bias, within.bias + col * bias.colStride, bias.colStride, count, whole);
    if (activation != Activation::none)
#pragma unroll
      for (int i = 0; i < 8; i++) v[i] = activate(v[i], activation);
    if (residual.bytes)
      add(v, residual, batches.offset(residual.batchStrides, batch) + row * residual.rowStride + col, 1, count, whole);
    const int64_t at = batches.offset(out.batchStrides, batch) + split * splitStride + row * out.rowStride + col;
    const Sink sink(out.bytes, out.dtype);
    if (whole) {
      sink.store8(at, v);
    } else {
#pragma unroll
      for (int i = 0; i < 8; i++)
        if (i < count) sink.store(at + i, v[i]);
    }
  }

 private:
  __device__ static __forceinline__ void add(float (&v)[8], const Operand& x, int64_t at, int64_t stride, int count,
                                             bool whole) {
    const Source source(x.bytes, x.dtype);
    float other[8];
    if (whole) {
      source.load8(at, other);
    } else {
#pragma unroll
      for (int i = 0; i < 8; i++) other[i] = i < count ? source[at + i * stride] : 0.0f;
    }
#pragma unroll
    for (int i = 0; i < 8; i++) v[i] += other[i];
  }
};

// Whether tensor cores can read it where it lies: along one of its axes, in runs from multiples of 16 bytes.
bool ordered(const Operand& x, const Batches& batches);

// Copies an operand [rows, cols], times `scale`, to runs along its columns, or with `alongCols` false along its rows. The
// copy lives as long as what it returns.
std::shared_ptr<void> pack(Device& device, Operand& x, Batches batches, int64_t rows, int64_t cols, bool alongCols,
                           DType dtype, float scale);

// Brings both terms' operands into that order and into one 16-bit format; the second term's along the same axes as the
// first's.
struct Ordered {
  std::shared_ptr<void> copies[4];

  Ordered(Device& device, Product& product);
};

// The kernels, each in a file of its own. The plan's splits share K; `finish` is then that of the workspace.
void multiplyTiles(Device& device, const Product& product, const Finish& finish, const MatmulPlan& plan);  // sm_80
void multiplyFloats(Device& device, const Product& product, const Finish& finish,
                    const MatmulPlan& plan);  // any formats
void multiplyVectors(Device& device, const Product& product, const Finish& finish, const MatmulPlan& plan);  // M <= 8
// sm_90a. False where this build's kernel cannot run: multiplyTiles then takes the same plan.
bool multiplyHopper(Device& device, const Product& product, const Finish& finish, const MatmulPlan& plan);

// Whether the wgmma kernel can run it: operands in the order that TMA takes, at most one batch axis.
bool suitsHopper(const Product& product);

}  // namespace cuda
