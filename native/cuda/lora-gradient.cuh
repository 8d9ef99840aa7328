// What LoRA's backward pass takes from dout, in one reading of it, on tensor cores:
//
//   dS = dout B              [tokens, r]      B [out, r]
//   db = s · dout' hidden    [out, r]         hidden [tokens, r]
//
// A block takes 256 tokens and 256 columns of dout (128 where r is large), 64 × 64 at a time through a ring of three tiles. Each tile goes into
// both products: as rows times B, and transposed times hidden. A block's sums over its columns (dS) and over its tokens
// (db) are parts; a second kernel adds the parts in a fixed order.
//
// dout is bf16 or f16, out a multiple of 8, r at most 64. Returns false where that does not hold.
#pragma once
#include "device/launch.h"
#include "tools/tile.cuh"
#include "tools/vector.cuh"

namespace cuda {

constexpr int loraTile = 64, loraSpan = 256, loraThreads = 128, loraStages = 3;
constexpr int loraColSpan(int R) { return R <= 16 ? 256 : 128; }  // its sums over tokens stay in registers

// Rows of R 16-bit elements lie in tiles of at least 4 chunks.
constexpr int loraChunks(int R) { return R <= 32 ? 4 : 8; }

template <int R>
constexpr size_t loraShared() {
  return (loraColSpan(R) + loraSpan) * loraChunks(R) * 16 + loraStages * loraTile * loraTile * 2;
}

// to [rows, chunks · 8] = from [rows, rank] in 16 bits, zeros behind.
template <class T>
__global__ void padRank(T* to, Source from, int64_t rows, int rank, int width) {
  const int64_t i = int64_t(blockIdx.x) * blockDim.x + threadIdx.x;
  if (i >= rows * width) return;
  const int64_t row = i / width;
  const int col = int(i % width);
  to[i] = numberOf<T>(col < rank ? from[row * rank + col] : 0.0f);
}

template <class T, int R>
__global__ void __launch_bounds__(loraThreads, R == 64 ? 1 : 0)  // 0: as many as ptxas likes
    loraGradientTile(float* partsS, float* partsB, const uint16_t* dout, const uint16_t* b, const uint16_t* hidden,
                     int64_t tokens, int64_t outputs) {
  constexpr int chunks = loraChunks(R), colSpan = loraColSpan(R), tiles = colSpan / loraTile;
  const uint32_t tileB = ptx::sharedAddress(ptx::sharedMemory());
  const uint32_t tileH = tileB + colSpan * chunks * 16, ring = tileH + loraSpan * chunks * 16;
  const int warp = int(threadIdx.x) / 32, lane = int(threadIdx.x) % 32, g = lane / 4, q = lane % 4;
  const int64_t col0 = int64_t(blockIdx.x) * colSpan, row0 = int64_t(blockIdx.y) * loraSpan;

  copyTile<colSpan, chunks, loraThreads>(tileB, b, chunks * 8, col0, outputs, 0, chunks * 8);
  copyTile<loraSpan, chunks, loraThreads>(tileH, hidden, chunks * 8, row0, tokens, 0, chunks * 8);
  // Tile i: tokens i / tiles, columns i % tiles.
  const auto load = [&](int i) {
    if (i < loraSpan / loraTile * tiles)
      copyTile<loraTile, loraTile / 8, loraThreads>(ring + i % loraStages * loraTile * loraTile * 2, dout, outputs,
                                                    row0 + i / tiles * loraTile, tokens, col0 + i % tiles * loraTile,
                                                    outputs);
    ptx::commitCopies();
  };
  for (int i = 0; i < loraStages - 1; i++) load(i);

  float sumB[tiles][R / 8][4] = {};
  for (int tokensTile = 0; tokensTile < loraSpan / loraTile; tokensTile++) {
    float sumS[R / 8][4] = {};
#pragma unroll
    for (int colsTile = 0; colsTile < tiles; colsTile++) {
      const int i = tokensTile * tiles + colsTile;
      ptx::waitCopies<loraStages - 2>();
      __syncthreads();
      load(i + loraStages - 1);
      const uint32_t tile = ring + i % loraStages * loraTile * loraTile * 2;
#pragma unroll
      for (int k = 0; k < loraTile; k += 16) {
        uint32_t rows[4], cols[4];
        loadA<loraTile / 8, true>(rows, tile, warp * 16, k, lane);
        loadA<loraTile / 8, false>(cols, tile, warp * 16, k, lane);
#pragma unroll
        for (int n = 0; n < R; n += 16) {
          uint32_t low[2][2], state[2][2];
          loadB<chunks, false>(low, tileB, n, colsTile * loraTile + k, lane);
          loadB<chunks, false>(state, tileH, n, tokensTile * loraTile + k, lane);
#pragma unroll
          for (int half = 0; half < 2; half++) {
            ptx::mma<T>(sumS[n / 8 + half], rows, low[half]);
            ptx::mma<T>(sumB[colsTile][n / 8 + half], cols, state[half]);
          }
        }
      }
    }
#pragma unroll
    for (int n = 0; n < R / 8; n++)
#pragma unroll
      for (int half = 0; half < 2; half++) {
        const int64_t token = row0 + tokensTile * loraTile + warp * 16 + g + 8 * half;
        if (token < tokens)
          *reinterpret_cast<float2*>(partsS + (blockIdx.x * tokens + token) * R + n * 8 + 2 * q) = {
              sumS[n][2 * half], sumS[n][2 * half + 1]};
      }
  }
#pragma unroll
  for (int colsTile = 0; colsTile < tiles; colsTile++)
#pragma unroll
    for (int n = 0; n < R / 8; n++)
#pragma unroll
      for (int half = 0; half < 2; half++) {
        const int64_t col = col0 + colsTile * loraTile + warp * 16 + g + 8 * half;
        if (col < outputs)
          *reinterpret_cast<float2*>(partsB + (blockIdx.y * outputs + col) * R + n * 8 + 2 * q) = {
              sumB[colsTile][n][2 * half], sumB[colsTile][n][2 * half + 1]};
      }
}

// out [rows, rank] = scale · Σ parts [parts, rows, width], in the order of the parts.
static __global__ void addParts(Sink out, const float* parts, int count, int64_t rows, int rank, int width,
                                float scale) {
  const int64_t i = int64_t(blockIdx.x) * blockDim.x + threadIdx.x;
  if (i >= rows * rank) return;
  const int64_t row = i / rank;
  const float* from = parts + row * width + i % rank;
  float sum = 0;
  for (int part = 0; part < count; part++) sum += from[part * rows * width];
  out.store(i, scale * sum);
}

template <class T, int R>
void loraGradientOf(Device& device, const View& dS, const View& db, const View& dout, const View& b, const View& hidden,
                    float scaling) {
  const int64_t tokens = dout.rows(), outputs = dout.cols();
  const int rank = int(b.cols()), width = loraChunks(R) * 8;
  const auto grid = [](int64_t elements) { return Grid{.blocks = unsigned(ceilDiv(elements, 256)), .threads = 256}; };
  Scratch<T> low(device, outputs * width), state(device, tokens * width);
  launch(device, padRank<T>, grid(outputs * width), low, Source(b), outputs, rank, width);
  launch(device, padRank<T>, grid(tokens * width), state, Source(hidden), tokens, rank, width);

  const int64_t across = ceilDiv(outputs, loraColSpan(R)), down = ceilDiv(tokens, loraSpan);
  Scratch<float> partsS(device, across * tokens * R), partsB(device, down * outputs * R);
  launch(device, loraGradientTile<T, R>,
         {.blocks = dim3(unsigned(across), unsigned(down)), .threads = loraThreads, .shared = loraShared<R>()}, partsS,
         partsB, dout.data<const uint16_t>(), reinterpret_cast<const uint16_t*>(static_cast<T*>(low)),
         reinterpret_cast<const uint16_t*>(static_cast<T*>(state)), tokens, outputs);
  launch(device, addParts, grid(tokens * rank), Sink(dS), partsS, int(across), tokens, rank, R, 1.0f);
  launch(device, addParts, grid(outputs * rank), Sink(db), partsB, int(down), outputs, rank, R, scaling);
}

inline bool loraGradient(Device& device, const View& dS, const View& db, const View& dout, const View& b,
                         const View& hidden, float scaling) {
  const int64_t rank = b.cols();
  if ((dout.dtype != DType::bf16 && dout.dtype != DType::f16) || !inEights(dout, dout.cols()) || rank > 64)
    return false;
  const auto run = [&](auto tag) {
    using T = decltype(tag);
    if (rank <= 16) loraGradientOf<T, 16>(device, dS, db, dout, b, hidden, scaling);
    else if (rank <= 32) loraGradientOf<T, 32>(device, dS, db, dout, b, hidden, scaling);
    else loraGradientOf<T, 64>(device, dS, db, dout, b, hidden, scaling);
  };
  if (dout.dtype == DType::bf16) run(bf16{});
  else run(f16{});
  return true;
}

}  // namespace cuda
