// Tensor maps are encoded by the driver. Its function is looked up, not linked, so that the addon loads without it.
#include "tensormap.h"
#include <algorithm>
#include "device.h"

namespace cuda {
namespace {

using Encode = CUresult (*)(CUtensorMap*, CUtensorMapDataType, cuuint32_t, void*, const cuuint64_t*, const cuuint64_t*,
                            const cuuint32_t*, const cuuint32_t*, CUtensorMapInterleave, CUtensorMapSwizzle,
                            CUtensorMapL2promotion, CUtensorMapFloatOOBfill);

Encode encoder() {
  static const Encode encode = [] {
    void* function = nullptr;
    cudaDriverEntryPointQueryResult status = cudaDriverEntryPointSymbolNotFound;
    check(cudaGetDriverEntryPointByVersion("cuTensorMapEncodeTiled", &function, 12000, cudaEnableDefault, &status));
    if (status != cudaDriverEntryPointSuccess)
      throw std::runtime_error("CUDA: the driver has no cuTensorMapEncodeTiled");
    return reinterpret_cast<Encode>(function);
  }();
  return encode;
}

}  // namespace

CUtensorMap tensorMap(const BoxedMatrix& m, int boxRows) {
  const int64_t rowStride = m.rows > 1 ? m.rowStride : ceilDiv(m.cols, 8) * 8;
  const int64_t batchStride = m.batches > 1 ? m.batchStride : m.rows * rowStride;
  const cuuint64_t extents[3] = {cuuint64_t(m.cols), cuuint64_t(m.rows), cuuint64_t(m.batches)};
  const cuuint64_t strides[2] = {cuuint64_t(rowStride) * 2, cuuint64_t(batchStride) * 2};
  const cuuint32_t box[3] = {64, cuuint32_t(boxRows), 1}, steps[3] = {1, 1, 1};
  const auto type = m.dtype == DType::bf16 ? CU_TENSOR_MAP_DATA_TYPE_BFLOAT16 : CU_TENSOR_MAP_DATA_TYPE_FLOAT16;
  CUtensorMap map;
  const CUresult result =
      encoder()(&map, type, 3, const_cast<void*>(m.bytes), extents, strides, box, steps, CU_TENSOR_MAP_INTERLEAVE_NONE,
                CU_TENSOR_MAP_SWIZZLE_128B, CU_TENSOR_MAP_L2_PROMOTION_L2_256B, CU_TENSOR_MAP_FLOAT_OOB_FILL_NONE);
  if (result != CUDA_SUCCESS) throw std::runtime_error("CUDA: a tensor map was refused");
  return map;
}

}  // namespace cuda
