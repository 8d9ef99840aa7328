// Matrix product of batches: out [.., M, N] = activation(a [.., M, K] × b [.., K, N] + bias [N]) + residual.
//
//   a, b   strided, in any floating-point formats; a batch stride may be 0. Fewer axes than out's: broadcast.
//   out    contiguous rows; the residual's lie as they do
//
// Where every batch has the same b and a's rows follow each other evenly, the batches are one product of more rows.
#include <optional>
#include "../../kernels/matmul.h"
#include "../device.h"
#include "../tools/simd.h"
#include "gemm.h"

namespace cpu::CPU_ISA {
namespace {

// The stride of x along `out`'s axis i; 0 where x repeats.
int64_t strideAt(const View& x, const View& out, int i) {
  const int own = i - (out.rank - x.rank);
  return own < 0 || x.shape[own] == 1 ? 0 : x.strides[own];
}

// Whether rows of x in all batches lie at even distances, as one matrix's do.
bool foldsIntoRows(const View& x, const View& out) {
  int64_t expected = x.stride(-2) * out.dim(-2);
  if (out.dim(-2) == 1 && out.rank >= 3) {
    // One row per batch: the innermost batch axis that is not 1 sets the distance.
    expected = 0;
    for (int i = out.rank - 3; i >= 0 && expected == 0; i--)
      if (out.shape[i] > 1) expected = strideAt(x, out, i);
  }
  for (int i = out.rank - 3; i >= 0; i--) {
    if (out.shape[i] == 1) continue;
    if (strideAt(x, out, i) != expected) return false;
    expected *= out.shape[i];
  }
  return true;
}

int64_t rowStrideFolded(const View& x, const View& out) {
  if (out.dim(-2) > 1) return x.stride(-2);
  for (int i = out.rank - 3; i >= 0; i--)
    if (out.shape[i] > 1) return strideAt(x, out, i);
  return x.stride(-2);
}

// Element offsets of each batch of x.
void batchOffsets(const View& x, const View& out, int64_t batches, int64_t* offsets) {
  for (int64_t batch = 0; batch < batches; batch++) {
    int64_t rest = batch, offset = 0;
    for (int i = out.rank - 3; i >= 0; i--) {
      offset += rest % out.shape[i] * strideAt(x, out, i);
      rest /= out.shape[i];
    }
    offsets[batch] = offset;
  }
}

}  // namespace

void matmul(Device& device, Out out, In a, In b, In bias, In residual, Activation activation) {
  const int64_t M = out.dim(-2), N = out.dim(-1), K = a.dim(-1);
  int64_t batches = 1;
  for (int i = 0; i + 2 < out.rank; i++) batches *= out.shape[i];
  if (batches * M * N == 0) return;

  std::optional<Scratch<float>> biasRow;
  if (bias) {
    biasRow.emplace(N);
    visitFloat(bias.dtype, [&](auto tag) {
      const auto* from = bias.data<decltype(tag)>();
      for (int64_t j = 0; j < N; j++) biasRow->data()[j] = float(from[j * bias.stride(-1)]);
    });
  }
  Destination to{out.bytes,  out.dtype,      out.stride(-2), biasRow ? biasRow->data() : nullptr,
                 activation, residual.bytes, residual.dtype};
  if (M == 1) to.rowStride = N;

  Product p;
  p.M = M;
  p.N = N;
  p.terms[0] = {{a.bytes, a.dtype, a.stride(-2), a.stride(-1)}, {b.bytes, b.dtype, b.stride(-2), b.stride(-1)}, K, 1};
  bool shared = true;
  for (int i = 0; i + 2 < out.rank; i++)
    if (out.shape[i] > 1 && strideAt(b, out, i) != 0) shared = false;
  if (batches == 1 || (shared && foldsIntoRows(a, out) && foldsIntoRows(out, out))) {
    p.M = batches * M;
    if (batches > 1) {
      p.terms[0].a.rowStride = rowStrideFolded(a, out);
      to.rowStride = rowStrideFolded(out, out);
    }
    gemm(device, p, to);
    return;
  }

  Scratch<int64_t> offsets(3 * batches);
  batchOffsets(a, out, batches, offsets);
  batchOffsets(b, out, batches, offsets + batches);
  batchOffsets(out, out, batches, offsets + 2 * batches);
  p.batches = batches;
  p.aOffsets = offsets;
  p.bOffsets = offsets + batches;
  gemmTiles(device, p, [&](const Tile& tile) { to.write(tile, offsets[2 * batches + tile.batch]); });
}

}  // namespace cpu::CPU_ISA
