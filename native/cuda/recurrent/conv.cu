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
// A thread per token and channel, the channels of a token side by side. Tails are replaced by a second kernel, when all
// tokens have read them. Sums over tokens are taken in 16 slices per channel, each in order, then slice after slice.
#include "../../kernels/conv.h"
#include "../device/launch.h"
#include "../tools/functions.cuh"
#include "sequences.cuh"

namespace cuda {
namespace {

struct Conv {
  Source x, weight, bias, tails;
  bool biased, silu;
  int width;
  int64_t channels;

  Conv(const View& x, const View& weight, const View& bias, const View& tails, bool silu)
      : x(x),
        weight(weight),
        bias(bias),
        tails(tails),
        biased(bool(bias)),
        silu(silu),
        width(int(weight.dim(1))),
        channels(x.dim(1)) {}

  // The input `before` tokens ahead of the sequence's first, or after it where that is negative.
  __device__ float input(const Sequence& sequence, int token, int64_t channel) const {
    const int before = sequence.begin - token;
    if (before <= 0) return x[int64_t(token) * channels + channel];
    if (sequence.place < 0) return 0;
    return tails[(int64_t(sequence.place) * (width - 1) + width - 1 - before) * channels + channel];
  }
  __device__ float response(const Sequence& sequence, int token, int64_t channel) const {
    float y = biased ? bias[channel] : 0;
    for (int j = 0; j < width; j++)
      y += weight[channel * width + j] * input(sequence, token + j - (width - 1), channel);
    return y;
  }
};

constexpr int blockThreads = 128;

// A grid of one thread per channel and row.
struct ChannelGrid {
  int64_t blocks;
  explicit ChannelGrid(int64_t channels) : blocks(ceilDiv(channels, blockThreads)) {}
  Grid over(int64_t rows) const { return {.blocks = dim3(unsigned(rows * blocks)), .threads = dim3(blockThreads)}; }
};
struct ChannelPlace {
  int row;
  int64_t channel;
  __device__ explicit ChannelPlace(int64_t channels) {
    const int blocks = int((channels + blockThreads - 1) / blockThreads);
    row = int(blockIdx.x) / blocks;
    channel = int64_t(int(blockIdx.x) % blocks) * blockThreads + threadIdx.x;
  }
};

__global__ void convToken(Sink out, Conv conv, PackedSequences sequences) {
  if (blockIdx.x == 0) sequences.check();
  const ChannelPlace place(conv.channels);
  if (place.channel >= conv.channels) return;
  const int s = sequences.of(place.row);
  float y = 0;
  if (s >= 0) y = conv.response(sequences[s], place.row, place.channel);
  if (s >= 0 && conv.silu) y = Silu::value(y);
  out.store(place.row * conv.channels + place.channel, y);
}

// A row of the old tail moves towards the front, so the front is written first.
__global__ void convTails(Sink tails, Conv conv, PackedSequences sequences) {
  const ChannelPlace place(conv.channels);
  if (place.channel >= conv.channels) return;
  const Sequence sequence = sequences[place.row];
  if (sequence.place < 0) return;
  const int kept = conv.width - 1;
  for (int j = 0; j < kept; j++)
    tails.store((int64_t(sequence.place) * kept + j) * conv.channels + place.channel,
                conv.input(sequence, sequence.end - kept + j, place.channel));
}

__global__ void convSlopes(float* slopes, Source dout, Conv conv, PackedSequences sequences) {
  if (blockIdx.x == 0) sequences.check();
  const ChannelPlace place(conv.channels);
  if (place.channel >= conv.channels) return;
  const int s = sequences.of(place.row);
  const int64_t at = place.row * conv.channels + place.channel;
  float slope = s < 0 ? 0 : dout[at];
  if (s >= 0 && conv.silu) slope *= Silu::slope(conv.response(sequences[s], place.row, place.channel));
  slopes[at] = slope;
}

__global__ void convInputs(Sink dx, const float* slopes, Conv conv, PackedSequences sequences) {
  const ChannelPlace place(conv.channels);
  if (place.channel >= conv.channels) return;
  const int s = sequences.of(place.row), end = s < 0 ? 0 : sequences[s].end;
  float sum = 0;
  for (int j = conv.width - 1; j >= 0; j--) {
    const int token = place.row + conv.width - 1 - j;
    if (token < end) sum += slopes[token * conv.channels + place.channel] * conv.weight[place.channel * conv.width + j];
  }
  dx.store(place.row * conv.channels + place.channel, sum);
}

constexpr int sumColumns = 32, sumSlices = 16;

// A block takes 32 channels of one tap, or of the bias.
__global__ void convSums(Sink dweight, Sink dbias, const float* slopes, Conv conv, PackedSequences sequences) {
  float* room = reinterpret_cast<float*>(ptx::sharedMemory());
  const int tap = int(blockIdx.y);
  const int64_t channel = int64_t(blockIdx.x) * sumColumns + threadIdx.x;
  float sum = 0;
  if (channel < conv.channels)
    for (int token = int(threadIdx.y); token < sequences.tokens; token += sumSlices) {
      const float slope = slopes[token * conv.channels + channel];
      if (tap == conv.width) {
        sum += slope;
        continue;
      }
      const int s = sequences.of(token), from = token + tap - (conv.width - 1);
      if (s >= 0 && from >= sequences[s].begin) sum += slope * conv.x[from * conv.channels + channel];
    }
  room[threadIdx.y * sumColumns + threadIdx.x] = sum;
  __syncthreads();
  if (threadIdx.y > 0 || channel >= conv.channels) return;
  for (int slice = 1; slice < sumSlices; slice++) sum += room[slice * sumColumns + threadIdx.x];
  if (tap < conv.width) {
    if (dweight.bytes) dweight.store(channel * conv.width + tap, sum);
  } else if (dbias.bytes) {
    dbias.store(channel, sum);
  }
}

}  // namespace

void causalConv(Device& device, Out out, Out tails, In x, In weight, In bias, In boundaries, In places, bool silu) {
  if (x.size() == 0) return;
  const int64_t tokens = x.dim(0);
  const PackedSequences sequences(boundaries, tokens, tails, places, {device.faults, Faults::convBoundary},
                                  {device.faults, Faults::convPlace});
  const Conv conv(x, weight, bias, tails, silu);
  const ChannelGrid grid(x.dim(1));
  launch(device, convToken, grid.over(tokens), Sink(out), conv, sequences);
  if (tails) launch(device, convTails, grid.over(sequences.count), Sink(tails), conv, sequences);
}

void causalConvBackward(Device& device, Out dx, Out dweight, Out dbias, In dout, In x, In weight, In bias,
                        In boundaries, bool silu) {
  const int64_t tokens = x.dim(0), channels = x.dim(1);
  const PackedSequences sequences(boundaries, tokens, {}, {}, {device.faults, Faults::convBackwardBoundary},
                                  {device.faults, Faults::convPlace});
  const Conv conv(x, weight, bias, {}, silu);
  const ChannelGrid grid(channels);
  const Scratch<float> slopes(device, tokens * channels);
  launch(device, convSlopes, grid.over(tokens), slopes, Source(dout), conv, sequences);
  launch(device, convInputs, grid.over(tokens), Sink(dx), slopes, conv, sequences);
  if (!dweight && !dbias) return;
  const Grid sums{.blocks = dim3(unsigned(ceilDiv(channels, sumColumns)), unsigned(conv.width + 1)),
                  .threads = dim3(sumColumns, sumSlices),
                  .shared = sumColumns * sumSlices * sizeof(float)};
  launch(device, convSums, sums, Sink(dweight), Sink(dbias), slopes, conv, sequences);
}

}  // namespace cuda
