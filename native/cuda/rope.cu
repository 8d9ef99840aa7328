// Rotary position embedding: turns pairs of channels by an angle that grows with the token's position.
//
//   angle = position · frequencies[i];  c = factor · cos(angle),  s = factor · sign · sin(angle)
//   (a, b) → (a · c - b · s, b · c + a · s)     for the pair i: channels i and i + rotary / 2, or 2i and 2i + 1
//
//   x, out       [tokens, heads, headDim]   token and head strided; out may be x
//   positions    i32 [tokens]
//   frequencies  f32 [rotary / 2]           channels from `rotary` on are copied
//
// A block per token makes the token's table of cosines and sines once, in shared memory; then its threads go through all
// heads, eight channels (or eight pairs) at a time where the rows allow. The angle is rounded to f32, as the published
// models were trained with.
#include "../kernels/rope.h"
#include "device/launch.h"
#include "tools/functions.cuh"
#include "tools/vector.cuh"

namespace cuda {
namespace {

struct Rotation {
  int64_t heads, headDim, half;
  int64_t outToken, outHead, xToken, xHead;  // strides
  float factor, sign;
};

// One item is `width` pairs of one head, or `width` of its channels to copy.
template <bool interleaved, int width>
__global__ void ropeToken(Sink out, Source x, const int32_t* positions, const float* frequencies, Rotation r) {
  ptx::takeTurn();
  float* cosines = reinterpret_cast<float*>(ptx::sharedMemory());
  float* sines = cosines + r.half;
  const int64_t token = blockIdx.x;
  const float position = float(positions[token]);
  for (int64_t i = threadIdx.x; i < r.half; i += blockDim.x) {
    const Turn turn = turnOf(position * frequencies[i]);
    cosines[i] = turn.cosine * r.factor;
    sines[i] = turn.sine * (r.sign * r.factor);
  }
  __syncthreads();
  const int pairs = int(r.half) / width, items = pairs + int(r.headDim - 2 * r.half) / width;
  for (int item = int(threadIdx.x); item < int(r.heads) * items; item += int(blockDim.x)) {
    const int64_t head = item / items, place = item % items;
    const int64_t from = token * r.xToken + head * r.xHead, to = token * r.outToken + head * r.outHead;
    float a[width], b[width];
    if (place >= pairs) {
      const int64_t channel = 2 * r.half + (place - pairs) * width;
      x.load(from + channel, a);
      out.store(to + channel, a);
      continue;
    }
    const int64_t i = place * width;
    if constexpr (interleaved) {
      // The registers of a and b together hold 2 · width neighbours.
      const int64_t first = 2 * i;
      x.load(from + first, a);
      x.load(from + first + width, b);
      float both[2 * width];
#pragma unroll
      for (int j = 0; j < width; j++) both[j] = a[j], both[width + j] = b[j];
#pragma unroll
      for (int j = 0; j < width; j++) {
        const float p = both[2 * j], q = both[2 * j + 1], c = cosines[i + j], s = sines[i + j];
        both[2 * j] = p * c - q * s;
        both[2 * j + 1] = q * c + p * s;
      }
#pragma unroll
      for (int j = 0; j < width; j++) a[j] = both[j], b[j] = both[width + j];
      out.store(to + first, a);
      out.store(to + first + width, b);
    } else {
      x.load(from + i, a);
      x.load(from + r.half + i, b);
#pragma unroll
      for (int j = 0; j < width; j++) {
        const float p = a[j], q = b[j], c = cosines[i + j], s = sines[i + j];
        a[j] = p * c - q * s;
        b[j] = q * c + p * s;
      }
      out.store(to + i, a);
      out.store(to + r.half + i, b);
    }
  }
}

// Whether every head may be taken eight channels at a time.
bool headsInEights(const View& x, int64_t half) {
  return inEights(x, x.dim(2)) && half % 8 == 0 && x.stride(0) % 8 == 0 && x.stride(1) % 8 == 0;
}

}  // namespace

void rope(Device& device, Out out, In x, In positions, In frequencies, float factor, float sign, bool interleaved) {
  const int64_t tokens = x.dim(0), heads = x.dim(1), headDim = x.dim(2), half = frequencies.size();
  if (tokens * heads * headDim == 0) return;
  const Rotation rotation{heads, headDim, half, out.stride(0), out.stride(1), x.stride(0), x.stride(1), factor, sign};
  const bool eights = headsInEights(out, half) && headsInEights(x, half);
  const int64_t items = heads * (headDim - half) / (eights ? 8 : 1),
                wanted = ceilDiv(items > half ? items : half, 32) * 32;
  const Grid grid{.blocks = dim3(unsigned(tokens)),
                  .threads = dim3(unsigned(wanted < 256 ? wanted : 256)),
                  .shared = size_t(2 * half) * sizeof(float),
                  .overlaps = true};
  const auto start = [&](auto kernel) {
    launch(device, kernel, grid, Sink(out), Source(x), positions.data<int32_t>(), frequencies.data<float>(), rotation);
  };
  if (interleaved) eights ? start(ropeToken<true, 8>) : start(ropeToken<true, 1>);
  else eights ? start(ropeToken<false, 8>) : start(ropeToken<false, 1>);
}

}  // namespace cuda
