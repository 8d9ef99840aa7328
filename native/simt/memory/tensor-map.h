// What cuTensorMapEncodeTiled puts into a CUtensorMap here.
#pragma once
#include <cstdint>

namespace simt {

enum class ElementType : uint8_t { u8, u16, u32, s32, u64, s64, f16, f32, f64, bf16 };

struct TensorMap {
  static constexpr uint32_t sign = 0x54534d48;  // says that a map was encoded

  uint32_t mark = 0;
  uint8_t rank = 0, elementBytes = 0, swizzle = 0;  // swizzle: 0 none, 1 32 bytes, 2 64, 3 128
  ElementType type = ElementType::u8;
  char* base = nullptr;
  uint64_t extent[5] = {}, stride[5] = {};  // strides in bytes
  uint16_t box[5] = {};

  uint32_t boxBytes() const {
    uint32_t bytes = elementBytes;
    for (int i = 0; i < rank; i++) bytes *= box[i];
    return bytes;
  }
};
static_assert(sizeof(TensorMap) <= 128);

void* tensorMapEncoder();  // cuTensorMapEncodeTiled

}  // namespace simt
