// Random numbers that are a function of their place: Philox4x32-10 (Salmon, Moraes, Dror and Shaw, "Parallel random
// numbers: as easy as 1, 2, 3", 2011), and the two distributions made of it. Shared by both devices.
//
// Element i of a tensor takes word i % 4 of the block at counter offset + i / 4, under the key `seed`. Nothing else
// counts: neither threads nor the instruction set. So that the normal numbers too are equal to the last bit, they are
// computed in f32 by steps that have one rounding each: multiply-adds are written as such, and no sum of a product is
// left for a compiler to contract.
#pragma once
#include <cmath>
#include <cstdint>
#include <cstring>

#ifdef __CUDACC__
#define ON_BOTH_DEVICES __host__ __device__
#else
#define ON_BOTH_DEVICES
#endif

namespace philox {

struct Block {
  uint32_t word[4];
};

ON_BOTH_DEVICES inline Block block(Block counter, uint32_t key0, uint32_t key1) {
  uint32_t a = counter.word[0], b = counter.word[1], c = counter.word[2], d = counter.word[3];
  for (int round = 0; round < 10; round++) {
    const uint64_t p = uint64_t(0xD2511F53u) * a, q = uint64_t(0xCD9E8D57u) * c;
    a = uint32_t(q >> 32) ^ b ^ key0;
    b = uint32_t(q);
    c = uint32_t(p >> 32) ^ d ^ key1;
    d = uint32_t(p);
    key0 += 0x9E3779B9u;
    key1 += 0xBB67AE85u;
  }
  return {{a, b, c, d}};
}

ON_BOTH_DEVICES inline Block block(uint64_t seed, uint64_t counter) {
  return block({{uint32_t(counter), uint32_t(counter >> 32), 0, 0}}, uint32_t(seed), uint32_t(seed >> 32));
}

// [0, 1), a multiple of 2^-24.
ON_BOTH_DEVICES inline float uniform(uint32_t word) { return float(int32_t(word >> 8)) * 5.9604644775390625e-8f; }

struct Pair {
  float first, second;
};

// Two normal numbers from two words (Box and Muller): sqrt(-2 ln u) times the cosine and the sine of 2 pi v.
ON_BOTH_DEVICES inline Pair normal(uint32_t word0, uint32_t word1) {
  // u in (0, 1] = m 2^e with m in [sqrt 1/2, sqrt 2); ln m = 2 atanh((m - 1) / (m + 1)) as a series.
  const float u = float(int32_t(word0 >> 8) + 1) * 5.9604644775390625e-8f;
  int32_t bits;
  memcpy(&bits, &u, 4);
  bits -= 0x3f3504f3;
  const float e = float(bits >> 23);
  bits = (bits & 0x007fffff) + 0x3f3504f3;
  float m;
  memcpy(&m, &bits, 4);
  const float s = (m - 1.0f) / (m + 1.0f), z = s * s;
  float p = fmaf(z, 2.0f / 9, 2.0f / 7);
  p = fmaf(p, z, 2.0f / 5);
  p = fmaf(p, z, 2.0f / 3);
  p = fmaf(p, z, 2.0f);
  const float log = fmaf(e, 0.693359375f, fmaf(e, -2.12194440e-4f, s * p));
  const float radius = sqrtf(-2.0f * log);

  // 2 pi v = quarter turns and a rest in [-pi/4, pi/4).
  const int32_t v = int32_t(word1 >> 8), quarters = (v + 0x200000) >> 22;
  const float x = float(v - (quarters << 22)) * 3.7450702829238413e-7f;  // 2 pi / 2^24
  const float y = x * x;
  float sine = fmaf(y, 1.0f / 362880, -1.0f / 5040);
  sine = fmaf(sine, y, 1.0f / 120);
  sine = fmaf(sine, y, -1.0f / 6);
  sine = fmaf(sine * y, x, x);
  float cosine = fmaf(y, -1.0f / 3628800, 1.0f / 40320);
  cosine = fmaf(cosine, y, -1.0f / 720);
  cosine = fmaf(cosine, y, 1.0f / 24);
  cosine = fmaf(cosine, y, -0.5f);
  cosine = fmaf(cosine, y, 1.0f);
  const bool swap = quarters & 1;
  const float first = swap ? sine : cosine, second = swap ? cosine : sine;
  const bool minusFirst = (quarters + 1) & 2, minusSecond = quarters & 2;
  return {radius * (minusFirst ? -first : first), radius * (minusSecond ? -second : second)};
}

}  // namespace philox
