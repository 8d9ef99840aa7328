// cuTensorMapEncodeTiled: refuses what the driver refuses.
#include "tensor-map.h"
#include <cstring>
#include "../cudaTypedefs.h"

namespace simt {
namespace {

constexpr uint8_t elementSizes[] = {1, 2, 4, 4, 8, 8, 2, 4, 8, 2};  // by CUtensorMapDataType
constexpr uint32_t spans[] = {0, 32, 64, 128};                      // bytes, by CUtensorMapSwizzle

CUresult encode(CUtensorMap* map, CUtensorMapDataType type, cuuint32_t rank, void* address, const cuuint64_t* extent,
                const cuuint64_t* strides, const cuuint32_t* box, const cuuint32_t* elementStrides,
                CUtensorMapInterleave interleave, CUtensorMapSwizzle swizzle, CUtensorMapL2promotion promotion,
                CUtensorMapFloatOOBfill fill) {
  const auto misaligned = [](const void* p, uintptr_t to) { return reinterpret_cast<uintptr_t>(p) % to != 0; };
  if (!map || misaligned(map, 64) || unsigned(type) >= sizeof elementSizes || rank < 1 || rank > 5)
    return CUDA_ERROR_INVALID_VALUE;
  if (!address || misaligned(address, 16) || unsigned(swizzle) > 3 || unsigned(promotion) > 3)
    return CUDA_ERROR_INVALID_VALUE;
  if (interleave != CU_TENSOR_MAP_INTERLEAVE_NONE || fill != CU_TENSOR_MAP_FLOAT_OOB_FILL_NONE)
    return CUDA_ERROR_INVALID_VALUE;
  TensorMap own;
  own.mark = TensorMap::sign;
  own.rank = uint8_t(rank);
  own.type = ElementType(type);
  own.elementBytes = elementSizes[type];
  own.swizzle = uint8_t(swizzle);
  own.base = static_cast<char*>(address);
  for (cuuint32_t i = 0; i < rank; i++) {
    if (extent[i] < 1 || extent[i] > uint64_t(1) << 32 || box[i] < 1 || box[i] > 256) return CUDA_ERROR_INVALID_VALUE;
    if (elementStrides[i] != 1) return CUDA_ERROR_INVALID_VALUE;
    if (i > 0 && (strides[i - 1] == 0 || strides[i - 1] % 16 || strides[i - 1] >= uint64_t(1) << 40))
      return CUDA_ERROR_INVALID_VALUE;
    own.extent[i] = extent[i];
    own.stride[i] = i == 0 ? own.elementBytes : strides[i - 1];
    own.box[i] = uint16_t(box[i]);
  }
  const uint32_t inner = box[0] * own.elementBytes;
  if (inner % 16 || (swizzle != CU_TENSOR_MAP_SWIZZLE_NONE && inner > spans[swizzle])) return CUDA_ERROR_INVALID_VALUE;
  std::memset(map, 0, sizeof *map);
  std::memcpy(static_cast<void*>(map), &own, sizeof own);
  return CUDA_SUCCESS;
}

}  // namespace

void* tensorMapEncoder() { return reinterpret_cast<void*>(static_cast<PFN_cuTensorMapEncodeTiled_v12000>(encode)); }

}  // namespace simt
