// Many adapters in one batch (Chen et al., "Punica", 2023): out[row] += scaling[s] · (x[row] A[s]') B[s]' for the rows of
// each slot s.
//
//   x [tokens, in], out [tokens, out], A [slots, r, in], B [slots, out, r], scalings [slots]
//   order i32 [count]: rows sorted by slot; segments i32 [slots + 1]: where each slot's rows begin in `order`
//
// Two kernels, both over groups of four places of `order`. Shrink: a warp forms one of the r products for its four rows,
// over a span of `in`. Expand: a thread adds up the spans, in their order, times a row of B. Neighbours in `order` mostly
// share a slot, so its A and B are read once for the four. Which rows a place has is read on the device: the grid depends
// on shapes alone, and may be captured.
#include "../kernels.h"
#include "fault.cuh"
#include "launch.h"
#include "reduce.cuh"
#include "vector.cuh"

namespace cuda {
namespace {

constexpr int rowsAtOnce = 4, span = 512, threads = 256;

struct Groups {
  const int32_t *order, *segments;
  int count, slots;
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
};

__global__ void checkSegments(Groups groups) {
  for (int s = 0; s < groups.slots; s++) {
    const int from = groups.segments[s], to = groups.segments[s + 1];
    if (from >= 0 && from <= to && to <= groups.count) continue;
    FaultNote bad = groups.badSegment;
    bad.axis = from;
    return bad(s, to);
  }
}

// hidden [spans, count, r]
__global__ void shrinkRows(float* hidden, Source x, Source a, Groups groups, int rank, int64_t in) {
  int row[rowsAtOnce], slot[rowsAtOnce];
  const int first = int(blockIdx.x) * rowsAtOnce, lane = int(threadIdx.x) % 32;
  if (groups.read(first, row, slot)) return;
  const int64_t begin = int64_t(blockIdx.y) * span, end = begin + span < in ? begin + span : in;
  const int warps = int(blockDim.x) / 32;
  for (int j = int(blockIdx.z) * warps + int(threadIdx.x) / 32; j < rank; j += warps * int(gridDim.z)) {
    float sum[rowsAtOnce] = {};
    const bool together = slot[0] == slot[1] && slot[0] == slot[2] && slot[0] == slot[3];
    for (int64_t k = begin + lane; k < end; k += 32) {
      float weight = together ? a[(int64_t(slot[0]) * rank + j) * in + k] : 0;
#pragma unroll
      for (int i = 0; i < rowsAtOnce; i++) {
        if (slot[i] < 0) continue;
        if (!together) weight = a[(int64_t(slot[i]) * rank + j) * in + k];
        sum[i] += weight * x[row[i] * in + k];
      }
    }
#pragma unroll
    for (int i = 0; i < rowsAtOnce; i++) {
      const float total = warpReduce(sum[i], Sum{});
      if (lane == 0 && slot[i] >= 0) hidden[(int64_t(blockIdx.y) * groups.count + first + i) * rank + j] = total;
    }
  }
}

__global__ void expandRows(Sink out, Source old, const float* hidden, Source b, const float* scalings, Groups groups,
                           int rank, int spans, int64_t outputs) {
  float* sums = reinterpret_cast<float*>(ptx::sharedMemory());  // [rowsAtOnce, rank]
  int row[rowsAtOnce], slot[rowsAtOnce];
  const int first = int(blockIdx.x) * rowsAtOnce;
  if (groups.read(first, row, slot)) return;
  for (int at = int(threadIdx.x); at < rowsAtOnce * rank; at += int(blockDim.x)) {
    const int i = at / rank;
    float sum = 0;
    if (groups.slotOf(first + i) >= 0)
      for (int part = 0; part < spans; part++)
        sum += hidden[(int64_t(part) * groups.count + first + i) * rank + at % rank];
    sums[at] = sum;
  }
  __syncthreads();
  const int64_t col = int64_t(blockIdx.y) * blockDim.x + threadIdx.x;
  if (col >= outputs) return;
#pragma unroll
  for (int i = 0; i < rowsAtOnce; i++) {
    if (slot[i] < 0) continue;
    float sum = 0;
    for (int j = 0; j < rank; j++) sum += sums[i * rank + j] * b[(int64_t(slot[i]) * outputs + col) * rank + j];
    const int64_t at = row[i] * outputs + col;
    out.store(at, old[at] + scalings[slot[i]] * sum);
  }
}

}  // namespace

void loraGrouped(Device& device, Out out, In x, In a, In b, In scalings, In order, In segments) {
  const int slots = int(a.dim(0)), rank = int(a.dim(1)), count = int(order.size());
  const int64_t in = a.dim(2), outputs = b.dim(1), spans = ceilDiv(in, span);
  if (count == 0 || slots == 0) return;
  const Groups groups{order.data<const int32_t>(), segments.data<const int32_t>(), count, slots, x.rows(),
                      {device.faults, Faults::loraRow, x.rows()}, {device.faults, Faults::loraSegment, count}};
  const unsigned places = unsigned(ceilDiv(count, rowsAtOnce)), warps = unsigned(std::min(rank, threads / 32));
  Scratch<float> hidden(device, spans * count * rank);
  launch(device, checkSegments, {.blocks = 1, .threads = 1}, groups);
  launch(device, shrinkRows,
         {.blocks = dim3(places, unsigned(spans), unsigned(ceilDiv(rank, threads / 32))), .threads = warps * 32}, hidden,
         Source(x), Source(a), groups, rank, in);
  const unsigned across = outputs < threads ? unsigned(ceilDiv(outputs, 32) * 32) : threads;
  launch(device, expandRows,
         {.blocks = dim3(places, unsigned(ceilDiv(outputs, across))), .threads = across,
          .shared = size_t(rowsAtOnce * rank) * sizeof(float)},
         Sink(out), Source(out), hidden, Source(b), scalings.data<const float>(), groups, rank, int(spans), outputs);
}

}  // namespace cuda
