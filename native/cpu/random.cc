// Seeded random numbers (see philox.h): uniform in [low, high), normal, and dropout. Contiguous, floating-point.
//
//   dropout   out = x / (1 - probability) where the element's uniform number is at least `probability`, else 0. The
//             backward is the same call on dout.
//
// Numbers are made in f32 and then rounded; in a 16-bit format a uniform number may round up to `high`.
#include "../kernels/random.h"
#include "../philox.h"
#include "tools/strided.h"

namespace cpu::CPU_ISA {
namespace {

constexpr int64_t stretch = 512;  // elements made at once, a multiple of 4 · lanes

// Calls make(words, numbers) for every block of 4 words, then use(place, count, numbers) for every stretch.
template <class Make, class Use>
void generate(const Device& device, int64_t size, double seed, double offset, Make make, Use use) {
  const uint64_t key = uint64_t(int64_t(seed)), start = uint64_t(int64_t(offset));
  device.parallelRanges((size + stretch - 1) / stretch, 8, [&](int64_t begin, int64_t end, int) {
    alignas(64) float numbers[stretch];
    for (int64_t i = begin; i < end; i++) {
      // Struct of arrays, so that the compiler turns the inner loops into registers.
      for (int64_t b = 0; b < stretch / 4; b += lanes) {
        uint32_t words[4][lanes];
        float made[4][lanes];
        for (int lane = 0; lane < lanes; lane++) {
          const philox::Block block = philox::block(key, start + uint64_t(i * (stretch / 4) + b + lane));
          for (int w = 0; w < 4; w++) words[w][lane] = block.word[w];
        }
        make(words, made);
        for (int lane = 0; lane < lanes; lane++)
          for (int w = 0; w < 4; w++) numbers[(b + lane) * 4 + w] = made[w][lane];
      }
      use(i * stretch, std::min(stretch, size - i * stretch), numbers);
    }
  });
}

void makeUniform(const uint32_t (&words)[4][lanes], float (&made)[4][lanes]) {
  for (int w = 0; w < 4; w++)
    for (int lane = 0; lane < lanes; lane++) made[w][lane] = philox::uniform(words[w][lane]);
}

void makeNormal(const uint32_t (&words)[4][lanes], float (&made)[4][lanes]) {
  for (int w = 0; w < 4; w += 2)
    for (int lane = 0; lane < lanes; lane++) {
      const philox::Pair pair = philox::normal(words[w][lane], words[w + 1][lane]);
      made[w][lane] = pair.first;
      made[w + 1][lane] = pair.second;
    }
}

}  // namespace

void uniform(Device& device, Out out, double seed, double offset, float low, float high) {
  const float width = high - low;
  generate(device, out.size(), seed, offset, makeUniform, [&](int64_t place, int64_t count, float* numbers) {
    for (int64_t i = 0; i < count; i++) {
      const float x = std::fma(numbers[i], width, low);
      numbers[i] = x < high ? x : low;  // the sum may round up to the end that is left out
    }
    writeRow(out, place, numbers, count);
  });
}

void normal(Device& device, Out out, double seed, double offset, float mean, float deviation) {
  generate(device, out.size(), seed, offset, makeNormal, [&](int64_t place, int64_t count, float* numbers) {
    for (int64_t i = 0; i < count; i++) numbers[i] = std::fma(numbers[i], deviation, mean);
    writeRow(out, place, numbers, count);
  });
}

void dropout(Device& device, Out out, In x, double seed, double offset, float probability) {
  const float scale = probability < 1 ? 1 / (1 - probability) : 0;
  generate(device, out.size(), seed, offset, makeUniform, [&](int64_t place, int64_t count, float* numbers) {
    alignas(64) float buffer[stretch];
    const float* from = readRow(x, place, count, buffer);
    for (int64_t i = 0; i < count; i++) numbers[i] = numbers[i] >= probability ? from[i] * scale : 0;
    writeRow(out, place, numbers, count);
  });
}

}  // namespace cpu::CPU_ISA
