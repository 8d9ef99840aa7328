// Depthwise causal convolution over packed sequences, and its gradients.
//
//   y_t = bias + Σ_j w_j · x_{t + j - (width - 1)},   out = silu(y) or y
//   dx_t = Σ_j w_j · dy_{t - j + (width - 1)},  dw_j = Σ_t dy_t · x_{t + j - (width - 1)},  dbias = Σ_t dy_t
//   with dy = dout · silu'(y), y computed again
//
//   x, out, dout, dx  [tokens, channels]          contiguous
//   weight            [channels, width]
//   tails             [places, width - 1, channels]   the inputs before a sequence's first token; without them zeros
//
// Threads take ranges of tokens; sums over tokens are taken per channel from the first to the last.
#include "../../kernels/conv.h"
#include "../device.h"
#include "../tools/functions.h"
#include "sequences.h"

namespace cpu::CPU_ISA {
namespace {

// Rows of f32 numbers: the weight by tap, and the bias.
struct Taps {
  int64_t width, channels;
  Scratch<float> values;  // [width + 1, channels]
  Taps(const View& weight, const View& bias)
      : width(weight.dim(1)), channels(weight.dim(0)), values((width + 1) * channels) {
    const Scratch<float> buffer(width * channels);
    const float* from = readRow(weight, 0, width * channels, buffer);
    for (int64_t c = 0; c < channels; c++)
      for (int64_t j = 0; j < width; j++) values[j * channels + c] = from[c * width + j];
    float* last = values + width * channels;
    if (bias) std::memcpy(last, readRow(bias, 0, channels, buffer), size_t(channels) * 4);
    else std::memset(last, 0, size_t(channels) * 4);
  }
  const float* tap(int64_t j) const { return values + j * channels; }
  const float* bias() const { return tap(width); }
};

// The inputs that one output reads, oldest first. Null stands for a row of zeros.
class Window {
 public:
  Window(const View& x, const View& tails, int64_t width) : x_(x), tails_(tails), width_(width) {}

  // Rows of the sequence's token `at` and those before it; each thread has a buffer of `width` rows.
  void find(const Sequence& sequence, int64_t at, float* buffer, const float** rows) const {
    const int64_t channels = x_.dim(1);
    for (int64_t j = 0; j < width_; j++, buffer += channels) {
      const int64_t token = at + j - (width_ - 1), before = sequence.begin - token;
      if (before <= 0) rows[j] = readRow(x_, token * channels, channels, buffer);
      else if (!tails_) rows[j] = nullptr;
      else
        rows[j] = readRow(tails_, (sequence.place * (width_ - 1) + width_ - 1 - before) * channels, channels, buffer);
    }
  }

 private:
  const View &x_, &tails_;
  int64_t width_;
};

constexpr int64_t mostWidth = 16;
constexpr int64_t grain = 4096;  // channels of one tap that are worth a thread
int64_t rowGrain(int64_t channels) { return grain / (channels + 1) + 1; }

Floats responseAt(const Taps& taps, const float* const* rows, int64_t i, auto access) {
  Floats y = access.load(taps.bias() + i);
  for (int64_t j = 0; j < taps.width; j++)
    if (rows[j]) y = fma(access.load(rows[j] + i), access.load(taps.tap(j) + i), y);
  return y;
}

// Runs body(sequence, token, thread) for every token of a sequence, tokens shared out among threads.
template <class Body>
void eachToken(Device& device, const std::vector<Sequence>& sequences, int64_t tokens, int64_t channels, Body&& body) {
  device.parallelRanges(tokens, rowGrain(channels), [&](int64_t begin, int64_t end, int thread) {
    for (const Sequence& sequence : sequences)
      for (int64_t t = std::max(begin, sequence.begin); t < std::min(end, sequence.end); t++) body(sequence, t, thread);
  });
}

// The last width - 1 inputs of each sequence, of which the tail before it gives some where the sequence is short.
void replaceTails(Device& device, const View& tails, const View& x, const std::vector<Sequence>& sequences,
                  int64_t width) {
  const int64_t channels = x.dim(1), kept = width - 1;
  if (kept == 0) return;
  const Scratch<float> buffers(device.threads * channels);
  device.parallelFor(int64_t(sequences.size()), [&](int64_t s, int thread) {
    const Sequence& sequence = sequences[size_t(s)];
    float* buffer = buffers + thread * channels;
    // A row of the old tail moves towards the front, so the front is written first.
    for (int64_t j = 0; j < kept; j++) {
      const int64_t token = sequence.end - kept + j, before = sequence.begin - token;
      const float* row = before <= 0
                             ? readRow(x, token * channels, channels, buffer)
                             : readRow(tails, (sequence.place * kept + kept - before) * channels, channels, buffer);
      writeRow(tails, (sequence.place * kept + j) * channels, row, channels);
    }
  });
}

}  // namespace

void causalConv(Device& device, Out out, Out tails, In x, In weight, In bias, In boundaries, In places, bool silu) {
  const int64_t tokens = x.dim(0), channels = x.dim(1), width = weight.dim(1);
  if (x.size() == 0) return;
  const std::vector<Sequence> sequences = sequencesOf(boundaries, tokens, tails, places);
  const Taps taps(weight, bias);
  const Window window(x, tails, width);
  const Scratch<float> buffers(device.threads * (width + 1) * channels);
  eachToken(device, sequences, tokens, channels, [&](const Sequence& sequence, int64_t t, int thread) {
    float* buffer = buffers + thread * (width + 1) * channels;
    const float* rows[mostWidth];
    window.find(sequence, t, buffer, rows);
    float* to = rowFor(out, t * channels, buffer + width * channels);
    eachRegister(channels, [&](int64_t i, auto access, int) {
      const Floats y = responseAt(taps, rows, i, access);
      access.store(to + i, silu ? CPU_ISA::silu(y) : y);
    });
    writeRow(out, t * channels, to, channels);
  });
  clearOutside(out, sequences);
  if (tails) replaceTails(device, tails, x, sequences, width);
}

void causalConvBackward(Device& device, Out dx, Out dweight, Out dbias, In dout, In x, In weight, In bias,
                        In boundaries, bool silu) {
  const int64_t tokens = x.dim(0), channels = x.dim(1), width = weight.dim(1);
  const std::vector<Sequence> sequences = sequencesOf(boundaries, tokens, {}, {});
  const Taps taps(weight, bias);
  const View none;
  const Window window(x, none, width);
  const Scratch<float> slopes(tokens * channels);  // dy
  const Scratch<float> buffers(device.threads * (width + 1) * channels);
  eachToken(device, sequences, tokens, channels, [&](const Sequence& sequence, int64_t t, int thread) {
    float* buffer = buffers + thread * (width + 1) * channels;
    const float* rows[mostWidth];
    window.find(sequence, t, buffer, rows);
    const float* grad = readRow(dout, t * channels, channels, buffer + width * channels);
    eachRegister(channels, [&](int64_t i, auto access, int) {
      const Floats d = access.load(grad + i);
      access.store(slopes + t * channels + i, silu ? d * siluSlope(responseAt(taps, rows, i, access)) : d);
    });
  });
  eachToken(device, sequences, tokens, channels, [&](const Sequence& sequence, int64_t t, int thread) {
    float* to = rowFor(dx, t * channels, buffers + thread * (width + 1) * channels);
    eachRegister(channels, [&](int64_t i, auto access, int) {
      Floats sum{};
      for (int64_t j = width - 1; j >= 0 && t + (width - 1) - j < sequence.end; j--)
        sum = fma(access.load(slopes + (t + (width - 1) - j) * channels + i), access.load(taps.tap(j) + i), sum);
      access.store(to + i, sum);
    });
    writeRow(dx, t * channels, to, channels);
  });
  clearOutside(dx, sequences);
  if (!dweight && !dbias) return;

  const Scratch<float> sums((width + 1) * channels);  // by tap, then the bias
  device.parallelRanges(channels, 64, [&](int64_t begin, int64_t end, int) {
    const int64_t count = end - begin;
    for (int64_t j = 0; j <= width; j++) std::memset(sums + j * channels + begin, 0, size_t(count) * 4);
    const Scratch<float> buffer(count);
    for (const Sequence& sequence : sequences)
      for (int64_t t = sequence.begin; t < sequence.end; t++)
        for (int64_t j = 0; j <= width; j++) {
          const int64_t token = j == width ? t : t + j - (width - 1);
          if (token < sequence.begin) continue;
          const float* from = readRow(x, token * channels + begin, count, buffer);
          eachRegister(count, [&](int64_t i, auto access, int) {
            float* to = sums + j * channels + begin + i;
            const Floats slope = access.load(slopes + t * channels + begin + i);
            access.store(to, access.load(to) + (j == width ? slope : slope * access.load(from + i)));
          });
        }
  });
  if (dbias) writeRow(dbias, 0, sums + width * channels, channels);
  if (!dweight) return;
  const Scratch<float> turned(width * channels);
  for (int64_t c = 0; c < channels; c++)
    for (int64_t j = 0; j < width; j++) turned[c * width + j] = sums[j * channels + c];
  writeRow(dweight, 0, turned, width * channels);
}

}  // namespace cpu::CPU_ISA
