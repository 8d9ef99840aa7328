// Operands of a matrix product in an order that tensor cores can read: runs of one 16-bit format, along K or along the other
// axis, that start at multiples of 16 bytes. Those that lie otherwise are copied.
#include "../device/launch.h"
#include "matmul-product.cuh"

namespace cuda {
namespace {

// to [batches, rows, pitch] = scale · from [batches, rows, cols], the rest of each row 0. A thread per eight elements.
template <class T>
__global__ void packRows(uint4* to, const __grid_constant__ Operand from, const __grid_constant__ Batches batches,
                         int64_t rows, int64_t cols, int64_t total, float scale) {
  const int64_t i = int64_t(blockIdx.x) * blockDim.x + threadIdx.x, perRow = (cols + 7) / 8;
  if (i >= total) return;
  const int64_t col = i % perRow * 8, row = i / perRow % rows;
  const uint32_t batch = uint32_t(i / perRow / rows);
  const int64_t at = batches.offset(from.batchStrides, batch) + row * from.rowStride;
  const Source source(from.bytes, from.dtype);
  float v[8];
#pragma unroll
  for (int e = 0; e < 8; e++) v[e] = col + e < cols ? scale * source[at + (col + e) * from.colStride] : 0.0f;
  to[i] = pack8<T>(v);
}

}  // namespace

std::shared_ptr<void> pack(Device& device, Operand& x, Batches batches, int64_t rows, int64_t cols, bool alongCols,
                           DType dtype, float scale) {
  bool repeats = true;
  for (int i = 0; i < batches.axes; i++) repeats = repeats && x.batchStrides[i] == 0;
  if (repeats) batches = {};
  Operand from = x;
  if (!alongCols) {
    std::swap(from.rowStride, from.colStride);
    std::swap(rows, cols);
  }
  const int64_t pitch = ceilDiv(cols, 8) * 8, total = batches.count * rows * pitch / 8;
  std::shared_ptr<void> bytes = scratchBytes(device, size_t(total) * 16);
  const Grid grid{.blocks = dim3(unsigned(ceilDiv(total, 128))), .threads = dim3(128)};
  launch(device, dtype == DType::bf16 ? packRows<bf16> : packRows<f16>, grid, static_cast<uint4*>(bytes.get()), from,
         batches, rows, cols, total, scale);

  x.bytes = bytes.get();
  x.dtype = dtype;
  x.rowStride = alongCols ? pitch : 1;
  x.colStride = alongCols ? 1 : pitch;
  int64_t stride = rows * pitch;
  for (int i = batches.axes - 1; i >= 0; i--) {
    x.batchStrides[i] = stride;
    stride *= batches.shape[i];
  }
  return bytes;
}

bool ordered(const Operand& x, const Batches& batches) { return x.rowsInEights(batches) || x.colsInEights(batches); }

Ordered::Ordered(Device& device, Product& p) {
  Term &main = p.terms[0], &extra = p.terms[1];
  const DType dtype = main.a.dtype;
  if (!ordered(main.a, p.batches))
    copies[0] = pack(device, main.a, p.batches, p.M, main.K, main.a.rowStride != 1, dtype, 1);
  if (!ordered(main.b, p.batches))
    copies[1] = pack(device, main.b, p.batches, main.K, p.N, main.b.rowStride != 1, dtype, 1);
  if (p.termCount == 1) return;
  const bool aAlongK = main.a.colStride == 1, bAlongK = main.b.rowStride == 1;
  const bool aReady = aAlongK ? extra.a.rowsInEights(p.batches) : extra.a.colsInEights(p.batches);
  const bool bReady = bAlongK ? extra.b.colsInEights(p.batches) : extra.b.rowsInEights(p.batches);
  if (!aReady || extra.a.dtype != dtype || extra.scale != 1)
    copies[2] = pack(device, extra.a, p.batches, p.M, extra.K, aAlongK, dtype, extra.scale);
  if (!bReady || extra.b.dtype != dtype) copies[3] = pack(device, extra.b, p.batches, extra.K, p.N, !bAlongK, dtype, 1);
  extra.scale = 1;
}

}  // namespace cuda
