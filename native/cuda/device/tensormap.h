// TMA's description of a batch of matrices of 16-bit elements, to be copied in boxes with the 128-byte swizzle.
#pragma once
#include <cuda.h>
#include "../../view.h"

namespace cuda {

// Strides count elements. Where there is one row (or matrix), its stride says nothing.
struct BoxedMatrix {
  const void* bytes = nullptr;  // aligned to 16
  DType dtype = DType::bf16;
  int64_t rows = 0, cols = 0, rowStride = 0;  // rowStride is a multiple of 8
  int64_t batches = 1, batchStride = 0;
};

// Boxes are `boxRows` rows, at most 256, of 64 columns. A kernel takes the map as `const __grid_constant__`.
// Coordinates are (column, row, batch); elements beyond the edges are read as 0 and not written.
CUtensorMap tensorMap(const BoxedMatrix& matrix, int boxRows);

}  // namespace cuda
