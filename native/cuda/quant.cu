// dequantize: block formats (native/formats/) to f32, bf16 or f16. x and out are contiguous.
//
// A thread has eight elements of a block.
#include "../kernels/quant.h"
#include "tools/strided.cuh"

namespace cuda {
namespace {

template <class Block>
__global__ void dequantizeEight(Sink out, const uint8_t* x, int64_t eights, bool aligned) {
  const int64_t i = threadPlace();
  if (i >= eights) return;
  constexpr int parts = Block::elements / 8;
  const uint8_t* block = x + i / parts * Block::bytes;
  const int part = int(i % parts);
  const Scale s = Block::scale(block, part * 8 / Block::group);
  int8_t codes[8];
  Block::codes(block, part, codes);
  float v[8];
#pragma unroll
  for (int j = 0; j < 8; j++) v[j] = fmaf(s.scale, float(codes[j]), s.shift);
  if (aligned) return out.store8(i * 8, v);
#pragma unroll
  for (int j = 0; j < 8; j++) out.store(i * 8 + j, v[j]);
}

}  // namespace

void dequantize(Device& device, Out out, In x) {
  const int64_t eights = x.size() / 8;
  visitBlock(x.dtype, [&](auto block) {
    launch(device, dequantizeEight<decltype(block)>, gridFor(eights), Sink(out), x.data<uint8_t>(), eights,
           inEights(out, 8));
  });
}

}  // namespace cuda
