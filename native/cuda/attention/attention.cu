// Attention over packed sequences: out = softmax(scale · q kᵀ) v, each sequence within itself (native/cpu/attention/attention.cc).
//
// Three plans: wgmma and TMA on sm_90 (attention-hopper.cu), mma.sync tiles for 16-bit formats elsewhere, and f32
// arithmetic for f32, for mixed formats and for head sizes beyond 256.
#include "../../kernels/attention.h"
#include "attention-float.cuh"

namespace cuda {
namespace {

// A tensor map has no stride of 0: tokens or heads that repeat are left to mma.sync.
bool isBoxed(const View& x) { return (x.stride(0) != 0 || x.dim(0) == 1) && (x.stride(1) != 0 || x.dim(1) == 1); }

}  // namespace

void attention(Device& device, Out out, Out lse, In q, In k, In v, In boundaries, float scale, bool causal, int window,
               float softcap) {
  if (q.size() == 0) return;
  const int kvHeads = int(k.dim(1));
  const Scoring scoring(scale, causal, window, softcap);
  const Sequences sequences(boundaries, q.dim(0), {device.faults, Faults::attentionBoundary});
  const Forward p(out, lse, q, k, v, sequences, scoring, kvHeads);
  const PackedKeys keys{k, v};
  const bool tiles = is16Bit(q.dtype) && k.dtype == q.dtype && v.dtype == q.dtype && out.dtype == q.dtype &&
                     p.d <= 256 && inChunks(out) && inChunks(q) && inChunks(k) && inChunks(v);
  if (!tiles) return attendFloat(device, p, out, q, k, v, keys, {});
  if (device.hopper && p.d <= 128 && isBoxed(k) && isBoxed(v) && attendHopper(device, p, k, v)) return;
  if (q.dtype == DType::bf16) attendTiles<bf16>(device, p, keys);
  else attendTiles<f16>(device, p, keys);
}

}  // namespace cuda
