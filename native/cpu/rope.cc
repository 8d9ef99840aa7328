// Rotary position embedding: turns pairs of channels by an angle that grows with the token's position.
//
//   angle = position · frequencies[i];  c = factor · cos(angle),  s = factor · sign · sin(angle)
//   (a, b) → (a · c - b · s, b · c + a · s)     for the pair i: channels i and i + rotary / 2, or 2i and 2i + 1
//
//   x, out       [tokens, heads, headDim]   token and head strided; out may be x
//   positions    i32 [tokens]
//   frequencies  f32 [rotary / 2]           channels from `rotary` on are copied
//
// The angle is rounded to f32, as the published models were trained with; its sine and cosine are good to about 1 ulp
// at any position. A token's table is made once for all its heads. One thread per token.
#include "../kernels/rope.h"
#include "device.h"
#include "tools/simd.h"

namespace cpu::CPU_ISA {
namespace {

typedef double Doubles __attribute__((vector_size(lanes * 8)));

// sin and cos of f32 angles up to 2^31. The quarter turns are taken off in f64, which is exact enough up to there; the
// rest, at most π/4, goes through Taylor polynomials whose remainders are below 2^-26.
void sinCos(Floats angle, Floats& sine, Floats& cosine) {
  const Doubles wide = __builtin_convertvector(angle, Doubles);
  const double magic = 6755399441055744.0;  // 1.5 * 2^52: adding it rounds to an integer
  const Doubles turns = (wide * 0.63661977236758134 + magic) - magic;
  const Floats r =
      __builtin_convertvector((wide - turns * 1.5707963267341256) - turns * 6.0771005065061922e-11, Floats);
  // Two low bits decide the quadrant; the number itself may be as large as 2^31.
  const Ints quadrant = __builtin_convertvector(turns - 4.0 * ((turns * 0.25 + magic) - magic), Ints);
  const Floats z = r * r;
  const Floats s = r + r * z * (-1.0f / 6 + z * (1.0f / 120 + z * (-1.0f / 5040 + z * (1.0f / 362880))));
  const Floats c =
      1.0f + z * (-0.5f + z * (1.0f / 24 + z * (-1.0f / 720 + z * (1.0f / 40320 + z * (-1.0f / 3628800)))));
  const Ints swapped = (quadrant & 1) != 0;
  sine = select(swapped, c, s);
  cosine = select(swapped, s, c);
  sine = select((quadrant & 2) != 0, -sine, sine);
  cosine = select(((quadrant + 1) & 2) != 0, -cosine, cosine);
}

void turnHalves(float* to, const float* from, const float* cosines, const float* sines, int64_t half) {
  eachRegister(half, [&](int64_t i, auto access, int) {
    const Floats a = access.load(from + i), b = access.load(from + half + i);
    const Floats c = access.load(cosines + i), s = access.load(sines + i);
    access.store(to + i, a * c - b * s);
    access.store(to + half + i, b * c + a * s);
  });
}

void turnNeighbours(float* to, const float* from, const float* cosines, const float* sines, int64_t half) {
  for (int64_t i = 0; i < half; i++) {
    const float a = from[2 * i], b = from[2 * i + 1];
    to[2 * i] = a * cosines[i] - b * sines[i];
    to[2 * i + 1] = b * cosines[i] + a * sines[i];
  }
}

}  // namespace

void rope(Device& device, Out out, In x, In positions, In frequencies, float factor, float sign, bool interleaved) {
  const int64_t tokens = x.dim(0), heads = x.dim(1), headDim = x.dim(2), half = frequencies.size(), rotary = 2 * half;
  const int64_t work = heads * headDim;
  const auto turn = interleaved ? turnNeighbours : turnHalves;
  const Scratch<float> buffers(device.threads * 2 * (half + headDim));
  device.parallelRanges(tokens, 8192 / (work + 1) + 1, [&](int64_t begin, int64_t end, int thread) {
    float* cosines = buffers + thread * 2 * (half + headDim);
    float* sines = cosines + half;
    float* buffer = sines + half;
    for (int64_t token = begin; token < end; token++) {
      const float position = float(positions.data<int32_t>()[token]);
      eachRegister(half, [&](int64_t i, auto access, int) {
        Floats sine, cosine;
        sinCos(position * access.load(frequencies.data<float>() + i), sine, cosine);
        access.store(cosines + i, cosine * factor);
        access.store(sines + i, sine * (sign * factor));
      });
      for (int64_t head = 0; head < heads; head++) {
        const float* from = readRow(x, token * x.stride(0) + head * x.stride(1), headDim, buffer);
        const int64_t place = token * out.stride(0) + head * out.stride(1);
        float* to = rowFor(out, place, buffer + headDim);
        turn(to, from, cosines, sines, half);
        if (to != from) std::memcpy(to + rotary, from + rotary, size_t(headDim - rotary) * 4);
        writeRow(out, place, to, headDim);
      }
    }
  });
}

}  // namespace cpu::CPU_ISA
