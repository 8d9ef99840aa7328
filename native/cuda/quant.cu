// dequantize: llama.cpp's block formats to f32, bf16 or f16. x and out are contiguous; 32 elements to a block.
//
//   q8_0   f16 scale, 32 signed bytes              scale · q
//   q4_0   f16 scale, 16 bytes                     scale · (q - 8)
//   q4_1   f16 scale, f16 minimum, 16 bytes        scale · q + minimum
//
// Of the 4-bit formats, the low halves of the bytes are elements 0..15 and the high halves 16..31. Four threads per block
// of numbers, eight elements each. Blocks begin at any even address, so they are read two bytes at a time.
#include <string>
#include "../kernels/quant.h"
#include "tools/strided.cuh"

namespace cuda {
namespace {

__global__ void dequantizeEight(Sink out, const uint16_t* x, DType from, int64_t eights, bool aligned) {
  const int64_t i = threadPlace();
  if (i >= eights) return;
  const int quarter = int(i % 4), halves = from == DType::q8_0 ? 17 : from == DType::q4_0 ? 9 : 10;
  const uint16_t* block = x + i / 4 * halves;
  const float scale = ptx::floatOfF16(block[0]);
  float v[8];
  if (from == DType::q8_0) {
#pragma unroll
    for (int j = 0; j < 8; j += 2) {
      const uint16_t pair = block[1 + quarter * 4 + j / 2];
      v[j] = scale * float(int8_t(pair & 255));
      v[j + 1] = scale * float(int8_t(pair >> 8));
    }
  } else {
    const bool plain = from == DType::q4_0;
    const float shift = plain ? -8 * scale : ptx::floatOfF16(block[1]);  // 8 · scale is exact
    const uint16_t* bytes = block + (plain ? 1 : 2) + quarter % 2 * 4;
#pragma unroll
    for (int j = 0; j < 8; j += 2) {
      const int pair = bytes[j / 2] >> quarter / 2 * 4;
      v[j] = fmaf(scale, float(pair & 15), shift);
      v[j + 1] = fmaf(scale, float(pair >> 8 & 15), shift);
    }
  }
  if (aligned) return out.store8(i * 8, v);
#pragma unroll
  for (int j = 0; j < 8; j++) out.store(i * 8 + j, v[j]);
}

}  // namespace

void dequantize(Device& device, Out out, In x) {
  const Format& f = format(x.dtype);
  if (f.blockElements != 32) throw std::runtime_error(std::string("takes a block format, got ") + f.name);
  const int64_t eights = x.size() / 8;
  launch(device, dequantizeEight, gridFor(eights), Sink(out), x.data<uint16_t>(), x.dtype, eights, inEights(out, 8));
}

}  // namespace cuda
