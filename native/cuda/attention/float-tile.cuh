// Tiles of 32 rows as f32 in shared memory and their products, for formats that tensor cores do not multiply exactly.
//
// A block has 64 threads in an 8 × 8 arrangement: thread (y, x) has rows y + 8 i of a product, and of its columns
// x + 8 j of 32 keys, or 4 x + 32 h + j of 64 channels. Channels go through shared memory 64 at a time, so that any
// head size does.
#pragma once
#include "attention-spans.cuh"

namespace cuda {

constexpr int floatRows = 32, floatChunk = 64, floatThreads = 64;
constexpr int chunkStride = floatChunk + 4, scoreStride = floatRows + 4;  // float4 reads of eight rows hit all banks

struct Rows {
  Source from;
  bool eights;  // whether rows may be read eight at a time

  Rows(const View& x) : from(x), eights(inChunks(x)) {}
};

// Copies channels [column, column + 64) of 32 rows; zeros beyond d and for rows whose offset is negative.
template <class Offset>
__device__ __forceinline__ void copyChunk(float* to, const Rows& rows, int d, int column, Offset offset) {
  for (int i = int(threadIdx.x); i < floatRows * floatChunk / 8; i += floatThreads) {
    const int row = i / (floatChunk / 8), c = column + i % (floatChunk / 8) * 8;
    const int64_t at = offset(row);
    float v[8] = {};
    if (at >= 0 && c < d) {
      if (rows.eights) rows.from.load8(at + c, v);
      else
        for (int j = 0; j < 8; j++)
          if (c + j < d) v[j] = rows.from[at + c + j];
    }
    float4* place = reinterpret_cast<float4*>(to + row * chunkStride + c - column);
    place[0] = {v[0], v[1], v[2], v[3]};
    place[1] = {v[4], v[5], v[6], v[7]};
  }
}

// s[i][j] += row y + 8 i of a · row x + 8 j of b, over the first `depth` channels of a chunk.
__device__ __forceinline__ void addDots(float (&s)[4][4], const float* a, const float* b, int depth) {
  a += int(threadIdx.x) / 8 * chunkStride;
  b += int(threadIdx.x) % 8 * chunkStride;
  for (int k = 0; k < depth; k += 4) {
    float4 u[4], v[4];
#pragma unroll
    for (int i = 0; i < 4; i++) {
      u[i] = *reinterpret_cast<const float4*>(a + 8 * i * chunkStride + k);
      v[i] = *reinterpret_cast<const float4*>(b + 8 * i * chunkStride + k);
    }
#pragma unroll
    for (int i = 0; i < 4; i++)
#pragma unroll
      for (int j = 0; j < 4; j++) s[i][j] += u[i].x * v[j].x + u[i].y * v[j].y + u[i].z * v[j].z + u[i].w * v[j].w;
  }
}

// sum[i][4 h + j] += Σ_n weight(n, y + 8 i) · b[n][4 x + 32 h + j] over 32 rows n of a chunk. The weight of row r and
// key n lies at weights[r * scoreStride + n]; `transposed` sums over rows instead of keys.
template <bool transposed>
__device__ __forceinline__ void addWeighted(float (&sum)[4][8], const float* weights, const float* b) {
  constexpr int rowStep = transposed ? 1 : scoreStride, depthStep = transposed ? scoreStride : 1;
  weights += int(threadIdx.x) / 8 * rowStep;
  b += int(threadIdx.x) % 8 * 4;
#pragma unroll 4
  for (int n = 0; n < floatRows; n++) {
    const float4 low = *reinterpret_cast<const float4*>(b + n * chunkStride),
                 high = *reinterpret_cast<const float4*>(b + n * chunkStride + 32);
#pragma unroll
    for (int i = 0; i < 4; i++) {
      const float w = weights[8 * i * rowStep + n * depthStep];
      sum[i][0] += w * low.x, sum[i][1] += w * low.y, sum[i][2] += w * low.z, sum[i][3] += w * low.w;
      sum[i][4] += w * high.x, sum[i][5] += w * high.y, sum[i][6] += w * high.z, sum[i][7] += w * high.w;
    }
  }
}

// Keeps a thread's scores for addWeighted.
__device__ __forceinline__ void storeScores(float* to, const float (&s)[4][4]) {
  const int y = int(threadIdx.x) / 8, x = int(threadIdx.x) % 8;
#pragma unroll
  for (int i = 0; i < 4; i++)
#pragma unroll
    for (int j = 0; j < 4; j++) to[(y + 8 * i) * scoreStride + x + 8 * j] = s[i][j];
}

// Combines a value over the eight threads that share a row.
template <class Join>
__device__ __forceinline__ float rowReduce(float value, Join join) {
#pragma unroll
  for (int step = 4; step > 0; step /= 2) value = join(value, __shfl_xor_sync(0xffffffffu, value, step));
  return value;
}

}  // namespace cuda
