// Reductions: sum, max and min over any axes, argmax and argmin over the last one. Any strides and formats; computed in
// f32 if x is floating-point, else in i32, whose sums wrap around.
//
//   out   x's rank, size 1 on every reduced axis
//
// The numbers behind one output are cut into parts of a fixed length, and the parts' results are joined in order, so
// the result does not depend on the number of threads. A sum adds at most 512 numbers in f32, in
// several registers, and such sums in double. Two plans: rows (registers run along a reduced axis, then their lanes are joined) and columns (each
// lane is an output of its own).
//
// max and min give NaN if there is one; to argmax and argmin a NaN counts as the extreme. Ties go to the first.
#include "../kernels/reduce.h"
#include "tools/functions.h"
#include "tools/strided.h"

namespace cpu::CPU_ISA {
namespace {

template <class C>
struct Sum {
  using Total = std::conditional_t<std::is_same_v<C, float>, double, uint32_t>;
  static constexpr C start = 0;
  template <class T>
  static T join(T a, T b) {
    if constexpr (std::is_same_v<T, Ints>) return (Ints)((Words)a + (Words)b);
    else if constexpr (std::is_same_v<T, int32_t>) return int32_t(uint32_t(a) + uint32_t(b));
    else return a + b;
  }
};
template <class C, bool largest>
struct Extreme {
  using Total = C;
  static constexpr C start =
      std::is_same_v<C, float> ? C(largest ? -INFINITY : INFINITY) : C(largest ? INT32_MIN : INT32_MAX);
  template <class T>
  static T join(T a, T b) {
    return largest ? maxOrNan(a, b) : minOrNan(a, b);
  }
};

// The axes of a reduction, kept and reduced ones apart. Tensor 0 is out, 1 is x.
struct Axes {
  Nest<2> kept, reduced;
  Axes(const Out& out, const In& x) {
    for (int i = 0; i < x.rank; i++) {
      if (out.shape[i] == x.shape[i]) kept.push(x.shape[i], {out.strides[i], x.strides[i]});
      else reduced.push(x.shape[i], {0, x.strides[i]});
    }
  }
};

int64_t offsetIn(const Nest<2>& nest, int k, int64_t element) {
  return nest.rank ? nest.rowOffset(k, element / nest.inner()) + element % nest.inner() * nest.innerStride(k) : 0;
}

template <class C, class Op>
C joinLanes(Vector<C> x) {
  C values[lanes];
  storeVector(values, x);
  for (int width = lanes / 2; width >= 1; width /= 2)
    for (int i = 0; i < width; i++) values[i] = Op::join(values[i], values[i + width]);
  return values[0];
}

// At most segmentLength numbers.
template <class C, class Op>
C reduceSegment(const C* x, int64_t count) {
  Vector<C> sums[4];
  for (auto& s : sums) s = loadVectorPart(x, 0, Op::start);
  int64_t i = 0;
  for (; i + 4 * lanes <= count; i += 4 * lanes)
    for (int k = 0; k < 4; k++) sums[k] = Op::join(sums[k], loadVector(x + i + k * lanes));
  for (; i < count; i += lanes)
    sums[0] = Op::join(sums[0], loadVectorPart(x + i, std::min<int64_t>(lanes, count - i), Op::start));
  return joinLanes<C, Op>(Op::join(Op::join(sums[0], sums[1]), Op::join(sums[2], sums[3])));
}

constexpr int64_t partLength = 1 << 15;  // numbers in one part of one output, by rows
constexpr int64_t bandWidth = 256;       // outputs that the columns' plan carries at once
constexpr int64_t flushRows = 16;        // rows that it adds in f32 before it goes on in double

// Where the total of part `part` of output `i` goes: into scratch, or straight to out when there is one part.
template <class C, class Op>
class Totals {
 public:
  using Total = typename Op::Total;
  Totals(const Out& out, const Nest<2>& kept, int64_t parts)
      : out_(out),
        kept_(kept),
        parts_(parts),
        narrow_(converter(out.dtype, dtypeOf<C>)),
        scratch_(parts > 1 ? kept.size * parts : 0) {}

  void put(int64_t i, int64_t part, Total total) {
    if (parts_ > 1) scratch_[i * parts_ + part] = total;
    else write(i, total);
  }
  void finish() {
    if (parts_ == 1) return;
    for (int64_t i = 0; i < kept_.size; i++) {
      Total total = scratch_[i * parts_];
      for (int64_t part = 1; part < parts_; part++) total = Op::join(total, scratch_[i * parts_ + part]);
      write(i, total);
    }
  }

 private:
  void write(int64_t i, Total total) {
    const C value = C(total);
    narrow_(at(out_, offsetIn(kept_, 0, i)), 1, &value, 1, 1);
  }
  const Out& out_;
  const Nest<2>& kept_;
  const int64_t parts_;
  const Run narrow_;
  Scratch<Total> scratch_;
};

template <class C, class Op>
void byRows(const Device& device, const Out& out, const In& x, const Axes& axes) {
  using Total = typename Op::Total;
  const auto& [kept, reduced] = axes;
  const int64_t parts = std::max<int64_t>(1, (reduced.size + partLength - 1) / partLength);
  const int64_t inner = reduced.inner(), stride = reduced.innerStride(1);
  const bool longRows = inner >= 32 || reduced.rank <= 1;
  const Reader<C> read(x);
  Totals<C, Op> totals(out, kept, parts);
  const int64_t grain = std::max<int64_t>(1, 16384 / std::max<int64_t>(1, std::min(partLength, reduced.size)));
  device.parallelRanges(kept.size * parts, grain, [&](int64_t begin, int64_t end, int) {
    alignas(64) C buffer[segmentLength];
    for (int64_t item = begin; item < end; item++) {
      const int64_t i = item / parts, part = item % parts, base = offsetIn(kept, 1, i);
      const int64_t first = part * partLength, last = std::min(reduced.size, first + partLength);
      Total total = Total(Op::start);
      for (int64_t place = first, count; place < last; place += count) {
        const C* segment = buffer;
        count = std::min(segmentLength, last - place);
        if (longRows) {
          count = std::min(count, inner - place % inner);
          segment = read(base + reduced.rowOffset(1, place / inner) + place % inner * stride, stride, count, buffer);
        } else {
          reduced.stretches(1, place, count, [&](int64_t offset, int64_t step, int64_t to, int64_t run) {
            read.run(buffer + to, 1, at(x, base + offset), step, run);
          });
        }
        total = Op::join(total, Total(reduceSegment<C, Op>(segment, count)));
      }
      totals.put(i, part, total);
    }
  });
  totals.finish();
}

template <class C, class Op>
void byColumns(const Device& device, const Out& out, const In& x, const Axes& axes) {
  using Total = typename Op::Total;
  const auto& [kept, reduced] = axes;
  const int64_t width = kept.inner(), stride = kept.innerStride(1), outer = kept.size / width;
  const int64_t bands = (width + bandWidth - 1) / bandWidth;
  // Rows per part: a fixed amount of work, and not so few that the parts' totals outweigh it.
  const int64_t height = std::max<int64_t>(128, (1 << 17) / std::min(width, bandWidth));
  const int64_t parts = (reduced.size + height - 1) / height;
  const Reader<C> read(x);
  Totals<C, Op> totals(out, kept, parts);
  const int64_t work = std::min(width, bandWidth) * std::min(height, reduced.size);
  device.parallelRanges(outer * bands * parts, std::max<int64_t>(1, 16384 / work),
                        [&](int64_t begin, int64_t end, int) {
                          alignas(64) C buffer[bandWidth], sums[bandWidth];
                          alignas(64) Total columns[bandWidth];
                          for (int64_t item = begin; item < end; item++) {
                            const int64_t part = item % parts, band = item / parts % bands, row = item / parts / bands;
                            const int64_t left = band * bandWidth, count = std::min(bandWidth, width - left);
                            const int64_t base = kept.rowOffset(1, row) + left * stride;
                            const int64_t last = std::min(reduced.size, (part + 1) * height);
                            for (int64_t c = 0; c < count; c++) columns[c] = Total(Op::start);
                            for (int64_t r = part * height; r < last;) {
                              const int64_t stop = std::min(last, r + flushRows);
                              std::fill(sums, sums + count, Op::start);
                              for (; r < stop; r++) {
                                const C* from = read(base + offsetIn(reduced, 1, r), stride, count, buffer);
                                int64_t c = 0;
                                for (; c + lanes <= count; c += lanes)
                                  storeVector(sums + c, Op::join(loadVector(sums + c), loadVector(from + c)));
                                for (; c < count; c++) sums[c] = Op::join(sums[c], from[c]);
                              }
                              for (int64_t c = 0; c < count; c++) columns[c] = Op::join(columns[c], Total(sums[c]));
                            }
                            for (int64_t c = 0; c < count; c++) totals.put(row * width + left + c, part, columns[c]);
                          }
                        });
  totals.finish();
}

template <class C, class Op>
void reduce(const Device& device, const Out& out, const In& x) {
  const Axes axes(out, x);
  if (axes.kept.size == 0) return;
  const auto& [kept, reduced] = axes;
  // Registers run where x is dense; where it is nowhere, along the longer axis.
  const bool columns = reduced.size > 0 && kept.rank > 0 && reduced.rank > 0 && kept.inner() >= 4 &&
                       (reduced.inner() < 16 ||
                        (reduced.innerStride(1) != 1 && (kept.innerStride(1) == 1 || kept.inner() > reduced.inner())));
  if (columns) byColumns<C, Op>(device, out, x, axes);
  else byRows<C, Op>(device, out, x, axes);
}

bool floating(const View& x) { return x.dtype == DType::f32 || x.dtype == DType::bf16 || x.dtype == DType::f16; }

// The first place of the row's extreme.
template <class C, class Op>
int32_t extremePlace(const C* row, int64_t count) {
  C best = Op::start;
  for (int64_t i = 0; i < count; i += segmentLength)
    best = Op::join(best, reduceSegment<C, Op>(row + i, std::min(segmentLength, count - i)));
  int64_t i = 0;
  if (best != best)
    while (i < count && row[i] == row[i]) i++;
  else
    while (i < count && row[i] != best) i++;
  return int32_t(i);
}

template <class C, class Op>
void reduceToPlace(const Device& device, const Out& out, const In& x) {
  const int64_t cols = x.cols(), rows = x.rows();
  if (rows == 0 || cols == 0) return;
  const int64_t step = x.rank ? x.stride(-1) : 1;
  Nest<2> nest;
  for (int i = 0; i + 1 < x.rank; i++) nest.push(x.shape[i], {out.strides[i], x.strides[i]});
  const Reader<C> read(x);
  const bool direct = read.plain() && step == 1;
  const Scratch<C> buffers(direct ? 0 : cols * device.threads);
  device.parallelRanges(rows, std::max<int64_t>(1, 8192 / cols), [&](int64_t begin, int64_t end, int thread) {
    for (int64_t row = begin; row < end; row++) {
      const C* from = read(offsetIn(nest, 1, row), step, cols, direct ? nullptr : buffers + thread * cols);
      out.data<int32_t>()[offsetIn(nest, 0, row)] = extremePlace<C, Op>(from, cols);
    }
  });
}

// Keeps the best so far in order. A NaN is above all numbers; blocks in which nothing reaches the last one are skipped.
void largestOf(const float* row, int64_t cols, int64_t k, float* values, int32_t* places) {
  const auto above = [](float a, float b) { return a > b || (a != a && b == b); };
  int64_t found = 0;
  const auto take = [&](int64_t i) {
    if (found == k && !above(row[i], values[k - 1])) return;
    int64_t at = found < k ? found++ : k - 1;
    for (; at > 0 && above(row[i], values[at - 1]); at--) {
      values[at] = values[at - 1];
      places[at] = places[at - 1];
    }
    values[at] = row[i];
    places[at] = int32_t(i);
  };
  for (int64_t i = 0; i < cols; i += segmentLength) {
    const int64_t end = std::min(cols, i + segmentLength);
    const float best = reduceSegment<float, Extreme<float, true>>(row + i, end - i);
    if (found == k && !above(best, values[k - 1])) continue;
    for (int64_t j = i; j < end; j++) take(j);
  }
}

}  // namespace

void sum(Device& device, Out out, In x) {
  if (floating(x) || floating(out)) reduce<float, Sum<float>>(device, out, x);
  else reduce<int32_t, Sum<int32_t>>(device, out, x);
}
void max(Device& device, Out out, In x) {
  if (floating(x)) reduce<float, Extreme<float, true>>(device, out, x);
  else reduce<int32_t, Extreme<int32_t, true>>(device, out, x);
}
void min(Device& device, Out out, In x) {
  if (floating(x)) reduce<float, Extreme<float, false>>(device, out, x);
  else reduce<int32_t, Extreme<int32_t, false>>(device, out, x);
}
void argmax(Device& device, Out out, In x) {
  if (floating(x)) reduceToPlace<float, Extreme<float, true>>(device, out, x);
  else reduceToPlace<int32_t, Extreme<int32_t, true>>(device, out, x);
}
void argmin(Device& device, Out out, In x) {
  if (floating(x)) reduceToPlace<float, Extreme<float, false>>(device, out, x);
  else reduceToPlace<int32_t, Extreme<int32_t, false>>(device, out, x);
}

void topk(Device& device, Out values, Out places, In x) {
  const int64_t rows = x.rows(), cols = x.cols(), k = values.cols();
  if (rows == 0 || k == 0) return;
  const Reader<float> read(x);
  const Scratch<float> buffers(device.threads * (cols + k));
  device.parallelRanges(rows, std::max<int64_t>(1, 8192 / cols), [&](int64_t begin, int64_t end, int thread) {
    float *buffer = buffers + thread * (cols + k), *best = buffer + cols;
    for (int64_t row = begin; row < end; row++) {
      largestOf(read(row * cols, 1, cols, buffer), cols, k, best, places.data<int32_t>() + row * k);
      visitFloat(values.dtype, [&](auto tag) {
        for (int64_t i = 0; i < k; i++) values.data<decltype(tag)>()[row * k + i] = decltype(tag)(best[i]);
      });
    }
  });
}

}  // namespace cpu::CPU_ISA
