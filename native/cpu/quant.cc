// dequantize: block formats (native/formats/) to f32, bf16 or f16. x and out are contiguous.
#include "../kernels/quant.h"
#include "device.h"
#include "tools/simd.h"

namespace cpu::CPU_ISA {
namespace {

template <class Block, class T>
void unpack(const uint8_t* block, T* out) {
  alignas(64) float values[Block::elements];
  for (int begin = 0; begin < Block::elements; begin += Block::group) {
    const Scale s = Block::scale(block, begin / Block::group);
    for (int i = begin; i < begin + Block::group; i += 8) {
      int8_t codes[8];
      Block::codes(block, i / 8, codes);
      for (int j = 0; j < 8; j++) values[i + j] = s.scale * float(codes[j]) + s.shift;
    }
  }
  fromFloats(out, values, Block::elements);
}

}  // namespace

void dequantize(Device& device, Out out, In x) {
  visitBlock(x.dtype, [&](auto block) {
    using Block = decltype(block);
    visitFloat(out.dtype, [&](auto tag) {
      using T = decltype(tag);
      const auto* blocks = x.data<uint8_t>();
      device.parallelRanges(x.size() / Block::elements, 16384 / Block::elements, [&](int64_t begin, int64_t end, int) {
        for (int64_t i = begin; i < end; i++)
          unpack<Block>(blocks + i * Block::bytes, out.data<T>() + i * Block::elements);
      });
    });
  });
}

}  // namespace cpu::CPU_ISA
