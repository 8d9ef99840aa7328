// Tiles of 16-bit rows in shared memory and the products that attention makes of them with mma.sync.
//
// A tile is rows of D numbers. The 16-byte chunks of a row are turned by its row number, so that the eight rows that
// ldmatrix reads at a time lie in different banks. Lane l has g = l / 4 and q = l % 4; of a warp's 16 rows it holds rows
// g and g + 8, of each eight columns 2q and 2q + 1.
#pragma once
#include "attention-spans.cuh"

namespace cuda {

template <int D>
__device__ __forceinline__ uint32_t chunkAt(int row, int chunk) {
  const int turn = D % 64 == 0 ? row & 7 : row >> 1 & 3;
  return uint32_t(row * D * 2 + ((chunk ^ turn) << 4));
}

// Starts copying `rows` rows of d ≤ D numbers; the rest of a row becomes zeros, as does a row whose offset is negative.
template <int D, int threads, class T, class Offset>
__device__ __forceinline__ void copyRows(uint32_t tile, int rows, const T* from, int d, Offset offset) {
  constexpr int chunks = D / 8;
#pragma unroll 1
  for (int i = int(threadIdx.x) % threads; i < rows * chunks; i += threads) {
    const int row = i / chunks, chunk = i % chunks;
    const int64_t at = offset(row);
    const bool there = at >= 0 && chunk * 8 < d;
    ptx::copyAsync(tile + chunkAt<D>(row, chunk), from + (there ? at + chunk * 8 : 0), there ? 16 : 0);
  }
}

// s [16 M, N] = a [16 M, D] · b [N, D]ᵀ, a from row `first` of its tile on.
template <class T, int D, int M, int N>
__device__ __forceinline__ void multiplyRows(float (&s)[M][N / 8][4], uint32_t a, int first, uint32_t b) {
  const int lane = int(threadIdx.x) % 32;
#pragma unroll
  for (int m = 0; m < M; m++)
#pragma unroll
    for (int n = 0; n < N / 8; n++)
#pragma unroll
      for (int i = 0; i < 4; i++) s[m][n][i] = 0;
#pragma unroll
  for (int k = 0; k < D / 16; k++) {
    uint32_t rows[M][4];
#pragma unroll
    for (int m = 0; m < M; m++)
      ptx::loadMatrices(rows[m], a + chunkAt<D>(first + 16 * m + (lane & 15), 2 * k + (lane >> 4)));
#pragma unroll
    for (int n = 0; n < N / 16; n++) {
      uint32_t cols[4];
      ptx::loadMatrices(cols, b + chunkAt<D>(16 * n + (lane & 7) + (lane >> 4) * 8, 2 * k + (lane >> 3 & 1)));
      const uint32_t low[2] = {cols[0], cols[1]}, high[2] = {cols[2], cols[3]};
#pragma unroll
      for (int m = 0; m < M; m++) {
        ptx::mma<T>(s[m][2 * n], rows[m], low);
        ptx::mma<T>(s[m][2 * n + 1], rows[m], high);
      }
    }
  }
}

// Columns 16 k to 16 k + 15 of s as the left side of a product.
template <class T, int N>
__device__ __forceinline__ void packColumns(uint32_t (&a)[4], const float (&s)[N][4], int k) {
  a[0] = packPair<T>(s[2 * k][0], s[2 * k][1]);
  a[1] = packPair<T>(s[2 * k][2], s[2 * k][3]);
  a[2] = packPair<T>(s[2 * k + 1][0], s[2 * k + 1][1]);
  a[3] = packPair<T>(s[2 * k + 1][2], s[2 * k + 1][3]);
}

// sum [16 M, columns] += s [16 M, N] · b [N, D], of b the columns from `column` on.
template <class T, int D, int M, int N, int columns = D>
__device__ __forceinline__ void addProduct(float (&sum)[M][columns / 8][4], const float (&s)[M][N / 8][4], uint32_t b,
                                           int column = 0) {
  const int lane = int(threadIdx.x) % 32;
#pragma unroll
  for (int k = 0; k < N / 16; k++) {
    uint32_t rows[M][4];
#pragma unroll
    for (int m = 0; m < M; m++) packColumns<T>(rows[m], s[m], k);
#pragma unroll
    for (int n = 0; n < columns / 16; n++) {
      uint32_t cols[4];
      ptx::loadMatricesTransposed(cols, b + chunkAt<D>(16 * k + (lane & 15), column / 8 + 2 * n + (lane >> 4)));
      const uint32_t low[2] = {cols[0], cols[1]}, high[2] = {cols[2], cols[3]};
#pragma unroll
      for (int m = 0; m < M; m++) {
        ptx::mma<T>(sum[m][2 * n], rows[m], low);
        ptx::mma<T>(sum[m][2 * n + 1], rows[m], high);
      }
    }
  }
}

// Combines a value over the four lanes that share a row.
template <class Join>
__device__ __forceinline__ float quadReduce(float x, Join join) {
  x = join(x, __shfl_xor_sync(0xffffffffu, x, 1));
  return join(x, __shfl_xor_sync(0xffffffffu, x, 2));
}
struct Larger {  // no NaN wins: the sum of exponentials will show it
  __device__ float operator()(float a, float b) const { return fmaxf(a, b); }
};

// The online softmax of 16 M rows: the largest score so far, and this lane's part of Σ 2^(score - largest).
template <int M>
struct Softmax {
  float most[M][2], total[M][2];

  __device__ __forceinline__ void reset() {
#pragma unroll
    for (int m = 0; m < M; m++)
#pragma unroll
      for (int h = 0; h < 2; h++) most[m][h] = -INFINITY, total[m][h] = 0;
  }

  // Turns scores into 2^(score - largest) and rescales what was summed before.
  template <int N, int C>
  __device__ __forceinline__ void take(float (&s)[M][N][4], float (&sum)[M][C][4], float exponent) {
#pragma unroll
    for (int m = 0; m < M; m++)
#pragma unroll
      for (int h = 0; h < 2; h++) {
        float largest = most[m][h];
#pragma unroll
        for (int n = 0; n < N; n++) largest = fmaxf(largest, fmaxf(s[m][n][2 * h], s[m][n][2 * h + 1]));
        largest = quadReduce(largest, Larger{});
        // A row that has seen no key yet has the maximum -inf, and -inf - -inf is NaN.
        const float shift = largest == -INFINITY ? 0 : largest * exponent;
        const float factor = ptx::exp2(most[m][h] * exponent - shift);
        most[m][h] = largest;
        float part = total[m][h] * factor;
#pragma unroll
        for (int n = 0; n < N; n++)
#pragma unroll
          for (int i = 2 * h; i < 2 * h + 2; i++) {
            s[m][n][i] = ptx::exp2(s[m][n][i] * exponent - shift);
            part += s[m][n][i];
          }
        total[m][h] = part;
#pragma unroll
        for (int c = 0; c < C; c++) {
          sum[m][c][2 * h] *= factor;
          sum[m][c][2 * h + 1] *= factor;
        }
      }
  }
};

// What becomes of products before the softmax: a softcap, and -inf where a row does not see a key. Rows count from
// `row`, keys from `key`; both are this warp's.
template <int M, int N>
__device__ __forceinline__ void maskRows(float (&s)[M][N][4], const Scoring& scoring, const Span& span, int group,
                                         int row, int key, bool all) {
  const int g = int(threadIdx.x) % 32 / 4, q = int(threadIdx.x) % 4;
  if (!scoring.plain()) {
#pragma unroll
    for (int m = 0; m < M; m++)
#pragma unroll
      for (int n = 0; n < N; n++)
#pragma unroll
        for (int i = 0; i < 4; i++) s[m][n][i] = scoring.quickTransform(s[m][n][i]);
  }
  if (all) return;
#pragma unroll
  for (int m = 0; m < M; m++)
#pragma unroll
    for (int h = 0; h < 2; h++) {
      const int position = span.position((row + 16 * m + g + 8 * h) / group);
      const int first = scoring.firstKey(position) - key - 2 * q,
                end = scoring.endKey(position, span.keys) - key - 2 * q;
#pragma unroll
      for (int n = 0; n < N; n++)
#pragma unroll
        for (int i = 0; i < 2; i++)
          if (8 * n + i < first || 8 * n + i >= end) s[m][n][2 * h + i] = -INFINITY;
    }
}

// Writes a warp's 16 M rows of sums to a tile as 16-bit numbers, each row times factor[m][h].
template <class T, int D, int M, int columns>
__device__ __forceinline__ void storeTile(char* tile, int first, const float (&sum)[M][columns / 8][4],
                                          const float (&factor)[M][2]) {
  const int g = int(threadIdx.x) % 32 / 4, q = int(threadIdx.x) % 4;
#pragma unroll
  for (int m = 0; m < M; m++)
#pragma unroll
    for (int h = 0; h < 2; h++)
#pragma unroll
      for (int c = 0; c < columns / 8; c++)
        *reinterpret_cast<uint32_t*>(tile + chunkAt<D>(first + 16 * m + g + 8 * h, c) + 4 * q) =
            packPair<T>(sum[m][c][2 * h] * factor[m][h], sum[m][c][2 * h + 1] * factor[m][h]);
}

// Copies a warp's rows of a tile to global memory; rows whose offset is negative are left out.
template <int D, int columns, class T, class Offset>
__device__ __forceinline__ void writeRows(T* to, const char* tile, int first, int rows, int width, Offset offset) {
  constexpr int chunks = columns / 8;
  for (int i = int(threadIdx.x) % 32; i < rows * chunks; i += 32) {
    const int row = i / chunks, chunk = i % chunks;
    const int64_t at = offset(first + row);
    if (at >= 0 && chunk * 8 < width)
      *reinterpret_cast<uint4*>(to + at + chunk * 8) =
          *reinterpret_cast<const uint4*>(tile + chunkAt<D>(first + row, chunk));
  }
}

}  // namespace cuda
