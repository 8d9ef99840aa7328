// Attention's forward pass in f32 arithmetic, for f32 and for mixed formats, and for any head size.
//
// One block has 32 rows of one key-value head, and of the result the channels of its slice; wider heads take several
// slices, each of which computes the scores again.
#pragma once
#include "attention-partial.cuh"
#include "float-tile.cuh"

namespace cuda {

template <int slices, class Keys>
__global__ void __launch_bounds__(floatThreads)
    attentionFloat(Forward p, Rows q, Rows k, Rows v, Sink out, Keys keys, Partials partials) {
  constexpr int width = slices * floatChunk;
  const BlockPlace place(p.kvHeads);
  const int kvHead = place.kvHead, y = int(threadIdx.x) / 8, x = int(threadIdx.x) % 8;
  const int splits = greatest(1, partials.splits), split = int(blockIdx.y) % splits,
            column = int(blockIdx.y) / splits * width;
  if (blockIdx.x + 1 == gridDim.x && blockIdx.y == 0) p.sequences.checkAll();
  Span span;
  int row;
  if (!p.sequences.find(place.fromLast(), p.group, floatRows, span, row)) return;
  const int rows = least(floatRows, span.queries * p.group - row);
  if (span.keys <= 0) {
    if (partials.splits > 0 || column > 0) return;
    for (int r = row; r < row + rows; r++) {
      for (int i = int(threadIdx.x); i < p.d; i += floatThreads)
        out.store(p.outStrides.row(span, kvHead, p.group, r) + i, 0);
      if (threadIdx.x == 0) p.storeLse(span, kvHead, r, -INFINITY);
    }
    return;
  }
  KeyRange range = p.scoring.some(span, row / p.group, (row + rows - 1) / p.group);
  if (partials.splits > 0) {
    const KeyRange part = splitOf(p.scoring.some(span, 0, span.queries - 1), splits, split);
    if (part.first >= part.end) return;
    range = {greatest(range.first, part.first), least(range.end, part.end)};
  }

  float* queryChunk = reinterpret_cast<float*>(ptx::sharedMemory());
  float *keyChunk = queryChunk + floatRows * chunkStride, *weights = keyChunk + floatRows * chunkStride;
  float most[4], total[4], sum[slices][4][8] = {};
  int position[4];
#pragma unroll
  for (int i = 0; i < 4; i++) {
    most[i] = -INFINITY;
    total[i] = 0;
    position[i] = span.position((row + y + 8 * i) / p.group);
  }

  for (int key = range.first; key < range.end; key += floatRows) {
    float s[4][4] = {};
    for (int c = 0; c < p.d; c += floatChunk) {
      __syncthreads();
      copyChunk(queryChunk, q, p.d, c,
                [&](int r) { return r < rows ? p.qStrides.row(span, kvHead, p.group, row + r) : -1; });
      copyChunk(keyChunk, k, p.d, c, [&](int n) { return key + n < range.end ? keys.key(span, kvHead, key + n) : -1; });
      __syncthreads();
      addDots(s, queryChunk, keyChunk, least(floatChunk, p.d - c));
    }
    float factor[4];
#pragma unroll
    for (int i = 0; i < 4; i++) {
      float largest = most[i];
#pragma unroll
      for (int j = 0; j < 4; j++) {
        const int n = key + x + 8 * j;
        s[i][j] = n < range.end && p.scoring.sees(position[i], n, span.keys) ? p.scoring.transform(s[i][j]) : -INFINITY;
        largest = fmaxf(largest, s[i][j]);
      }
      largest = rowReduce(largest, Larger{});
      // A row that has seen no key yet has the maximum -inf, and -inf - -inf is NaN.
      const float shift = largest == -INFINITY ? 0 : largest * p.scoring.exponent;
      factor[i] = ptx::exp2(most[i] * p.scoring.exponent - shift);
      most[i] = largest;
      total[i] *= factor[i];
#pragma unroll
      for (int j = 0; j < 4; j++) {
        s[i][j] = ptx::exp2(s[i][j] * p.scoring.exponent - shift);
        total[i] += s[i][j];
      }
    }
    storeScores(weights, s);
#pragma unroll
    for (int slice = 0; slice < slices; slice++) {
      if (column + slice * floatChunk >= p.d) break;
      __syncthreads();
      copyChunk(keyChunk, v, p.d, column + slice * floatChunk,
                [&](int n) { return key + n < range.end ? keys.value(span, kvHead, key + n) : -1; });
      __syncthreads();
#pragma unroll
      for (int i = 0; i < 4; i++)
#pragma unroll
        for (int c = 0; c < 8; c++) sum[slice][i][c] *= factor[i];
      addWeighted<false>(sum[slice], weights, keyChunk);
    }
  }

#pragma unroll
  for (int i = 0; i < 4; i++) {
    const int r = row + y + 8 * i;
    const float whole = rowReduce(total[i], Sum{});
    if (y + 8 * i >= rows) continue;
    if (partials.splits > 0) {
      float* stats = partials.stats + partials.at(span, kvHead, p.group, r, split) * 2;
      if (x == 0 && column == 0) stats[0] = most[i] * p.scoring.exponent, stats[1] = whole;
    } else if (x == 0 && column == 0) {
      p.storeLse(span, kvHead, r, whole == 0 ? -INFINITY : most[i] * p.scoring.exponent * ln2 + logf(whole));
    }
    const float factor = whole == 0 ? 0 : 1 / whole;
#pragma unroll
    for (int slice = 0; slice < slices; slice++)
#pragma unroll
      for (int c = 0; c < 8; c++) {
        const int at = column + slice * floatChunk + c / 4 * 32 + 4 * x + c % 4;
        if (at >= p.d) continue;
        if (partials.splits > 0)
          partials.sums[partials.at(span, kvHead, p.group, r, split) * p.d + at] = sum[slice][i][c];
        else out.store(p.outStrides.row(span, kvHead, p.group, r) + at, sum[slice][i][c] * factor);
      }
  }
}

template <class Keys>
void attendFloat(Device& device, const Forward& p, const View& out, const View& q, const Rows& k, const Rows& v,
                 const Keys& keys, const Partials& partials) {
  const int slices = p.d > floatChunk ? 2 : 1, splits = partials.splits > 0 ? partials.splits : 1;
  const Grid grid{dim3(placesOf(p.sequences.slots(p.group, floatRows), p.kvHeads),
                       unsigned(ceilDiv(p.d, slices * floatChunk) * splits)),
                  dim3(floatThreads), (2 * floatRows * chunkStride + floatRows * scoreStride) * sizeof(float)};
  launch(device, slices == 2 ? attentionFloat<2, Keys> : attentionFloat<1, Keys>, grid, p, Rows(q), k, v, Sink(out),
         keys, partials);
}

}  // namespace cuda
