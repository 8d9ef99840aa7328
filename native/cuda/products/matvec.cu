// Products of at most eight rows: every weight is read once, so the time is that of reading the weights.
//
//   a [M, K] along K, M <= 8;  b [K, N] along K (a linear layer's weight [N, K]) or along N;  any formats
//
// matvecDots, b along K: a warp forms the dot products of four columns, 16 bytes of each per lane and step. Where columns
// are few, several warps of a block share K.
// matvecRows, b along N: eight lanes cover 64 neighbouring columns; the other lanes, and the warps, share K.
//
// Weights pass the L1 cache by, a's rows stay in it. A second term of small K (LoRA) is added where the sums are stored.
#include <algorithm>
#include "../device/launch.h"
#include "../tools/reduce.cuh"
#include "matmul-product.cuh"

namespace cuda {
namespace {

constexpr int columns = 4;        // of a warp in matvecDots
constexpr int mostWarps = 8;      // of a block
constexpr int blockColumns = 64;  // of a block in matvecRows

// Steps of K on their way at once: more would not fit in Blackwell's registers beside four rows.
#if defined(__CUDA_ARCH__) && __CUDA_ARCH__ >= 1000
constexpr int stepsAhead(int rows) { return rows == 4 ? 1 : 2; }
#else
constexpr int stepsAhead(int) { return 2; }
#endif

// Eight weights, on their way through.
template <class T>
__device__ __forceinline__ void stream8(const T* from, float (&v)[8]) {
  if constexpr (sizeof(T) == 2) {
    unpack8<T>(ptx::loadStreaming(from), v);
  } else {
    const uint4 low = ptx::loadStreaming(from), high = ptx::loadStreaming(from + 4);
    v[0] = __uint_as_float(low.x), v[1] = __uint_as_float(low.y), v[2] = __uint_as_float(low.z),
    v[3] = __uint_as_float(low.w);
    v[4] = __uint_as_float(high.x), v[5] = __uint_as_float(high.y), v[6] = __uint_as_float(high.z),
    v[7] = __uint_as_float(high.w);
  }
}

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

// T: b's format. rows: M rounded up to a power of two; the rows beyond M repeat the last one and are not stored.
// `warps` of a block share a column group's K, of `inEights` elements in runs of eight and the rest one by one.
template <class T, int rows>
__global__ __launch_bounds__(mostWarps * 32, rows == 8 ? 1 : 2) void matvecDots(const __grid_constant__ Product p,
                                                                                const __grid_constant__ Finish finish,
                                                                                uint32_t perBatch, int warps,
                                                                                int64_t inEights) {
  ptx::takeTurn();
  const int lane = int(threadIdx.x) % 32, warp = int(threadIdx.x) / 32, part = warp % warps;
  const int groups = int(blockDim.x) / 32 / warps;
  const uint32_t batch = blockIdx.x / perBatch;
  const int64_t first = int64_t(blockIdx.x % perBatch) * groups;  // of the block's groups of columns
  const int64_t col0 = (first + warp / warps) * columns;
  const Term& term = p.terms[0];
  const Source a(term.a.bytes, term.a.dtype);
  const int64_t atA = p.batches.offset(term.a.batchStrides, batch);
  const T* b = static_cast<const T*>(term.b.bytes) + p.batches.offset(term.b.batchStrides, batch);
  const T* column[columns];
#pragma unroll
  for (int c = 0; c < columns; c++) column[c] = b + (col0 + c < p.N ? col0 + c : p.N - 1) * term.b.colStride;
  int64_t row[rows];
#pragma unroll
  for (int r = 0; r < rows; r++) row[r] = atA + (r < p.M ? r : p.M - 1) * term.a.rowStride;

  float sums[columns][rows] = {};
#pragma unroll stepsAhead(rows)
  for (int64_t k = (part * 32 + lane) * 8; k < inEights; k += warps * 256) {
    float w[columns][8];
#pragma unroll
    for (int c = 0; c < columns; c++) stream8(column[c] + k, w[c]);
#pragma unroll
    for (int r = 0; r < rows; r++) {
      float x[8];
      a.load8(row[r] + k, x);
#pragma unroll
      for (int c = 0; c < columns; c++)
#pragma unroll
        for (int i = 0; i < 8; i++) sums[c][r] += w[c][i] * x[i];
    }
  }
  for (int64_t k = inEights + part * 32 + lane; k < term.K; k += warps * 32) {
#pragma unroll
    for (int r = 0; r < rows; r++) {
      const float x = a[row[r] + k];
#pragma unroll
      for (int c = 0; c < columns; c++) sums[c][r] += valueOf(column[c][k]) * x;
    }
  }

  // Each warp's sums to shared memory, then a thread per output.
  float* room = reinterpret_cast<float*>(ptx::sharedMemory());
#pragma unroll
  for (int c = 0; c < columns; c++) {
#pragma unroll
    for (int r = 0; r < rows; r++) {
      const float sum = warpReduce(sums[c][r], Sum{});
      if (lane == c * rows + r) room[warp * columns * rows + lane] = sum;
    }
  }
  __syncthreads();
  for (int i = int(threadIdx.x); i < groups * columns * rows; i += int(blockDim.x)) {
    const int group = i / (columns * rows), output = i % (columns * rows), r = output % rows;
    const int64_t col = (first + group) * columns + output / rows;
    if (r >= p.M || col >= p.N) continue;
    float sum = p.termCount > 1 ? correction(p, batch, r, col) : 0.0f;
    for (int w = 0; w < warps; w++) sum += room[(group * warps + w) * columns * rows + output];
    finish.store1(batch, 0, r, col, sum);
  }
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
    const int warps = plan.warps, groups = mostWarps / warps;
    const int64_t used = std::min<int64_t>(groups, ceilDiv(p.N, columns));
    const int64_t perBatch = ceilDiv(p.N, columns * used);
    launch(device, matvecDots<T, rows>,
           {.blocks = dim3(unsigned(perBatch * p.batches.count)),
            .threads = dim3(unsigned(used * warps * 32)),
            .shared = size_t(used) * warps * columns * rows * sizeof(float),
            .overlaps = true},
           p, finish, uint32_t(perBatch), warps, eights ? term.K / 8 * 8 : int64_t(0));
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
