// Products of at most eight rows: every weight is read once, so the time is that of reading the weights.
//
//   a [M, K] along K, M <= 8;  b [K, N] along K (a linear layer's weight [N, K]) or along N;  any formats
//
// matvecDots, b along K: see vector-steps.cuh. matvecRows, b along N: eight lanes cover 64 neighbouring columns; the other
// lanes, and the warps, share K. A second term of small K (LoRA) is added where the sums are stored.
#include "../device/launch.h"
#include "vector-steps.cuh"

namespace cuda {
namespace {

using vectors::mostWarps, vectors::stream8;
constexpr int blockColumns = 64;  // of a block in matvecRows

// The second term's share of out[row, col].
__device__ __forceinline__ float correction(const Product& p, uint32_t batch, int64_t row, int64_t col) {
  const Term& term = p.terms[1];
  const Source a(term.a.bytes, term.a.dtype), b(term.b.bytes, term.b.dtype);
  const int64_t atA = p.batches.offset(term.a.batchStrides, batch) + row * term.a.rowStride;
  const int64_t atB = p.batches.offset(term.b.batchStrides, batch) + col * term.b.colStride;
  float sum = 0;
  for (int64_t k = 0; k < term.K; k++) sum += a[atA + k * term.a.colStride] * b[atB + k * term.b.rowStride];
  return sum * term.scale;
}

// T: b's format. rows: M rounded up to a power of two.
template <class T, int rows>
__global__ __launch_bounds__(mostWarps * 32, rows == 8 ? 1 : 2) void matvecDots(const __grid_constant__ Product p,
                                                                                const __grid_constant__ Finish finish,
                                                                                uint32_t perBatch, int warps,
                                                                                int64_t inEights) {
  ptx::takeTurn();
  const uint32_t batch = blockIdx.x / perBatch;
  const int64_t first = int64_t(blockIdx.x % perBatch) * (int(blockDim.x) / 32 / warps);
  const Term& term = p.terms[0];
  vectors::dotColumns<T, rows>(
      {term.a.bytes, term.a.dtype}, p.batches.offset(term.a.batchStrides, batch), term.a.rowStride, p.M,
      static_cast<const T*>(term.b.bytes) + p.batches.offset(term.b.batchStrides, batch),
      {first, p.N, term.K, term.b.colStride, inEights, warps}, [&](int row, int64_t col, float sum) {
        if (p.termCount > 1) sum += correction(p, batch, row, col);
        finish.store1(batch, 0, row, col, sum);
      });
}

template <class T, int rows>
__global__ __launch_bounds__(mostWarps * 32, rows == 8 ? 1 : 2) void matvecRows(const __grid_constant__ Product p,
                                                                                const __grid_constant__ Finish finish,
                                                                                uint32_t splits, bool eights) {
  ptx::takeTurn();
  const int lane = int(threadIdx.x) % 32, warp = int(threadIdx.x) / 32, warps = int(blockDim.x) / 32;
  const uint32_t tiles = uint32_t((p.N + blockColumns - 1) / blockColumns), batch = blockIdx.x / tiles / splits;
  const uint32_t split = blockIdx.x / tiles % splits;
  const int64_t col0 = int64_t(blockIdx.x % tiles) * blockColumns, col = col0 + lane % 8 * 8;
  const Term& term = p.terms[0];
  const int64_t begin = partOf(term.K, split, splits), end = partOf(term.K, split + 1, splits);
  const Source a(term.a.bytes, term.a.dtype);
  const int64_t atA = p.batches.offset(term.a.batchStrides, batch);
  const T* b = static_cast<const T*>(term.b.bytes) + p.batches.offset(term.b.batchStrides, batch) + col;
  const int width = p.N - col < 8 ? int(p.N - col) : 8;

  float sums[rows][8] = {};
  if (width > 0) {
#pragma unroll 4
    for (int64_t k = begin + warp * 4 + lane / 8; k < end; k += warps * 4) {
      float w[8];
      const T* from = b + k * term.b.rowStride;
      if (eights && width == 8) {
        stream8(from, w);
      } else {
#pragma unroll
        for (int i = 0; i < 8; i++) w[i] = i < width ? valueOf(from[i]) : 0.0f;
      }
#pragma unroll
      for (int r = 0; r < rows; r++) {
        const float x = a[atA + (r < p.M ? r : p.M - 1) * term.a.rowStride + k * term.a.colStride];
#pragma unroll
        for (int i = 0; i < 8; i++) sums[r][i] += w[i] * x;
      }
    }
  }

  // to [warps, rows, blockColumns]
  float* room = reinterpret_cast<float*>(ptx::sharedMemory());
#pragma unroll
  for (int r = 0; r < rows; r++) {
#pragma unroll
    for (int i = 0; i < 8; i++) {
      float sum = sums[r][i];
      sum += __shfl_xor_sync(wholeWarp, sum, 8);
      sum += __shfl_xor_sync(wholeWarp, sum, 16);
      if (lane < 8) room[(warp * rows + r) * blockColumns + lane * 8 + i] = sum;
    }
  }
  __syncthreads();
  for (int i = int(threadIdx.x); i < p.M * blockColumns; i += int(blockDim.x)) {
    const int r = i / blockColumns, c = i % blockColumns;
    if (col0 + c >= p.N) continue;
    float sum = split == 0 && p.termCount > 1 ? correction(p, batch, r, col0 + c) : 0.0f;
    for (int w = 0; w < warps; w++) sum += room[(w * rows + r) * blockColumns + c];
    finish.store1(batch, int(split), r, col0 + c, sum);
  }
}

template <class T, int rows>
void start(Device& device, const Product& p, const Finish& finish, const MatmulPlan& plan) {
  const Term& term = p.terms[0];
  if (term.b.rowStride == 1) {
    const bool eights = term.a.rowsInEights(p.batches) && term.b.colsInEights(p.batches);
    const vectors::Cut cut(p.N, plan.warps);
    launch(device, matvecDots<T, rows>,
           {.blocks = dim3(unsigned(cut.blocks * p.batches.count)),
            .threads = cut.threads(plan.warps),
            .shared = cut.shared(plan.warps, rows),
            .overlaps = true},
           p, finish, uint32_t(cut.blocks), plan.warps, eights ? term.K / 8 * 8 : int64_t(0));
  } else {
    const int64_t warps = std::clamp<int64_t>(ceilDiv(term.K, plan.splits * 16), 1, mostWarps);
    launch(device, matvecRows<T, rows>,
           {.blocks = dim3(unsigned(ceilDiv(p.N, blockColumns) * plan.splits * p.batches.count)),
            .threads = dim3(unsigned(warps * 32)),
            .shared = size_t(warps) * rows * blockColumns * sizeof(float),
            .overlaps = true},
           p, finish, uint32_t(plan.splits), term.b.rowsInEights(p.batches));
  }
}

template <class T>
void start(Device& device, const Product& p, const Finish& finish, const MatmulPlan& plan) {
  if (p.M == 1) start<T, 1>(device, p, finish, plan);
  else if (p.M == 2) start<T, 2>(device, p, finish, plan);
  else if (p.M <= 4) start<T, 4>(device, p, finish, plan);
  else start<T, 8>(device, p, finish, plan);
}

}  // namespace

void multiplyVectors(Device& device, const Product& product, const Finish& finish, const MatmulPlan& plan) {
  visitFloat(product.terms[0].b.dtype, [&](auto tag) { start<decltype(tag)>(device, product, finish, plan); });
}

}  // namespace cuda
