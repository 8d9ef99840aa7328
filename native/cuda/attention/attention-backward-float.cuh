// Attention's gradient in f32 arithmetic, for f32 and for mixed formats, and for any head size. A block has 32 keys or
// rows, and 64 channels of the result; the channels of wider heads are other blocks' work.
#pragma once
#include "attention-backward.cuh"
#include "float-tile.cuh"

namespace cuda {

struct FloatSides {
  Rows dout, q, k, v;
  Sink dq, dk, dv;
  FloatSides(const Backward& x) : dout(x.dout), q(x.q), k(x.k), v(x.v), dq(x.dq), dk(x.dk), dv(x.dv) {}
};

// Shared memory: two chunks and two sets of scores.
struct FloatRoom {
  float *left, *right, *weights, *dweights;
  static constexpr size_t bytes = (2 * floatRows * chunkStride + 2 * floatRows * scoreStride) * sizeof(float);
  __device__ FloatRoom()
      : left(reinterpret_cast<float*>(ptx::sharedMemory())),
        right(left + floatRows * chunkStride),
        weights(right + floatRows * chunkStride),
        dweights(weights + floatRows * scoreStride) {}
};

// Probabilities and dproduct of 32 rows and keys into the room's weights. Starts and ends with a barrier.
template <class RowOf, class DoutOf, class KeyOf, class ValueOf>
__device__ void gradeScores(const Gradient& p, const FloatSides& sides, const FloatRoom& room, const Span& span,
                            int kvHead, int row, int key, RowOf rowOf, DoutOf doutOf, KeyOf keyOf, ValueOf valueOf) {
  const int y = int(threadIdx.x) / 8, x = int(threadIdx.x) % 8;
  float s[4][4] = {}, ds[4][4] = {};
  for (int c = 0; c < p.d; c += floatChunk) {
    const int depth = least(floatChunk, p.d - c);
    __syncthreads();
    copyChunk(room.left, sides.q, p.d, c, rowOf);
    copyChunk(room.right, sides.k, p.d, c, keyOf);
    __syncthreads();
    addDots(s, room.left, room.right, depth);
    __syncthreads();
    copyChunk(room.left, sides.dout, p.d, c, doutOf);
    copyChunk(room.right, sides.v, p.d, c, valueOf);
    __syncthreads();
    addDots(ds, room.left, room.right, depth);
  }
#pragma unroll
  for (int i = 0; i < 4; i++) {
    const int r = row + y + 8 * i, position = span.position(r / p.group);
    const float2 of = p.statsOf(span, kvHead, r);
#pragma unroll
    for (int j = 0; j < 4; j++) {
      const float t = p.scoring.transform(s[i][j]);
      s[i][j] = p.scoring.sees(position, key + x + 8 * j, span.keys) ? ptx::exp2(t * p.scoring.exponent - of.x) : 0;
      ds[i][j] = s[i][j] * (ds[i][j] - of.y) * p.scoring.slope(t);
    }
  }
  storeScores(room.weights, s);
  storeScores(room.dweights, ds);
  __syncthreads();
}

// Writes this thread's part of a product's rows; rows whose offset is negative are left out.
template <class Offset>
__device__ void writeSums(const Sink& to, const float (&sum)[4][8], int column, int d, Offset offset) {
  const int y = int(threadIdx.x) / 8, x = int(threadIdx.x) % 8;
#pragma unroll
  for (int i = 0; i < 4; i++) {
    const int64_t at = offset(y + 8 * i);
#pragma unroll
    for (int c = 0; c < 8; c++) {
      const int channel = column + c / 4 * 32 + 4 * x + c % 4;
      if (at >= 0 && channel < d) to.store(at + channel, sum[i][c]);
    }
  }
}

static __global__ void __launch_bounds__(floatThreads) gradeKeysFloat(Gradient p, FloatSides sides) {
  const BlockPlace place(p.kvHeads);
  const int kvHead = place.kvHead, column = int(blockIdx.y) * floatChunk;
  Span span;
  int key;
  if (!p.sequences.find(place.slot, 1, floatRows, span, key)) return;
  const FloatRoom room;
  const KeyRange rows = span.keys > 0 ? p.rowsOf(span, key, floatRows) : KeyRange{0, 0};
  float dk[4][8] = {}, dv[4][8] = {};
  for (int row = rows.first; row < rows.end; row += floatRows) {
    const auto rowOf = [&](int r) { return row + r < rows.end ? p.q.row(span, kvHead, p.group, row + r) : -1; };
    const auto doutOf = [&](int r) { return row + r < rows.end ? p.dout.row(span, kvHead, p.group, row + r) : -1; };
    gradeScores(
        p, sides, room, span, kvHead, row, key, rowOf, doutOf,
        [&](int n) { return key + n < span.keys ? p.k.key(span, kvHead, key + n) : -1; },
        [&](int n) { return key + n < span.keys ? p.v.key(span, kvHead, key + n) : -1; });
    copyChunk(room.left, sides.q, p.d, column, rowOf);
    copyChunk(room.right, sides.dout, p.d, column, doutOf);
    __syncthreads();
    addWeighted<true>(dk, room.dweights, room.left);
    addWeighted<true>(dv, room.weights, room.right);
  }
  writeSums(sides.dk, dk, column, p.d,
            [&](int n) { return key + n < span.queries ? p.dk.key(span, kvHead, key + n) : -1; });
  writeSums(sides.dv, dv, column, p.d,
            [&](int n) { return key + n < span.queries ? p.dv.key(span, kvHead, key + n) : -1; });
}

static __global__ void __launch_bounds__(floatThreads) gradeQueriesFloat(Gradient p, FloatSides sides) {
  const BlockPlace place(p.kvHeads);
  const int kvHead = place.kvHead, column = int(blockIdx.y) * floatChunk;
  if (blockIdx.x == 0 && blockIdx.y == 0) p.sequences.checkAll();
  Span span;
  int row;
  if (!p.sequences.find(place.fromLast(), p.group, floatRows, span, row)) return;
  const int rows = span.queries * p.group;
  const FloatRoom room;
  const KeyRange some = span.keys > 0
                            ? p.scoring.some(span, row / p.group, (least(row + floatRows, rows) - 1) / p.group)
                            : KeyRange{0, 0};
  float dq[4][8] = {};
  for (int key = some.first; key < some.end; key += floatRows) {
    const auto keyOf = [&](int n) { return key + n < some.end ? p.k.key(span, kvHead, key + n) : -1; };
    gradeScores(
        p, sides, room, span, kvHead, row, key,
        [&](int r) { return row + r < rows ? p.q.row(span, kvHead, p.group, row + r) : -1; },
        [&](int r) { return row + r < rows ? p.dout.row(span, kvHead, p.group, row + r) : -1; }, keyOf,
        [&](int n) { return key + n < some.end ? p.v.key(span, kvHead, key + n) : -1; });
    copyChunk(room.right, sides.k, p.d, column, keyOf);
    __syncthreads();
    addWeighted<false>(dq, room.dweights, room.right);
  }
  writeSums(sides.dq, dq, column, p.d,
            [&](int r) { return row + r < rows ? p.dq.row(span, kvHead, p.group, row + r) : -1; });
}

inline void gradeFloat(Device& device, const Gradient& p, const Backward& x) {
  const FloatSides sides(x);
  const unsigned slices = unsigned(ceilDiv(p.d, floatChunk));
  launch(device, gradeKeysFloat,
         {dim3(placesOf(p.sequences.slots(1, floatRows), p.kvHeads), slices), dim3(floatThreads), FloatRoom::bytes}, p,
         sides);
  launch(
      device, gradeQueriesFloat,
      {dim3(placesOf(p.sequences.slots(p.group, floatRows), p.kvHeads), slices), dim3(floatThreads), FloatRoom::bytes},
      p, sides);
}

}  // namespace cuda
