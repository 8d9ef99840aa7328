// Floating-point formats: f32, and the two of 16 bits.
#pragma once
#include <cstdint>
#include <cstring>

// Compiled for the host and for a GPU.
#ifdef __CUDACC__
#define BOTH_DEVICES __host__ __device__
#else
#define BOTH_DEVICES
#endif

#define FORMATS_float(FORMAT) \
  FORMAT(f32, "f32", float)   \
  FORMAT(bf16, "bf16", bf16)  \
  FORMAT(f16, "f16", f16)

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
    else if (magnitude >= 0x38800000)
      bits = uint16_t(sign | ((magnitude - 0x38000000 + 0xfff + (magnitude >> 13 & 1)) >> 13));
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
  BOTH_DEVICES explicit operator float() const {
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
