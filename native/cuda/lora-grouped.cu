// Many adapters in one batch (Chen et al., "Punica", 2023): out[row] += scaling[s] · (x[row] A[s]') B[s]' for the rows of
// each slot s.
//
//   x [tokens, in], out [tokens, out], A [slots, r, in], B [slots, out, r], ranks i32 [slots] of at most r, scalings [slots]
//   order i32 [count]: rows sorted by slot; segments i32 [slots + 1]: where each slot's rows begin in `order`
//
// Two kernels, both over groups of four places of `order`. Shrink: a warp forms one of the r products for its four rows,
// over a span of `in`. Expand: a thread adds up the spans, in their order, times a row of B, which comes through shared
// memory because neighbours there are one thread's. Neighbours in `order` mostly share a slot, so its A and B are read
// once for the four. Which rows a place has is read on the device: the grid depends
// on shapes alone, and may be captured.
#include "../kernels/lora.h"
#include "device/fault.cuh"
#include "device/launch.h"
#include "tools/reduce.cuh"
#include "tools/vector.cuh"

#include <algorithm>

namespace cuda {
namespace {

constexpr int rowsAtOnce = 4, span = 512, threads = 256;
constexpr int depth = 32;  // ranks of B in shared memory at once

struct Groups {
  const int32_t *order, *segments, *ranks;
  int count, slots, most;
  int64_t rows;
  FaultNote badRow, badSegment;

  // The slot of one place, or -1. Segments rise, so that the last one which begins at or before it is its own.
  __device__ int slotOf(int place) const {
    if (place >= count || place < segments[0] || place >= segments[slots]) return -1;
    int low = 0, high = slots - 1;
    while (low < high) {
      const int middle = (low + high + 1) / 2;
      if (segments[middle] <= place) low = middle;
      else high = middle - 1;
    }
    return low;
  }

  __device__ int rankOf(int slot) const {
    const int rank = slot < 0 ? 0 : ranks[slot];
    return rank < 0 ? 0 : rank < most ? rank : most;
  }

  // Fills the four places from `first` on; slots of -1 where there is nothing to do. True if none has anything.
  __device__ bool read(int first, int (&row)[rowsAtOnce], int (&slot)[rowsAtOnce]) const {
    bool empty = true;
#pragma unroll
    for (int i = 0; i < rowsAtOnce; i++) {
      slot[i] = slotOf(first + i);
      row[i] = slot[i] < 0 ? 0 : order[first + i];
      if (row[i] < 0 || row[i] >= rows) {
        badRow(first + i, row[i]);
        slot[i] = -1;
        row[i] = 0;
      }
      empty = empty && slot[i] < 0;
    }
    return empty;
  }

  // By a warp: reports the first slot whose segment is wrong.
  __device__ void check(int lane) const {
    for (int before = 0; before < slots; before += 32) {
      const int s = before + lane;
      const int from = s < slots ? segments[s] : 0, to = s < slots ? segments[s + 1] : 0;
      const unsigned wrong = __ballot_sync(0xffffffffu, from < 0 || from > to || to > count);
      if (wrong == 0) continue;
      FaultNote bad = badSegment;
      bad.axis = from;
      if (lane == __ffs(int(wrong)) - 1) bad(s, to);
      return;
    }
  }
};

// hidden [spans, count, r]
template <int width>
__global__ void shrinkRows(float* hidden, Source x, Source a, Groups groups, int64_t in) {
  ptx::takeTurn();
  int row[rowsAtOnce], slot[rowsAtOnce], ranks[rowsAtOnce], most = 0;
  const int first = int(blockIdx.x) * rowsAtOnce, lane = int(threadIdx.x) % 32, rank = groups.most;
  if (blockIdx.x + blockIdx.y + blockIdx.z == 0 && threadIdx.x < 32) groups.check(lane);
  if (groups.read(first, row, slot)) return;
#pragma unroll
  for (int i = 0; i < rowsAtOnce; i++) {
    ranks[i] = groups.rankOf(slot[i]);
    most = ranks[i] > most ? ranks[i] : most;
  }
  const int64_t begin = int64_t(blockIdx.y) * span, end = begin + span < in ? begin + span : in;
  const int warps = int(blockDim.x) / 32;
  const bool together = slot[0] == slot[1] && slot[0] == slot[2] && slot[0] == slot[3];
  for (int j = int(blockIdx.z) * warps + int(threadIdx.x) / 32; j < most; j += warps * int(gridDim.z)) {
    float sum[rowsAtOnce] = {};
    for (int64_t k = begin + lane * width; k < end; k += 32 * width) {
      float weight[width] = {}, values[width];
      if (together) a.load((int64_t(slot[0]) * rank + j) * in + k, weight);
#pragma unroll
      for (int i = 0; i < rowsAtOnce; i++) {
        if (j >= ranks[i]) continue;
        if (!together) a.load((int64_t(slot[i]) * rank + j) * in + k, weight);
        x.load(row[i] * in + k, values);
#pragma unroll
        for (int w = 0; w < width; w++) sum[i] += weight[w] * values[w];
      }
    }
#pragma unroll
    for (int i = 0; i < rowsAtOnce; i++) {
      const float total = warpReduce(sum[i], Sum{});
      if (lane == 0 && j < ranks[i]) hidden[(int64_t(blockIdx.y) * groups.count + first + i) * rank + j] = total;
    }
  }
}

template <int width>
__global__ void expandRows(Sink out, Source old, const float* hidden, Source b, const float* scalings, Groups groups,
                           int spans, int64_t outputs) {
  ptx::takeTurn();
  const int rank = groups.most, stride = depth + 1;
  float* sums = reinterpret_cast<float*>(ptx::sharedMemory());  // [rowsAtOnce, rank]
  float* part = sums + rowsAtOnce * rank;                       // [columns of the block, depth], padded
  int row[rowsAtOnce], slot[rowsAtOnce];
  const int first = int(blockIdx.x) * rowsAtOnce;
  if (groups.read(first, row, slot)) return;
  for (int at = int(threadIdx.x); at < rowsAtOnce * rank; at += int(blockDim.x)) {
    const int i = at / rank, j = at % rank;
    float sum = 0;
    if (j < groups.rankOf(groups.slotOf(first + i)))
      for (int s = 0; s < spans; s++) sum += hidden[(int64_t(s) * groups.count + first + i) * rank + j];
    sums[at] = sum;
  }
  const int64_t left = int64_t(blockIdx.y) * blockDim.x, col = left + threadIdx.x;
  const int columns = outputs - left < int64_t(blockDim.x) ? int(outputs - left) : int(blockDim.x);
  float sum[rowsAtOnce] = {};
#pragma unroll
  for (int lead = 0; lead < rowsAtOnce; lead++) {
    bool done = slot[lead] < 0;
#pragma unroll
    for (int i = 0; i < lead; i++) done = done || slot[i] == slot[lead];
    if (done) continue;
    const int own = groups.rankOf(slot[lead]);
    for (int from = 0; from < own; from += depth) {
      const int count = own - from < depth ? own - from : depth;
      __syncthreads();
      const int runs = (count + width - 1) / width;  // the last may hold ranks that the slot does not use
      for (int at = int(threadIdx.x); at < columns * runs; at += int(blockDim.x)) {
        const int c = at / runs, j = at % runs * width;
        float weight[width];
        b.load((int64_t(slot[lead]) * outputs + left + c) * rank + from + j, weight);
#pragma unroll
        for (int w = 0; w < width; w++) part[c * stride + j + w] = weight[w];
      }
      __syncthreads();
      if (int(threadIdx.x) >= columns) continue;
      for (int j = 0; j < count; j++) {
        const float weight = part[int(threadIdx.x) * stride + j];
#pragma unroll
        for (int i = 0; i < rowsAtOnce; i++)
          if (slot[i] == slot[lead]) sum[i] += sums[i * rank + from + j] * weight;
      }
    }
  }
  if (col >= outputs) return;
#pragma unroll
  for (int i = 0; i < rowsAtOnce; i++) {
    if (slot[i] < 0) continue;
    const int64_t at = row[i] * outputs + col;
    out.store(at, old[at] + scalings[slot[i]] * sum[i]);
  }
}

}  // namespace

void loraGrouped(Device& device, Out out, In x, In a, In b, In ranks, In scalings, In order, In segments) {
  const int slots = int(a.dim(0)), rank = int(a.dim(1)), count = int(order.size());
  const int64_t in = a.dim(2), outputs = b.dim(1), spans = ceilDiv(in, span);
  if (count == 0 || slots == 0 || rank == 0 || outputs == 0) return;
  const Groups groups{order.data<const int32_t>(),
                      segments.data<const int32_t>(),
                      ranks.data<const int32_t>(),
                      count,
                      slots,
                      rank,
                      x.rows(),
                      {device.faults, Faults::loraRow, x.rows()},
                      {device.faults, Faults::loraSegment, count}};
  const unsigned places = unsigned(ceilDiv(count, rowsAtOnce)), warps = unsigned(std::min(rank, threads / 32));
  Scratch<float> hidden(device, spans * count * rank);
  launch(device, inEights(x, in) && inEights(a, in) ? shrinkRows<8> : shrinkRows<1>,
         {.blocks = dim3(places, unsigned(spans), unsigned(ceilDiv(rank, threads / 32))),
          .threads = warps * 32,
          .overlaps = true},
         hidden, Source(x), Source(a), groups, in);
  const unsigned across = outputs < threads ? unsigned(ceilDiv(outputs, 32) * 32) : threads;
  launch(device, inEights(b, rank) ? expandRows<8> : expandRows<1>,
         {.blocks = dim3(places, unsigned(ceilDiv(outputs, across))),
          .threads = across,
          .shared = size_t(rowsAtOnce * rank + across * (depth + 1)) * sizeof(float),
          .overlaps = true},
         Sink(out), Source(out), hidden, Source(b), scalings.data<const float>(), groups, int(spans), outputs);
}

}  // namespace cuda
