// Seeded random numbers (see philox.h): uniform in [low, high), normal, and dropout. Contiguous, floating-point.
//
//   dropout   out = x / (1 - probability) where the element's uniform number is at least `probability`, else 0. The
//             backward is the same call on dout.
//
// A thread makes two blocks of four numbers, in f32, and then rounds: eight neighbours, written at once where aligned.
#include "../kernels/random.h"
#include "../philox.h"
#include "tools/strided.cuh"

namespace cuda {
namespace {

struct Sequence {
  uint64_t key, start;
  Sequence(double seed, double offset) : key(uint64_t(int64_t(seed))), start(uint64_t(int64_t(offset))) {}
};

struct Uniform {
  float low, high, width;
  __device__ void operator()(const uint32_t (&word)[4], float* v) const {
#pragma unroll
    for (int w = 0; w < 4; w++) {
      const float x = fmaf(philox::uniform(word[w]), width, low);
      v[w] = x < high ? x : low;  // the sum may round up to the end that is left out
    }
  }
};

struct Normal {
  float mean, deviation;
  __device__ void operator()(const uint32_t (&word)[4], float* v) const {
#pragma unroll
    for (int w = 0; w < 4; w += 2) {
      const philox::Pair pair = philox::normal(word[w], word[w + 1]);
      v[w] = fmaf(pair.first, deviation, mean);
      v[w + 1] = fmaf(pair.second, deviation, mean);
    }
  }
};

struct Dropout {
  float probability, scale;
  // `v` holds x.
  __device__ void operator()(const uint32_t (&word)[4], float* v) const {
#pragma unroll
    for (int w = 0; w < 4; w++) v[w] = philox::uniform(word[w]) >= probability ? v[w] * scale : 0;
  }
};

template <class Make>
__global__ void randomElements(Sink out, Source x, Sequence sequence, Make make, int64_t size, bool aligned) {
  const int64_t place = threadPlace() * 8;
  if (place >= size) return;
  const bool whole = aligned && place + 8 <= size;
  float v[8] = {};
  if (x.bytes && whole) x.load8(place, v);
  else if (x.bytes)
#pragma unroll
    for (int j = 0; j < 8; j++)
      if (place + j < size) v[j] = x[place + j];
#pragma unroll
  for (int half = 0; half < 8; half += 4) {
    const philox::Block block = philox::block(sequence.key, sequence.start + uint64_t(place + half) / 4);
    make(block.word, v + half);
  }
  if (whole) return out.store8(place, v);
#pragma unroll
  for (int j = 0; j < 8; j++)
    if (place + j < size) out.store(place + j, v[j]);
}

template <class Make>
void generate(Device& device, const Out& out, const View& x, double seed, double offset, Make make) {
  const int64_t size = out.size();
  const bool aligned = (reinterpret_cast<uintptr_t>(out.bytes) | reinterpret_cast<uintptr_t>(x.bytes)) % 16 == 0;
  launch(device, randomElements<Make>, gridFor(ceilDiv(size, 8)), Sink(out), Source(x), Sequence(seed, offset), make,
         size, aligned);
}

}  // namespace

void uniform(Device& device, Out out, double seed, double offset, float low, float high) {
  generate(device, out, View{}, seed, offset, Uniform{low, high, high - low});
}

void normal(Device& device, Out out, double seed, double offset, float mean, float deviation) {
  generate(device, out, View{}, seed, offset, Normal{mean, deviation});
}

void dropout(Device& device, Out out, In x, double seed, double offset, float probability) {
  generate(device, out, x, seed, offset, Dropout{probability, probability < 1 ? 1 / (1 - probability) : 0});
}

}  // namespace cuda
