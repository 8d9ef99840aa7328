// Moving numbers: copy (any strides, any two formats), fill, and gather / scatterAdd along an axis.
//
//   copy        out, x of one shape. Side by side in both: straight. Where x runs along another axis than out: tile by
//               tile, so that both are touched a cache line at a time. Else row by row.
//   gather      out[.., i, ..] = x[.., index[.., i, ..], ..]     index has out's shape
//   scatterAdd  out[.., index[.., i, ..], ..] += src[.., i, ..]  in order of i, one thread per line along the axis: the
//               sum is the same whatever the number of threads
//
// An index outside the axis leaves its element out, and the call fails with the first one.
#include <atomic>
#include <string>
#include "../kernels/copy.h"
#include "tools/strided.h"

namespace cpu::CPU_ISA {
namespace {

constexpr int64_t tile = 32;
constexpr int64_t grainElements = 16384;

int64_t grainFor(int64_t elementsPerItem) {
  return std::max<int64_t>(1, grainElements / std::max<int64_t>(1, elementsPerItem));
}

// Copies one tile of at most `tile` x `tile`: x runs side by side along j, out along i.
template <class T>
void copyTile(const Out& out, const In& x, Run run, int64_t outAt, int64_t outStep, int64_t xAt, int64_t xStep,
              int64_t rows, int64_t cols) {
  T turned[tile][tile];
  const T* from = x.data<T>() + xAt;
  if (rows == tile && cols == tile) {
    for (int64_t i = 0; i < tile; i++)
      for (int64_t j = 0; j < tile; j++) turned[j][i] = from[i * xStep + j];
  } else {
    for (int64_t i = 0; i < rows; i++)
      for (int64_t j = 0; j < cols; j++) turned[j][i] = from[i * xStep + j];
  }
  for (int64_t j = 0; j < cols; j++) run(at(out, outAt + j * outStep), 1, turned[j], 1, rows);
}

// The axis along which x lies side by side, if that is not the innermost one and out lies along the innermost.
int turnedAxis(const Nest<2>& nest) {
  if (nest.rank < 2 || nest.innerStride(0) != 1 || nest.innerStride(1) <= 1) return -1;
  for (int axis = nest.rank - 2; axis >= 0; axis--)
    if (nest.strides[1][axis] == 1 && nest.shape[axis] >= 4 && nest.inner() >= 4) return axis;
  return -1;
}

void copyTurned(const Device& device, const Out& out, const In& x, const Nest<2>& nest, int axis) {
  const Run run = converter(out.dtype, x.dtype);
  const int64_t rows = nest.inner(), cols = nest.shape[axis];
  const int64_t rowTiles = (rows + tile - 1) / tile, colTiles = (cols + tile - 1) / tile;
  Nest<2> outer;
  for (int i = 0; i + 1 < nest.rank; i++)
    if (i != axis) outer.push(nest.shape[i], {nest.strides[0][i], nest.strides[1][i]});
  outer.push(1, {0, 0});
  const auto offset = [&](int k, int64_t item) {
    int64_t sum = 0;
    for (int i = outer.rank - 1; i >= 0; i--) {
      sum += item % outer.shape[i] * outer.strides[k][i];
      item /= outer.shape[i];
    }
    return sum;
  };
  device.parallelRanges(
      outer.size * rowTiles * colTiles, grainElements / (tile * tile), [&](int64_t begin, int64_t end, int) {
        for (int64_t item = begin; item < end; item++) {
          const int64_t j = item % colTiles * tile, i = item / colTiles % rowTiles * tile,
                        rest = item / colTiles / rowTiles;
          const int64_t outAt = offset(0, rest) + i + j * nest.strides[0][axis];
          const int64_t xAt = offset(1, rest) + i * nest.innerStride(1) + j;
          const int64_t height = std::min(tile, rows - i), width = std::min(tile, cols - j);
          visit(x.dtype, [&](auto tag) {
            copyTile<decltype(tag)>(out, x, run, outAt, nest.strides[0][axis], xAt, nest.innerStride(1), height, width);
          });
        }
      });
}

// The first bad index of a parallel loop: bodies must not throw, and every thread may find one.
class FirstBad {
 public:
  void note(int64_t place) {
    int64_t seen = place_.load(std::memory_order_relaxed);
    while (place < seen && !place_.compare_exchange_weak(seen, place, std::memory_order_relaxed)) {}
  }
  bool found() const { return place_ != INT64_MAX; }
  int64_t place() const { return place_; }

 private:
  std::atomic<int64_t> place_{INT64_MAX};
};

[[noreturn]] void throwIndex(int64_t index, int64_t place, int axis, int64_t size) {
  throw std::runtime_error("index " + std::to_string(index) + " (element " + std::to_string(place) +
                           ") is outside axis " + std::to_string(axis) + " of size " + std::to_string(size));
}

// The lines along `axis` of several tensors: the other axes, and each tensor's step along the axis.
template <int N>
struct Lines {
  Nest<N> nest;
  std::array<int64_t, N> step;
  int64_t length;
  Lines(const std::array<View, N>& tensors, int axis) : length(tensors[0].shape[axis]) {
    for (int i = 0; i < tensors[0].rank; i++) {
      std::array<int64_t, N> strides;
      for (int k = 0; k < N; k++) strides[k] = tensors[k].strides[i];
      if (i != axis) nest.push(tensors[0].shape[i], strides);
      else step = strides;
    }
  }
  int64_t offset(int k, int64_t line) const {
    return nest.rank ? nest.rowOffset(k, line / nest.inner()) + line % nest.inner() * nest.innerStride(k) : 0;
  }
};

// Where element i of a line is in row-major order, to name it in an error.
int64_t elementOf(const View& x, int axis, int64_t line, int64_t i) {
  int64_t inside = 1;
  for (int k = axis + 1; k < x.rank; k++) inside *= x.shape[k];
  return (line / inside * x.shape[axis] + i) * inside + line % inside;
}

int64_t indexAt(const In& index, int64_t element) {
  int64_t offset = 0;
  for (int i = index.rank - 1; i >= 0; i--) {
    offset += element % index.shape[i] * index.strides[i];
    element /= index.shape[i];
  }
  return index.data<int32_t>()[offset];
}

}  // namespace

void copy(Device& device, Out out, In x) {
  const Nest<2> nest({out, x});
  if (nest.size == 0) return;
  if (out.dtype == x.dtype && nest.dense(0) && nest.dense(1)) {
    if (out.bytes == x.bytes) return;
    const Format& f = format(x.dtype);
    const int64_t bytes = nest.size / f.blockElements * f.blockBytes;
    device.parallelRanges(bytes, 1 << 18, [&](int64_t begin, int64_t end, int) {
      std::memcpy(out.data<char>() + begin, x.data<char>() + begin, size_t(end - begin));
    });
    return;
  }
  const Run run = converter(out.dtype, x.dtype);
  if (const int axis = turnedAxis(nest); axis >= 0) return copyTurned(device, out, x, nest, axis);
  const int64_t length = nest.inner(), rows = nest.size / length, pieces = (length + grainElements - 1) / grainElements;
  device.parallelRanges(rows * pieces, grainFor(std::min(length, grainElements)), [&](int64_t begin, int64_t end, int) {
    for (int64_t i = begin; i < end; i++) {
      const int64_t first = i % pieces * grainElements, row = i / pieces;
      run(at(out, nest.rowOffset(0, row) + first * nest.innerStride(0)), nest.innerStride(0),
          at(x, nest.rowOffset(1, row) + first * nest.innerStride(1)), nest.innerStride(1),
          std::min(grainElements, length - first));
    }
  });
}

void fill(Device& device, Out out, double value) {
  // The value is written once in out's format and then repeated by a stride of 0.
  In x;
  x.rank = out.rank;
  x.shape = out.shape;
  x.dtype = out.dtype;
  alignas(8) char one[8] = {};
  x.bytes = one;
  if (out.dtype == DType::i32) {
    const double whole = std::trunc(std::min(std::max(value, -2147483648.0), 2147483647.0));
    const int32_t number = value == value ? int32_t(whole) : 0;
    std::memcpy(one, &number, 4);
  } else {
    const float number = float(value);
    converter(out.dtype, DType::f32)(one, 1, &number, 1, 1);
  }
  copy(device, out, x);
}

void gather(Device& device, Out out, In x, In index, int axis) {
  const Lines<3> lines({out, index, x}, axis);
  if (lines.length == 0 || lines.nest.size == 0) return;
  const int64_t limit = x.shape[axis];
  FirstBad bad;
  visit(x.dtype, [&](auto from) {
    using From = decltype(from);
    visit(out.dtype, [&](auto to) {
      using To = decltype(to);
      device.parallelRanges(lines.nest.size, grainFor(lines.length), [&](int64_t begin, int64_t end, int) {
        for (int64_t line = begin; line < end; line++) {
          To* row = out.data<To>() + lines.offset(0, line);
          const int32_t* which = index.data<int32_t>() + lines.offset(1, line);
          const From* source = x.data<From>() + lines.offset(2, line);
          for (int64_t i = 0; i < lines.length; i++) {
            const int64_t chosen = which[i * lines.step[1]];
            if (chosen < 0 || chosen >= limit) bad.note(elementOf(index, axis, line, i));
            else row[i * lines.step[0]] = convert<To>(source[chosen * lines.step[2]]);
          }
        }
      });
    });
  });
  if (bad.found()) throwIndex(indexAt(index, bad.place()), bad.place(), axis, limit);
}

void scatterAdd(Device& device, Out out, In src, In index, int axis) {
  const Lines<3> lines({src, index, out}, axis);
  if (lines.length == 0 || lines.nest.size == 0) return;
  const int64_t limit = out.shape[axis];
  FirstBad bad;
  const auto eachIndex = [&](int64_t line, auto&& add) {
    const int32_t* which = index.data<int32_t>() + lines.offset(1, line);
    for (int64_t i = 0; i < lines.length; i++) {
      const int64_t chosen = which[i * lines.step[1]];
      if (chosen < 0 || chosen >= limit) bad.note(elementOf(index, axis, line, i));
      else add(i, chosen);
    }
  };
  visit(src.dtype, [&](auto from) {
    using From = decltype(from);
    const auto add = [&](auto to) {
      using To = decltype(to);
      device.parallelRanges(lines.nest.size, grainFor(lines.length), [&](int64_t begin, int64_t end, int) {
        for (int64_t line = begin; line < end; line++) {
          const From* source = src.data<From>() + lines.offset(0, line);
          To* sums = out.data<To>() + lines.offset(2, line);
          eachIndex(line, [&](int64_t i, int64_t chosen) {
            sums[chosen * lines.step[2]] += convert<To>(source[i * lines.step[0]]);
          });
        }
      });
    };
    if (out.dtype == DType::f32) return add(float{});
    if (out.dtype == DType::i32) return add(int32_t{});
    // 16-bit sums are kept in f32 until the line is done.
    const Run widen = converter(DType::f32, out.dtype), narrow = converter(out.dtype, DType::f32);
    const Scratch<float> scratch(limit * device.threads);
    device.parallelRanges(lines.nest.size, grainFor(lines.length + limit), [&](int64_t begin, int64_t end, int thread) {
      float* sums = scratch + thread * limit;
      for (int64_t line = begin; line < end; line++) {
        char* target = at(out, lines.offset(2, line));
        const From* source = src.data<From>() + lines.offset(0, line);
        widen(sums, 1, target, lines.step[2], limit);
        eachIndex(line, [&](int64_t i, int64_t chosen) { sums[chosen] += convert<float>(source[i * lines.step[0]]); });
        narrow(target, lines.step[2], sums, 1, limit);
      }
    });
  });
  if (bad.found()) throwIndex(indexAt(index, bad.place()), bad.place(), axis, limit);
}

}  // namespace cpu::CPU_ISA
