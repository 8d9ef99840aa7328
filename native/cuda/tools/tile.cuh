// Tiles of 16-bit elements in shared memory for mma.sync: filled by cp.async, read by ldmatrix.
//
// A tile is rows of 16-byte chunks. Chunk c of row r lies at place c ^ (something of r), so that eight rows of one chunk
// column, which one ldmatrix phase reads, lie in eight different groups of banks.
#pragma once
#include "ptx.cuh"

namespace cuda {

// Where the chunk lies, in bytes from the tile's start. `chunks` per row: 4 (two rows share the banks), or 8 and more.
template <int chunks>
__device__ __forceinline__ uint32_t chunkAt(int row, int chunk) {
  static_assert(chunks == 4 || chunks % 8 == 0);
  return uint32_t(row * chunks + (chunk ^ (chunks == 4 ? row >> 1 & 3 : row & 7))) * 16;
}

// Copies rows [row, row + rows) and columns [col, col + 8 · chunks) of a matrix [rowCount, colCount]; zeros beyond its
// edges. Rows start at multiples of 16 bytes.
template <int rows, int chunks, int threads>
__device__ __forceinline__ void copyTile(uint32_t to, const uint16_t* from, int64_t stride, int64_t row,
                                         int64_t rowCount, int64_t col, int64_t colCount) {
  static_assert(rows * chunks % threads == 0);
#pragma unroll
  for (int i = 0; i < rows * chunks / threads; i++) {
    const int at = int(threadIdx.x) + i * threads, r = at / chunks, c = at % chunks;
    const int64_t left = colCount - (col + 8 * c);
    const int bytes = row + r >= rowCount || left <= 0 ? 0 : left >= 8 ? 16 : int(left) * 2;
    const uint16_t* source = bytes == 0 ? from : from + (row + r) * stride + col + 8 * c;
    ptx::copyAsync(to + chunkAt<chunks>(r, c), source, bytes);
  }
}

// The fragment of rows m to m + 15 and of k to k + 15 of a, whose tile has rows along K, or else along M.
template <int chunks, bool alongK>
__device__ __forceinline__ void loadA(uint32_t (&a)[4], uint32_t tile, int m, int k, int lane) {
  if constexpr (alongK) ptx::loadMatrices(a, tile + chunkAt<chunks>(m + (lane & 15), k / 8 + (lane >> 4)));
  else
    ptx::loadMatricesTransposed(a, tile + chunkAt<chunks>(k + (lane & 7) + (lane >> 4) * 8, m / 8 + (lane >> 3 & 1)));
}

// The fragments of k to k + 15 and of columns n to n + 7 and n + 8 to n + 15 of b.
template <int chunks, bool alongK>
__device__ __forceinline__ void loadB(uint32_t (&b)[2][2], uint32_t tile, int n, int k, int lane) {
  uint32_t r[4];
  if constexpr (alongK)
    ptx::loadMatrices(r, tile + chunkAt<chunks>(n + (lane & 7) + (lane >> 4) * 8, k / 8 + (lane >> 3 & 1)));
  else ptx::loadMatricesTransposed(r, tile + chunkAt<chunks>(k + (lane & 15), n / 8 + (lane >> 4)));
  b[0][0] = r[0], b[0][1] = r[1], b[1][0] = r[2], b[1][1] = r[3];
}

// Tiles in an order in which `group` rows of tiles are walked column by column: those that run at the same time then form
// a near square, and share operands in L2.
struct TileAt {
  uint32_t row, col;
};
__device__ __forceinline__ TileAt tileAt(uint32_t index, uint32_t rows, uint32_t cols, uint32_t group) {
  const uint32_t first = index / (group * cols) * group;
  const uint32_t height = rows - first < group ? rows - first : group;
  const uint32_t inside = index - first * cols;
  return {first + inside % height, inside / height};
}

}  // namespace cuda
