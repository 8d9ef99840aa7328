// Number formats: what a Tensor's elements are, and visit() from the run-time format to its C++ type.
//
// Block formats hold a fixed run of elements in a fixed number of bytes (llama.cpp's layouts). They are storage only:
// `dequantize` turns them into a computing format.
#pragma once
#include <cstdint>
#include <cstring>
#include <stdexcept>

enum class DType : uint8_t { f32, bf16, f16, i32, u8, boolean, q8_0, q4_0, q4_1 };

constexpr int dtypeCount = 9;

struct Format {
  const char* name;
  int blockElements;  // 1 for plain formats
  int blockBytes;
};

constexpr Format formats[dtypeCount] = {
    {"f32", 1, 4},    {"bf16", 1, 2},   {"f16", 1, 2},    {"i32", 1, 4},   {"u8", 1, 1},
    {"bool", 1, 1},   {"q8_0", 32, 34}, {"q4_0", 32, 18}, {"q4_1", 32, 20},
};

constexpr const Format& format(DType dtype) { return formats[int(dtype)]; }

// Rounds to nearest, ties to even; a NaN stays a quiet NaN.
struct bf16 {
  uint16_t bits;
  bf16() = default;
  explicit bf16(float value) {
    uint32_t u;
    std::memcpy(&u, &value, 4);
    bits = (u & 0x7fffffffu) > 0x7f800000u ? uint16_t(u >> 16 | 0x40) : uint16_t((u + 0x7fff + (u >> 16 & 1)) >> 16);
  }
  explicit operator float() const {
    const uint32_t u = uint32_t(bits) << 16;
    float value;
    std::memcpy(&value, &u, 4);
    return value;
  }
};

// IEEE half precision; rounds to nearest, ties to even.
struct f16 {
  uint16_t bits;
  f16() = default;
  explicit f16(float value) {
    uint32_t u;
    std::memcpy(&u, &value, 4);
    const uint32_t sign = u >> 16 & 0x8000, magnitude = u & 0x7fffffff;
    if (magnitude > 0x7f800000) bits = uint16_t(sign | 0x7e00);
    else if (magnitude >= 0x477ff000) bits = uint16_t(sign | 0x7c00);
    else if (magnitude >= 0x38800000) bits = uint16_t(sign | ((magnitude - 0x38000000 + 0xfff + (magnitude >> 13 & 1)) >> 13));
    else {
      // Subnormal in f16: adding 0.5 puts the value's bits, rounded by the hardware, at the end of the sum's mantissa.
      float positive;
      std::memcpy(&positive, &magnitude, 4);
      positive += 0.5f;
      uint32_t sum;
      std::memcpy(&sum, &positive, 4);
      bits = uint16_t(sign | (sum - 0x3f000000));
    }
  }
  explicit operator float() const {
    const uint32_t sign = uint32_t(bits & 0x8000) << 16, rest = bits & 0x7fff;
    uint32_t u;
    if (rest >= 0x7c00) u = sign | 0x7f800000 | (rest & 0x3ff) << 13;
    else if (rest >= 0x400) u = sign | ((rest << 13) + 0x38000000);
    else {
      const float small = float(rest) * 5.9604644775390625e-8f;  // 2^-24
      std::memcpy(&u, &small, 4);
      u |= sign;
    }
    float value;
    std::memcpy(&value, &u, 4);
    return value;
  }
};

// Calls `body` with a value of the C++ type of a floating-point `dtype`.
template <class Body>
decltype(auto) visitFloat(DType dtype, Body&& body) {
  switch (dtype) {
    case DType::f32: return body(float{});
    case DType::bf16: return body(bf16{});
    case DType::f16: return body(f16{});
    default: throw std::runtime_error("takes floating-point tensors only");
  }
}

// Calls `body` with a value of the C++ type of any plain `dtype`.
template <class Body>
decltype(auto) visit(DType dtype, Body&& body) {
  switch (dtype) {
    case DType::i32: return body(int32_t{});
    case DType::u8:
    case DType::boolean: return body(uint8_t{});
    default: return visitFloat(dtype, body);
  }
}
