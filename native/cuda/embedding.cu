// Embedding: out = weight[ids], and its gradient: dweight[ids] += dout.
//
//   weight, dweight [vocab, dim]    ids i32 [..]    out, dout [.., dim]    last axes side by side, ids contiguous
//
// Forward: a block per token and band of columns, eight columns per thread. Backward: the same, but only the block of the
// first token with its id works. It looks through all later tokens, 32 ids at a time, and adds those with the same id in
// their order, in f32: no atomics, and the same sum every time.
#include "../kernels/embedding.h"
#include "device/fault.cuh"
#include "device/launch.h"
#include "tools/reduce.cuh"
#include "tools/vector.cuh"

namespace cuda {
namespace {

// `step`: from one row of the table to the next.
template <int width>
__global__ void embedToken(Sink out, Source weight, const int32_t* ids, int64_t dim, int64_t step, FaultNote note) {
  const int64_t token = blockIdx.x, column = (int64_t(blockIdx.y) * blockDim.x + threadIdx.x) * width;
  const int32_t id = ids[token];
  if (id < 0 || id >= note.limit) {
    if (column == 0) note(token, id);
    return;
  }
  if (column >= dim) return;
  float v[width];
  weight.load(id * step + column, v);
  out.store(token * dim + column, v);
}

// The tokens from `first` on, lane by lane, that have this id. The whole warp calls it.
__device__ __forceinline__ unsigned tokensWith(int32_t id, const int32_t* ids, int64_t first, int64_t tokens) {
  const int64_t token = first + threadIdx.x % 32;
  return __ballot_sync(wholeWarp, token < tokens && ids[token] == id);
}

template <int width>
__global__ void embedGradientFirst(Sink dweight, Source weights, Source dout, const int32_t* ids, int64_t tokens,
                                   int64_t dim, int64_t step, FaultNote note) {
  const int64_t token = blockIdx.x, column = (int64_t(blockIdx.y) * blockDim.x + threadIdx.x) * width;
  const int32_t id = ids[token];
  if (id < 0 || id >= note.limit) {
    if (column == 0) note(token, id);
    return;
  }
  for (int64_t first = 0; first < token; first += 32)
    if (tokensWith(id, ids, first, token)) return;
  const bool inside = column < dim;
  float sums[width] = {};
  if (inside) weights.load(id * step + column, sums);
  for (int64_t first = token; first < tokens; first += 32)
    for (unsigned same = tokensWith(id, ids, first, tokens); same; same &= same - 1) {
      if (!inside) continue;
      float v[width];
      dout.load((first + __ffs(int(same)) - 1) * dim + column, v);
#pragma unroll
      for (int j = 0; j < width; j++) sums[j] += v[j];
    }
  if (inside) dweight.store(id * step + column, sums);
}

Grid tokensTimesBands(int64_t tokens, int64_t items) {
  const int64_t wanted = ceilDiv(items, 32) * 32, threads = wanted < 256 ? wanted : 256;
  return {.blocks = dim3(unsigned(tokens), unsigned(ceilDiv(items, threads))), .threads = dim3(unsigned(threads))};
}

}  // namespace

void embedding(Device& device, Out out, In weight, In ids) {
  const int64_t tokens = ids.size(), dim = weight.cols(), step = weight.stride(0);
  if (tokens * dim == 0) return;
  const FaultNote note{device.faults, Faults::embeddingId, weight.shape[0]};
  const auto start = [&](auto kernel, int width) {
    launch(device, kernel, tokensTimesBands(tokens, dim / width), Sink(out), Source(weight), ids.data<int32_t>(), dim,
           step, note);
  };
  if (inEights(out, dim) && inEights(weight, dim) && step % 8 == 0) start(embedToken<8>, 8);
  else start(embedToken<1>, 1);
}

void embeddingBackward(Device& device, Out dweight, In dout, In ids) {
  const int64_t tokens = ids.size(), dim = dweight.cols(), step = dweight.stride(0);
  if (tokens * dim == 0) return;
  const FaultNote note{device.faults, Faults::embeddingBackwardId, dweight.shape[0]};
  const auto start = [&](auto kernel, int width) {
    launch(device, kernel, tokensTimesBands(tokens, dim / width), Sink(dweight), Source(dweight), Source(dout),
           ids.data<int32_t>(), tokens, dim, step, note);
  };
  if (inEights(dweight, dim) && inEights(dout, dim) && step % 8 == 0) start(embedGradientFirst<8>, 8);
  else start(embedGradientFirst<1>, 1);
}

}  // namespace cuda
