// The gradient of attention (native/cpu/attention/attention-backward.cc): on tensor cores for 16-bit formats, else in f32.
#include "../../kernels/attention.h"
#include "attention-backward-float.cuh"
#include "attention-backward-tile.cuh"

namespace cuda {
namespace {

// One warp per token and head: lse and D for both passes, in the order of rows.
constexpr int statWarps = 8;
__global__ void gatherStats(float2* stats, Source dout, Source out, Strides doutStrides, Strides outStrides,
                            const float* lse, int tokens, int heads, int group, int d) {
  const int lane = int(threadIdx.x) % 32;
  const int64_t i = int64_t(blockIdx.x) * statWarps + threadIdx.x / 32;
  if (i >= int64_t(tokens) * heads) return;
  const int token = int(i / heads), head = int(i % heads);
  const int64_t fromDout = token * doutStrides.token + head * doutStrides.head,
                fromOut = token * outStrides.token + head * outStrides.head;
  float sum = 0;
  for (int c = lane; c < d; c += 32) sum += dout[fromDout + c] * out[fromOut + c];
  sum = warpReduce(sum, Sum{});
  const float of = lse[int64_t(head) * tokens + token];
  // A row that saw nothing has probabilities of 0.
  if (lane == 0)
    stats[(int64_t(head / group) * tokens + token) * group + head % group] = {of == -INFINITY ? INFINITY : of * log2e,
                                                                              sum};
}

}  // namespace

void attentionBackward(Device& device, Out dq, Out dk, Out dv, In dout, In q, In k, In v, In out, In lse, In boundaries,
                       float scale, bool causal, int window, float softcap) {
  if (q.size() == 0) return;
  const int tokens = int(q.dim(0)), heads = int(q.dim(1)), kvHeads = int(k.dim(1)), d = int(q.dim(2));
  const Scratch<float2> stats(device, int64_t(tokens) * heads);
  launch(device, gatherStats, {dim3(unsigned(ceilDiv(int64_t(tokens) * heads, statWarps))), dim3(32 * statWarps)},
         stats, Source(dout), Source(out), Strides(dout), Strides(out), lse.data<float>(), tokens, heads,
         heads / kvHeads, d);

  const Backward x{dq, dk, dv, dout, q, k, v};
  const Sequences sequences(boundaries, tokens, {device.faults, Faults::attentionBackwardBoundary});
  const Gradient p(x, sequences, Scoring(scale, causal, window, softcap), stats);
  bool tiles = is16Bit(q.dtype) && d <= 256;
  for (const View* side : {&x.dq, &x.dk, &x.dv, &x.dout, &x.q, &x.k, &x.v})
    tiles = tiles && side->dtype == q.dtype && inChunks(*side);
  if (!tiles) gradeFloat(device, p, x);
  else if (q.dtype == DType::bf16) gradeTiles<bf16>(device, p, x);
  else gradeTiles<f16>(device, p, x);
}

}  // namespace cuda
