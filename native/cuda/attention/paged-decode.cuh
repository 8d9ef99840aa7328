// Decoding from a paged cache on tensor cores: the rows of one key-value head are the 16 rows of an mma, and the keys of
// a sequence are split over blocks and, within a block, over warps.
//
// A warp works alone until its keys end: it copies 16 keys and values at a time into its own two buffers, so that one
// is always on its way, and waits for no other warp. Then the warps join their sums, and the block leaves them to
// combineSplits.
#pragma once
#include "attention-partial.cuh"

namespace cuda {

template <class T, int D, int warps>
__global__ void __launch_bounds__(32 * warps) pagedDecode(Forward p, PagedKeys pages, Partials partials) {
  ptx::takeTurn();
  constexpr int N = 16, tileBytes = N * D * 2, chunks = D / 8;
  const int sequence = int(blockIdx.x), kvHead = int(blockIdx.y), split = int(blockIdx.z);
  const int warp = int(threadIdx.x) / 32, lane = int(threadIdx.x) % 32, g = lane / 4, q = lane % 4;
  if (kvHead == 0 && split == 0 && threadIdx.x < 2 && (threadIdx.x == 0 || sequence + 1 == p.sequences.count))
    p.sequences.check(sequence + int(threadIdx.x));
  const Span span = p.sequences.span(sequence + 1);
  const int rows = span.queries * p.group;
  if (span.keys <= 0 || rows == 0 || (partials.bySequence && rows > decodeRows)) return;
  const KeyRange part = splitOf(p.scoring.some(span, 0, span.queries - 1), partials.splits, split);
  if (part.first >= part.end) return;

  char* shared = ptx::sharedMemory();
  const uint32_t queryTile = ptx::sharedAddress(shared),
                 buffers = queryTile + tileBytes + uint32_t(warp * 4 * tileBytes);
  const T *k = static_cast<const T*>(p.k), *v = static_cast<const T*>(p.v), *queries = static_cast<const T*>(p.q);
  const auto copyKeys = [&](int key, int buffer) {
    const uint32_t to = buffers + uint32_t(buffer * 2 * tileBytes);
    const int own = lane < N && key + lane < part.end ? pages.row(span, kvHead, key + lane) : -1;
#pragma unroll
    for (int i = 0; i < N * chunks / 32; i++) {
      const int at = lane + 32 * i, row = at / chunks, chunk = at % chunks, from = __shfl_sync(wholeWarp, own, row);
      const bool there = from >= 0 && chunk * 8 < p.d;
      const int64_t offset = there ? int64_t(from) * p.d + chunk * 8 : 0;
      ptx::copyAsync(to + chunkAt<D>(row, chunk), k + offset, there ? 16 : 0);
      ptx::copyAsync(to + tileBytes + chunkAt<D>(row, chunk), v + offset, there ? 16 : 0);
    }
  };

  for (int row = 0; row < rows; row += decodeRows) {
    const int lastRow = least(row + decodeRows, rows) - 1;
    const KeyRange all = p.scoring.all(span, row / p.group, lastRow / p.group);
    copyRows<D, 32 * warps>(queryTile, decodeRows, queries, p.d, [&](int r) {
      return row + r <= lastRow ? p.qStrides.row(span, kvHead, p.group, row + r) : -1;
    });
    ptx::commitCopies();
    ptx::waitCopies<0>();
    __syncthreads();
    Softmax<1> softmax;
    softmax.reset();
    float sum[1][D / 8][4] = {};

    int key = part.first / N * N + warp * N, buffer = 0;
    copyKeys(key, buffer);
    ptx::commitCopies();
    for (; key < part.end; key += warps * N, buffer ^= 1) {
      if (key + warps * N < part.end) copyKeys(key + warps * N, buffer ^ 1);
      ptx::commitCopies();
      ptx::waitCopies<1>();
      __syncwarp();
      const uint32_t keys = buffers + uint32_t(buffer * 2 * tileBytes);
      float s[1][2][4] = {};
#pragma unroll
      for (int c = 0; c < D / 16; c++) {
        uint32_t query[4], cols[4];
        ptx::loadMatrices(query, queryTile + chunkAt<D>(lane & 15, 2 * c + (lane >> 4)));
        ptx::loadMatrices(cols, keys + chunkAt<D>((lane & 7) + (lane >> 4) * 8, 2 * c + (lane >> 3 & 1)));
        const uint32_t low[2] = {cols[0], cols[1]}, high[2] = {cols[2], cols[3]};
        ptx::mma<T>(s[0][0], query, low);
        ptx::mma<T>(s[0][1], query, high);
      }
      maskRows(s, p.scoring, span, p.group, row, key, key >= all.first && key + N <= all.end);
      softmax.take(s, sum, p.scoring.exponent);
      addProduct<T, D, 1, N>(sum, s, keys + tileBytes);
      __syncwarp();  // the buffer may be filled again
    }
    ptx::waitCopies<0>();

    // The warps' sums [warps][16][D], largest exponents and totals [warps][16] take the place of the tiles.
    float *sums = reinterpret_cast<float*>(shared), *most = sums + warps * decodeRows * D,
          *total = most + warps * decodeRows;
    __syncthreads();
#pragma unroll
    for (int h = 0; h < 2; h++) {
      const int r = warp * decodeRows + g + 8 * h;
      const float whole = quadReduce(softmax.total[0][h], Sum{});
      if (q == 0) most[r] = softmax.most[0][h] * p.scoring.exponent, total[r] = whole;
#pragma unroll
      for (int c = 0; c < D / 8; c++)
        *reinterpret_cast<float2*>(sums + r * D + 8 * c + 2 * q) = {sum[0][c][2 * h], sum[0][c][2 * h + 1]};
    }
    __syncthreads();
    for (int r = warp; row + r <= lastRow; r += warps) {
      float largest = -INFINITY, whole = 0, factors[warps];
#pragma unroll
      for (int w = 0; w < warps; w++) largest = fmaxf(largest, most[w * decodeRows + r]);
#pragma unroll
      for (int w = 0; w < warps; w++) {
        factors[w] = ptx::exp2(most[w * decodeRows + r] - (largest == -INFINITY ? 0 : largest));
        whole += total[w * decodeRows + r] * factors[w];
      }
      const int64_t at = partials.at(span, kvHead, p.group, row + r, split);
      if (lane == 0) partials.stats[at * 2] = largest, partials.stats[at * 2 + 1] = whole;
      for (int c = lane; c < p.d; c += 32) {
        float joined = 0;
#pragma unroll
        for (int w = 0; w < warps; w++) joined += sums[(w * decodeRows + r) * D + c] * factors[w];
        partials.sums[at * p.d + c] = joined;
      }
    }
    __syncthreads();  // the next rows' keys overwrite the sums
  }
}

constexpr int warpsOf(int D) { return D <= 128 ? 4 : 2; }

template <class T, int D, int warps = warpsOf(D)>
void launchDecode(Device& device, const Forward& p, const PagedKeys& pages, const Partials& partials) {
  const Grid grid{.blocks = dim3(unsigned(p.sequences.count), unsigned(p.kvHeads), unsigned(partials.splits)),
                  .threads = dim3(32 * warps),
                  .shared = size_t(1 + 4 * warps) * 16 * D * 2,
                  .overlaps = true};
  // Where blocks queue for a multiprocessor that has room for one, two of half the size: one begins while the other ends.
  if constexpr (D == 128 && warps == warpsOf(D))
    if (!fitsTwice(device, grid.shared) && int64_t(grid.blocks.x) * grid.blocks.y * grid.blocks.z > device.processors)
      return launchDecode<T, D, warps / 2>(device, p, pages, partials);
  launch(device, pagedDecode<T, D, warps>, grid, p, pages, partials);
}

template <class T>
void decode(Device& device, const Forward& p, const PagedKeys& pages, const Partials& partials) {
  if (p.d <= 64) launchDecode<T, 64>(device, p, pages, partials);
  else if (p.d <= 128) launchDecode<T, 128>(device, p, pages, partials);
  else launchDecode<T, 256>(device, p, pages, partials);
}

}  // namespace cuda
