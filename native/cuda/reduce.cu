// Reductions: sum, max and min over any axes, argmax and argmin over the last one. Any strides and formats; computed in
// f32 if x is floating-point, else in i32, whose sums wrap around.
//
//   out   x's rank, size 1 on every reduced axis
//
// Two plans: rows (a warp or a block runs along the reduced axes) and columns (a thread is an output, or eight
// neighbouring ones, and goes down the reduced axes). Where there are few outputs, the numbers behind each are cut into
// parts, and a second launch joins the parts' results; the order is fixed by the shape and the GPU.
//
// max and min give NaN if there is one; to argmax and argmin a NaN counts as the extreme. Ties go to the first.
#include "../kernels/reduce.h"
#include "tools/functions.cuh"
#include "tools/reduce.cuh"
#include "tools/strided.cuh"

namespace cuda {
namespace {

// `Wide` is what long sums go on in.
template <class C>
struct Total {
  using Wide = std::conditional_t<isFloat<C>, double, C>;
  static constexpr C none = 0;
  template <class T>
  __device__ T operator()(T a, T b) const {
    if constexpr (std::is_same_v<T, int32_t>) return T(uint32_t(a) + uint32_t(b));
    else return a + b;
  }
};
template <class C>
struct Largest {
  using Wide = C;
  static constexpr C none = isFloat<C> ? C(-INFINITY) : C(INT32_MIN);
  __device__ C operator()(C a, C b) const { return maxOrNan(a, b); }
};
template <class C>
struct Smallest {
  using Wide = C;
  static constexpr C none = isFloat<C> ? C(INFINITY) : C(INT32_MAX);
  __device__ C operator()(C a, C b) const { return minOrNan(a, b); }
};

// Tensor 0 is out, 1 is x. Part p of an output is the reduced elements from p · length on.
struct Parts {
  Nest<2> kept;
  Nest<1> reduced;
  int64_t count, length;
};

constexpr int rowFlush = 8,
              columnFlush = 16;  // numbers added up before they are added to the total, to keep its digits

// With several parts, `out` holds [outputs, parts].
template <class Op, class C, int width>
__global__ void reduceRows(Writer<C> out, Reader<C> x, Parts parts) {
  const int64_t item = int64_t(blockIdx.x) * blockDim.y + threadIdx.y;
  if (item >= parts.kept.size * parts.count) return;
  const Op join;
  int64_t at[2];
  parts.kept.locate(item / parts.count, at);
  const int64_t first = item % parts.count * parts.length, end = first + parts.length;
  const int64_t last = end < parts.reduced.size ? end : parts.reduced.size;
  using Wide = typename Op::Wide;
  const int64_t step = int64_t(blockDim.x) * width;
  Wide total = Op::none;
  for (int64_t i = first + threadIdx.x * width; i < last;) {
    C sums[width];
#pragma unroll
    for (int j = 0; j < width; j++) sums[j] = Op::none;
#pragma unroll 4
    for (int k = 0; k < rowFlush; k++, i += step) {
      if (i >= last) break;
      int64_t place[1];
      parts.reduced.locate(i, place);
      C v[width];
      x.load(at[1] + place[0], v);
#pragma unroll
      for (int j = 0; j < width; j++) sums[j] = join(sums[j], v[j]);
    }
#pragma unroll
    for (int half = width / 2; half > 0; half /= 2)
#pragma unroll
      for (int j = 0; j < half; j++) sums[j] = join(sums[j], sums[j + half]);
    total = join(total, Wide(sums[0]));
  }
  total = blockReduce(total, reinterpret_cast<Wide*>(ptx::sharedMemory()), join);
  if (threadIdx.x == 0) out.store(parts.count > 1 ? item : at[0], C(total));
}

// With several parts, `out` holds [parts, outputs].
template <class Op, class C, int width>
__global__ void reduceColumns(Writer<C> out, Reader<C> x, Parts parts) {
  const int64_t item = threadPlace(), chunks = parts.kept.size / width, i = item % chunks * width, part = item / chunks;
  if (part >= parts.count) return;
  const Op join;
  int64_t at[2];
  parts.kept.locate(i, at);
  const int64_t end = (part + 1) * parts.length, last = end < parts.reduced.size ? end : parts.reduced.size;
  typename Op::Wide totals[width];
#pragma unroll
  for (int j = 0; j < width; j++) totals[j] = Op::none;
  for (int64_t r = part * parts.length; r < last; r += columnFlush) {
    C sums[width];
#pragma unroll
    for (int j = 0; j < width; j++) sums[j] = Op::none;
#pragma unroll 4
    for (int k = 0; k < columnFlush; k++) {
      if (r + k >= last) break;
      int64_t place[1];
      parts.reduced.locate(r + k, place);
      C v[width];
      x.load(at[1] + place[0], v);
#pragma unroll
      for (int j = 0; j < width; j++) sums[j] = join(sums[j], v[j]);
    }
#pragma unroll
    for (int j = 0; j < width; j++) totals[j] = join(totals[j], typename Op::Wide(sums[j]));
  }
  C results[width];
#pragma unroll
  for (int j = 0; j < width; j++) results[j] = C(totals[j]);
  out.store(parts.count > 1 ? part * parts.kept.size + i : at[0], results);
}

template <class Op, class C>
void launchRows(Device& device, const Writer<C>& out, const View& x, const Parts& parts) {
  const int64_t items = parts.kept.size * parts.count, length = parts.count > 1 ? parts.length : parts.reduced.size;
  bool eights = parts.reduced.innerStride(0) == 1 && parts.reduced.inEights(0, x) && parts.length % 8 == 0;
  for (int axis = 0; axis < parts.kept.rank; axis++) eights = eights && parts.kept.strides[1][axis] % 8 == 0;
  const int64_t chunks = ceilDiv(length, eights ? 8 : 1);
  const int threads = chunks <= 128 ? 32 : chunks <= 1024 ? 128 : 256;
  const int64_t perBlock = threads > 32 ? 1 : items < 4 ? items : 4;
  const Grid grid{.blocks = dim3(unsigned(ceilDiv(items, perBlock))),
                  .threads = dim3(unsigned(threads), unsigned(perBlock)),
                  .shared = 32 * sizeof(double)};
  if (eights) launch(device, reduceRows<Op, C, 8>, grid, out, Reader<C>(x), parts);
  else launch(device, reduceRows<Op, C, 1>, grid, out, Reader<C>(x), parts);
}

template <class Op, class C>
void launchColumns(Device& device, const Writer<C>& out, const View& x, const Parts& parts, bool eights) {
  const int64_t items = parts.kept.size / (eights ? 8 : 1) * parts.count;
  if (eights) launch(device, reduceColumns<Op, C, 8>, gridFor(items), out, Reader<C>(x), parts);
  else launch(device, reduceColumns<Op, C, 1>, gridFor(items), out, Reader<C>(x), parts);
}

// Outputs of `kept` from the results of their parts: output i's begin at i · unit.
Parts joined(const Nest<2>& kept, int64_t unit, int64_t parts, int64_t step) {
  Parts next;
  int64_t inside[maxRank + 1];
  inside[kept.rank] = unit;
  for (int axis = kept.rank - 1; axis >= 0; axis--) inside[axis] = inside[axis + 1] * kept.shape[axis];
  for (int axis = 0; axis < kept.rank; axis++)
    next.kept.push(kept.shape[axis], {kept.strides[0][axis], inside[axis + 1]});
  next.reduced.push(parts, {step});
  next.count = 1;
  next.length = parts;
  return next;
}

template <class Op, class C>
void reduce(Device& device, const Out& out, const In& x) {
  Parts parts;
  for (int i = 0; i < x.rank; i++) {
    if (out.shape[i] == x.shape[i]) parts.kept.push(x.shape[i], {out.strides[i], x.strides[i]});
    else parts.reduced.push(x.shape[i], {x.strides[i]});
  }
  const auto& [kept, reduced, count, length] = parts;
  if (kept.size == 0) return;
  // Threads run where x is dense; where it is nowhere, along the longer axis.
  const bool columns = reduced.size > 0 && kept.rank > 0 && reduced.rank > 0 && kept.inner() >= 4 &&
                       (reduced.inner() < 16 ||
                        (reduced.innerStride(0) != 1 && (kept.innerStride(1) == 1 || kept.inner() > reduced.inner())));
  bool eights =
      columns && kept.innerStride(1) == 1 && kept.inEights(1, x) && kept.innerStride(0) == 1 && kept.inEights(0, out);
  for (int axis = 0; axis < reduced.rank; axis++) eights = eights && reduced.strides[0][axis] % 8 == 0;
  const int64_t busy = int64_t(device.processors) * (columns ? 1024 : 8),
                items = columns && eights ? kept.size / 8 : kept.size;
  const int64_t least = columns ? 64 : 8192;  // numbers that are worth a part
  const int64_t useful = ceilDiv(reduced.size, least), missing = ceilDiv(busy, items);
  parts.count = useful < missing ? useful : missing;
  if (parts.count < 1) parts.count = 1;
  parts.length = ceilDiv(ceilDiv(reduced.size, parts.count), 8) * 8;
  const Scratch<C> scratch(device, parts.count > 1 ? parts.count * kept.size : 0);
  View partial;
  partial.bytes = static_cast<C*>(scratch);
  partial.dtype = isFloat<C> ? DType::f32 : DType::i32;
  const Writer<C> first(parts.count > 1 ? partial : static_cast<const View&>(out));
  if (columns) launchColumns<Op, C>(device, first, x, parts, eights);
  else launchRows<Op, C>(device, first, x, parts);
  if (parts.count == 1) return;
  if (columns) launchColumns<Op, C>(device, out, partial, joined(kept, 1, parts.count, kept.size), false);
  else launchRows<Op, C>(device, out, partial, joined(kept, parts.count, parts.count, 1));
}

// Numbers in order as unsigned ones: the later ones are larger. NaN is the last in both directions.
__device__ __forceinline__ uint32_t orderOf(float x, bool downwards) {
  if (x != x) return 0xffffffffu;
  const uint32_t bits = __float_as_uint(x + 0.0f);  // no -0
  const uint32_t order = bits >> 31 ? ~bits : bits | 0x80000000u;
  return downwards ? ~order : order;
}
__device__ __forceinline__ uint32_t orderOf(int32_t x, bool downwards) {
  const uint32_t order = uint32_t(x) ^ 0x80000000u;
  return downwards ? ~order : order;
}

struct Later {
  static constexpr unsigned long long none = 0;
  __device__ unsigned long long operator()(unsigned long long a, unsigned long long b) const { return a > b ? a : b; }
};

// Of equal numbers the first wins: its complemented place is the largest.
template <class C, int width>
__global__ __launch_bounds__(1024) void extremeRow(int32_t* out, Reader<C> x, Nest<2> rows, int64_t cols, int64_t step,
                                                   bool downwards) {
  const int64_t row = int64_t(blockIdx.x) * blockDim.y + threadIdx.y;
  if (row >= rows.size) return;
  int64_t at[2];
  rows.locate(row, at);
  unsigned long long best = 0;
  for (int64_t i = int64_t(threadIdx.x) * width; i < cols; i += blockDim.x * width) {
    C v[width];
    x.load(at[1] + i * step, v);
#pragma unroll
    for (int j = 0; j < width; j++)
      best = Later()(best, (unsigned long long)(orderOf(v[j], downwards)) << 32 | ~uint32_t(i + j));
  }
  best = blockReduce(best, reinterpret_cast<unsigned long long*>(ptx::sharedMemory()), Later());
  if (threadIdx.x == 0) out[at[0]] = int32_t(~uint32_t(best));
}

template <class C>
void extreme(Device& device, const Out& out, const In& x, bool downwards) {
  const int64_t cols = x.cols(), step = x.rank ? x.stride(-1) : 1;
  Nest<2> rows;
  for (int i = 0; i + 1 < x.rank; i++) rows.push(x.shape[i], {out.strides[i], x.strides[i]});
  if (rows.size == 0 || cols == 0) return;
  bool eights = step == 1 && inEights(x, cols);
  for (int axis = 0; axis < rows.rank; axis++) eights = eights && rows.strides[1][axis] % 8 == 0;
  const int64_t chunks = cols / (eights ? 8 : 1);
  const int threads = chunks <= 128 ? 32 : chunks <= 2048 ? 256 : 1024;
  const int64_t perBlock = threads > 32 ? 1 : rows.size < 4 ? rows.size : 4;
  const Grid grid{.blocks = dim3(unsigned(ceilDiv(rows.size, perBlock))),
                  .threads = dim3(unsigned(threads), unsigned(perBlock)),
                  .shared = 32 * sizeof(unsigned long long)};
  if (eights) launch(device, extremeRow<C, 8>, grid, out.data<int32_t>(), Reader<C>(x), rows, cols, step, downwards);
  else launch(device, extremeRow<C, 1>, grid, out.data<int32_t>(), Reader<C>(x), rows, cols, step, downwards);
}

// k passes over a row, each of which finds the next one in order: a row stays in the cache, and k is small.
template <int width>
__global__ __launch_bounds__(1024) void largestOfRow(Sink values, int32_t* places, Source x, int64_t cols, int k) {
  const int64_t row = blockIdx.x;
  auto* room = reinterpret_cast<unsigned long long*>(ptx::sharedMemory());
  unsigned long long last = ~0ull;
  for (int n = 0; n < k; n++) {
    unsigned long long best = 0;
    for (int64_t i = int64_t(threadIdx.x) * width; i < cols; i += blockDim.x * width) {
      float v[width];
      x.load(row * cols + i, v);
#pragma unroll
      for (int j = 0; j < width; j++) {
        const unsigned long long key = (unsigned long long)(orderOf(v[j], false)) << 32 | ~uint32_t(i + j);
        if (key < last && key > best) best = key;
      }
    }
    last = blockReduce(best, room, Later());
    const int64_t place = ~uint32_t(last);
    if (threadIdx.x > 0) continue;
    places[row * k + n] = int32_t(place);
    values.store(row * k + n, x[row * cols + place]);
  }
}

void extremePlace(Device& device, const Out& out, const In& x, bool downwards) {
  if (floating(x)) extreme<float>(device, out, x, downwards);
  else extreme<int32_t>(device, out, x, downwards);
}

}  // namespace

void sum(Device& device, Out out, In x) {
  if (floating(x) || floating(out)) reduce<Total<float>, float>(device, out, x);
  else reduce<Total<int32_t>, int32_t>(device, out, x);
}
void max(Device& device, Out out, In x) {
  if (floating(x)) reduce<Largest<float>, float>(device, out, x);
  else reduce<Largest<int32_t>, int32_t>(device, out, x);
}
void min(Device& device, Out out, In x) {
  if (floating(x)) reduce<Smallest<float>, float>(device, out, x);
  else reduce<Smallest<int32_t>, int32_t>(device, out, x);
}
void argmax(Device& device, Out out, In x) { extremePlace(device, out, x, false); }
void argmin(Device& device, Out out, In x) { extremePlace(device, out, x, true); }

void topk(Device& device, Out values, Out places, In x) {
  const int64_t rows = x.rows(), cols = x.cols();
  if (rows == 0 || values.cols() == 0) return;
  const bool eights = inEights(x, cols);
  const int64_t chunks = cols / (eights ? 8 : 1);
  const Grid grid{.blocks = dim3(unsigned(rows)),
                  .threads = dim3(chunks <= 128    ? 32
                                  : chunks <= 2048 ? 256
                                                   : 1024),
                  .shared = 32 * sizeof(unsigned long long)};
  launch(device, eights ? largestOfRow<8> : largestOfRow<1>, grid, Sink(values), places.data<int32_t>(), Source(x),
         cols, int(values.cols()));
}

}  // namespace cuda
