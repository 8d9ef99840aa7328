// dequantize: llama.cpp's block formats to f32, bf16 or f16. x and out are contiguous; 32 elements to a block.
//
//   q8_0   f16 scale, 32 signed bytes              scale · q
//   q4_0   f16 scale, 16 bytes                     scale · (q - 8)
//   q4_1   f16 scale, f16 minimum, 16 bytes        scale · q + minimum
//
// Of the 4-bit formats, the low halves of the bytes are elements 0..15 and the high halves 16..31. The product of an
// f16 and a byte is exact in f32, so each element is rounded once at most.
#include <string>
#include "../kernels/quant.h"
#include "device.h"
#include "tools/simd.h"

namespace cpu::CPU_ISA {
namespace {

typedef uint8_t Bytes __attribute__((vector_size(16)));
typedef int8_t SignedBytes __attribute__((vector_size(16)));

float halfAt(const uint8_t* from) {
  f16 half;
  std::memcpy(&half, from, 2);
  return float(half);
}

// Stores 16 elements: scale · q + shift.
template <class T>
void put(T* out, SignedBytes q, float scale, float shift) {
  int8_t bytes[16];
  std::memcpy(bytes, &q, 16);
  for (int i = 0; i < 16; i += lanes) {
    typedef int8_t Part __attribute__((vector_size(lanes)));
    Part part;
    std::memcpy(&part, bytes + i, lanes);
    store(out + i, __builtin_convertvector(part, Floats) * scale + shift);
  }
}

SignedBytes bytesAt(const uint8_t* from) {
  SignedBytes x;
  std::memcpy(&x, from, 16);
  return x;
}

template <class T>
void put4bit(T* out, const uint8_t* packed, float scale, float shift) {
  const Bytes x = (Bytes)bytesAt(packed);
  put(out, (SignedBytes)(x & 15), scale, shift);
  put(out + 16, (SignedBytes)(x >> 4), scale, shift);
}

template <class T>
void block(DType dtype, T* out, const uint8_t* x) {
  const float scale = halfAt(x);
  if (dtype == DType::q8_0) {
    put(out, bytesAt(x + 2), scale, 0);
    put(out + 16, bytesAt(x + 18), scale, 0);
  } else if (dtype == DType::q4_0) {
    put4bit(out, x + 2, scale, -8 * scale);  // both are exact, so is their sum
  } else {
    put4bit(out, x + 4, scale, halfAt(x + 2));
  }
}

}  // namespace

void dequantize(Device& device, Out out, In x) {
  const Format& f = format(x.dtype);
  if (f.blockElements != 32) throw std::runtime_error(std::string("takes a block format, got ") + f.name);
  visitFloat(out.dtype, [&](auto tag) {
    using T = decltype(tag);
    device.parallelRanges(x.size() / 32, 512, [&](int64_t begin, int64_t end, int) {
      for (int64_t i = begin; i < end; i++) block(x.dtype, out.data<T>() + i * 32, x.data<uint8_t>() + i * f.blockBytes);
    });
  });
}

}  // namespace cpu::CPU_ISA
