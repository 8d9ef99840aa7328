// Loops over tensors of one shape with any strides and formats.
//
// The axes are first merged where every tensor allows it. Then the elements are handed out in segments of at most
// `segmentLength`, as plain arrays of one computing type C (float or int32_t): in place where a tensor has that format
// and its elements lie side by side, else through small buffers that stay in the first cache. So a kernel's body is
// written once, for contiguous C, and still serves every format, broadcast and view. A segment is read whole before it
// is written, therefore an output may be one of the inputs.
#pragma once
#include <algorithm>
#include <array>
#include "../device.h"
#include "convert.h"

namespace cpu::CPU_ISA {

constexpr int64_t segmentLength = 512;
constexpr int64_t segmentsPerThread = 16;  // fewer than this are not worth another thread

// The shared shape of N tensors with their strides, axes of size 1 dropped and neighbours merged where all N allow it.
template <int N>
struct Nest {
  int rank = 0;
  int64_t size = 1;
  std::array<int64_t, maxRank> shape{};
  std::array<std::array<int64_t, maxRank>, N> strides{};

  Nest() = default;
  // The first tensor's shape counts.
  explicit Nest(const std::array<View, N>& tensors) {
    for (int axis = 0; axis < tensors[0].rank; axis++) {
      std::array<int64_t, N> step;
      for (int k = 0; k < N; k++) step[k] = tensors[k].strides[axis];
      push(tensors[0].shape[axis], step);
    }
  }

  void push(int64_t length, const std::array<int64_t, N>& step) {
    size *= length;
    if (length == 1) return;
    bool merges = rank > 0;
    for (int k = 0; merges && k < N; k++) merges = strides[k][rank - 1] == step[k] * length;
    if (!merges) rank++;
    shape[rank - 1] = merges ? shape[rank - 1] * length : length;
    for (int k = 0; k < N; k++) strides[k][rank - 1] = step[k];
  }

  int64_t inner() const { return rank ? shape[rank - 1] : 1; }
  int64_t innerStride(int k) const { return rank ? strides[k][rank - 1] : 1; }

  // Whether tensor k's elements lie side by side in the nest's order.
  bool dense(int k) const {
    int64_t expected = 1;
    for (int axis = rank - 1; axis >= 0; axis--) {
      if (strides[k][axis] != expected) return false;
      expected *= shape[axis];
    }
    return true;
  }

  // Where row `row` of the innermost axis starts.
  int64_t rowOffset(int k, int64_t row) const {
    int64_t offset = 0;
    for (int axis = rank - 2; axis >= 0; axis--) {
      offset += row % shape[axis] * strides[k][axis];
      row /= shape[axis];
    }
    return offset;
  }

  // Calls visit(offset, stride, place, count) for each stretch of tensor k in the elements [begin, begin + count).
  template <class Visit>
  void stretches(int k, int64_t begin, int64_t count, Visit&& visit) const {
    const int64_t length = inner(), stride = innerStride(k);
    int64_t row = begin / length, first = begin % length;
    for (int64_t place = 0; place < count; row++, first = 0) {
      const int64_t run = std::min(length - first, count - place);
      visit(rowOffset(k, row) + first * stride, stride, place, run);
      place += run;
    }
  }
};

template <class C>
constexpr DType dtypeOf = std::is_same_v<C, float> ? DType::f32 : DType::i32;

// One input of a nest, read as C.
template <class C>
struct Reader {
  View x;
  Run run;
  explicit Reader(const View& x) : x(x), run(converter(dtypeOf<C>, x.dtype)) {}
  bool plain() const { return x.dtype == dtypeOf<C>; }

  const C* operator()(int64_t offset, int64_t stride, int64_t count, C* buffer) const {
    if (plain() && stride == 1) return x.data<C>() + offset;
    run(buffer, 1, at(x, offset), stride, count);
    return buffer;
  }
  // The elements [begin, begin + count) of the nest, in which this is tensor k.
  template <int N>
  const C* operator()(const Nest<N>& nest, int k, bool dense, int64_t begin, int64_t count, C* buffer) const {
    if (dense) return (*this)(begin, 1, count, buffer);
    nest.stretches(k, begin, count, [&](int64_t offset, int64_t stride, int64_t place, int64_t length) {
      run(buffer + place, 1, at(x, offset), stride, length);
    });
    return buffer;
  }
};

// Calls body(out, in, count) for every segment: `out` and `in` are arrays of pointers to `count` C's each. `tensors`
// are the outputs first, then the inputs, all of one shape.
template <class C, int Outs, int Ins, class Body>
void forSegments(const Device& device, const std::array<View, Outs + Ins>& tensors, Body&& body) {
  constexpr int N = Outs + Ins;
  const Nest<N> nest(tensors);
  if (nest.size == 0) return;

  std::array<Run, N> runs;
  std::array<bool, N> dense, plain;
  for (int k = 0; k < N; k++) {
    const DType dtype = tensors[k].dtype;
    runs[k] = k < Outs ? converter(dtype, dtypeOf<C>) : converter(dtypeOf<C>, dtype);
    dense[k] = nest.dense(k);
    plain[k] = dtype == dtypeOf<C>;
  }

  // Rows that are long enough are cut one by one, so that a broadcast operand stays one stretch. Short rows are
  // gathered, several to a segment.
  const bool byRows = nest.inner() >= 32 || nest.rank <= 1;
  const int64_t length = byRows ? nest.inner() : nest.size, rows = nest.size / length;
  const int64_t perRow = (length + segmentLength - 1) / segmentLength;

  const auto segment = [&](int64_t row, int64_t first, int64_t count) {
    alignas(64) C buffers[N][segmentLength];
    std::array<C*, Outs> out{};
    std::array<const C*, Ins> in{};
    std::array<int64_t, N> offsets;
    for (int k = 0; k < N; k++) {
      const int64_t stride = byRows ? nest.innerStride(k) : 1;
      offsets[k] = byRows ? nest.rowOffset(k, row) + first * stride : first;
      const bool direct = plain[k] && stride == 1 && (byRows || dense[k]);
      C* pointer = direct ? tensors[k].template data<C>() + offsets[k] : buffers[k];
      if (k < Outs) {
        out[k] = pointer;
        continue;
      }
      in[k - Outs] = pointer;
      if (direct) continue;
      if (byRows || dense[k]) {
        runs[k](pointer, 1, at(tensors[k], offsets[k]), stride, count);
      } else {
        nest.stretches(k, first, count, [&](int64_t offset, int64_t step, int64_t place, int64_t run) {
          runs[k](pointer + place, 1, at(tensors[k], offset), step, run);
        });
      }
    }
    body(out.data(), in.data(), count);
    for (int k = 0; k < Outs; k++) {
      if (out[k] != buffers[k]) continue;
      if (byRows || dense[k]) {
        runs[k](at(tensors[k], offsets[k]), byRows ? nest.innerStride(k) : 1, out[k], 1, count);
      } else {
        nest.stretches(k, first, count, [&](int64_t offset, int64_t step, int64_t place, int64_t run) {
          runs[k](at(tensors[k], offset), step, out[k] + place, 1, run);
        });
      }
    }
  };

  const int64_t work = std::min(length, segmentLength);
  const int64_t grain = std::max<int64_t>(1, segmentsPerThread * segmentLength / work);
  device.parallelRanges(rows * perRow, grain, [&](int64_t begin, int64_t end, int) {
    for (int64_t i = begin; i < end; i++) {
      const int64_t first = i % perRow * segmentLength;
      segment(i / perRow, first, std::min(segmentLength, length - first));
    }
  });
}

}  // namespace cpu::CPU_ISA
