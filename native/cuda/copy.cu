// Moving numbers: copy (any strides, any two formats), fill, and gather / scatterAdd along an axis.
//
//   copy        out, x of one shape. Side by side in both and of one format: the runtime's copy. Where x runs along
//               another axis than out: 32 x 32 tiles turned in shared memory, so that both are touched a sector at a
//               time. Else as map() does.
//   gather      out[.., i, ..] = x[.., index[.., i, ..], ..]     index has out's shape; a thread per element or eight
//   scatterAdd  out[.., index[.., i, ..], ..] += src[.., i, ..]  in order of i: the thread of the first i with its index
//               adds up all of them in f32. No atomics, the same sum every time; the work grows with the square of the
//               axis' length.
//
// An index outside the axis leaves its element out, and is a fault.
#include "../kernels/copy.h"
#include "device/fault.cuh"
#include "tools/map.cuh"

namespace cuda {
namespace {

struct Same {
  template <class C>
  __device__ C operator()(C x) const {
    return x;
  }
};

constexpr int tile = 32, tileThreads = 8;  // a block is 32 x 8 threads

// Tensor 0 is out, 1 is x. x's neighbours are along `turned`, out's along the innermost axis; `outer` are the others.
struct Turned {
  Nest<2> outer;
  int64_t rows, cols;      // sizes of the innermost and of the turned axis
  int64_t outStep, xStep;  // out's along the turned axis, x's along the innermost
  int64_t rowTiles, colTiles;
};

template <class C>
__global__ void copyTurnedTile(Writer<C> out, Reader<C> x, Turned t) {
  C* cells = reinterpret_cast<C*>(ptx::sharedMemory());
  const int64_t item = blockIdx.x, col = item % t.colTiles * tile, row = item / t.colTiles % t.rowTiles * tile;
  int64_t at[2];
  t.outer.locate(item / t.colTiles / t.rowTiles, at);
  const int lane = int(threadIdx.x);
#pragma unroll
  for (int k = 0; k < tile; k += tileThreads) {
    const int64_t i = row + k + threadIdx.y, j = col + lane;
    if (i < t.rows && j < t.cols) cells[(k + threadIdx.y) * (tile + 1) + lane] = x[at[1] + i * t.xStep + j];
  }
  __syncthreads();
#pragma unroll
  for (int k = 0; k < tile; k += tileThreads) {
    const int64_t i = row + lane, j = col + k + threadIdx.y;
    if (i < t.rows && j < t.cols) out.store(at[0] + j * t.outStep + i, cells[lane * (tile + 1) + k + threadIdx.y]);
  }
}

// The axis along which x lies side by side, if that is not the innermost one and out lies along the innermost.
int turnedAxis(const Nest<2>& nest) {
  if (nest.rank < 2 || nest.innerStride(0) != 1 || nest.innerStride(1) <= 1) return -1;
  for (int axis = nest.rank - 2; axis >= 0; axis--)
    if (nest.strides[1][axis] == 1 && nest.shape[axis] >= 8 && nest.inner() >= 8) return axis;
  return -1;
}

template <class C>
void copyTurned(Device& device, const Out& out, const In& x, const Nest<2>& nest, int axis) {
  Turned t;
  for (int i = 0; i + 1 < nest.rank; i++)
    if (i != axis) t.outer.push(nest.shape[i], {nest.strides[0][i], nest.strides[1][i]});
  t.rows = nest.inner(), t.cols = nest.shape[axis];
  t.outStep = nest.strides[0][axis], t.xStep = nest.innerStride(1);
  t.rowTiles = ceilDiv(t.rows, tile), t.colTiles = ceilDiv(t.cols, tile);
  const Grid grid{.blocks = dim3(unsigned(t.outer.size * t.rowTiles * t.colTiles)),
                  .threads = dim3(tile, tileThreads),
                  .shared = tile * (tile + 1) * sizeof(C)};
  launch(device, copyTurnedTile<C>, grid, Writer<C>(out), Reader<C>(x), t);
}

template <class C>
void copyAs(Device& device, const Out& out, const In& x, const Nest<2>& nest) {
  if (const int axis = turnedAxis(nest); axis >= 0) copyTurned<C>(device, out, x, nest, axis);
  else map<C>(device, Same{}, out, x);
}

template <int width, class C>
__global__ void fillElements(Writer<C> out, Nest<1> nest, C value) {
  const int64_t i = threadPlace() * width;
  if (i >= nest.size) return;
  int64_t at[1];
  nest.locate(i, at);
  C v[width];
#pragma unroll
  for (int j = 0; j < width; j++) v[j] = value;
  out.store(at[0], v);
}

template <class C>
void fillAs(Device& device, const Out& out, C value) {
  const Nest<1> nest({out});
  if (nest.size == 0) return;
  if (nest.innerStride(0) == 1 && nest.inEights(0, out))
    launch(device, fillElements<8, C>, gridFor(nest.size / 8), Writer<C>(out), nest, value);
  else launch(device, fillElements<1, C>, gridFor(nest.size), Writer<C>(out), nest, value);
}

// The axes of an index and of two tensors of its shape, of which the second is addressed by the index along one axis:
// it has a stride of 0 there.
Nest<3> alongIndex(const View& index, const View& same, const View& addressed, int axis) {
  View still = addressed;
  still.strides[axis] = 0;
  return Nest<3>({index, same, still});
}

template <int width, class C>
__global__ void gatherElements(Writer<C> out, Reader<C> x, const int32_t* index, Nest<3> nest, int64_t step,
                               FaultNote note) {
  const int64_t i = threadPlace() * width;
  if (i >= nest.size) return;
  int64_t at[3];
  nest.locate(i, at);
  const int32_t chosen = index[at[0]];
  if (chosen < 0 || chosen >= note.limit) return note(i, chosen);
  C v[width];
  x.load(at[2] + chosen * step, v);
  out.store(at[1], v);
}

template <class C>
void gatherAs(Device& device, const Out& out, const In& x, const In& index, int axis) {
  const Nest<3> nest = alongIndex(index, out, x, axis);
  if (nest.size == 0) return;
  const FaultNote note{device.faults, Faults::gatherIndex, x.shape[axis], axis};
  const int64_t step = x.strides[axis];
  const bool rows = nest.innerStride(0) == 0 && nest.innerStride(1) == 1 && nest.innerStride(2) == 1 && step % 8 == 0 &&
                    nest.inEights(1, out) && nest.inEights(2, x);
  if (rows)
    launch(device, gatherElements<8, C>, gridFor(nest.size / 8), Writer<C>(out), Reader<C>(x), index.data<int32_t>(),
           nest, step, note);
  else
    launch(device, gatherElements<1, C>, gridFor(nest.size), Writer<C>(out), Reader<C>(x), index.data<int32_t>(), nest,
           step, note);
}

// Along the axis.
struct Line {
  int64_t length, indexStep, srcStep, outStep;
};

// `inside`: the number of elements from one i to the next in row-major order.
template <class C>
__global__ void scatterFirsts(Writer<C> out, Reader<C> sums, Reader<C> src, const int32_t* index, Nest<3> nest,
                              Line line, int64_t inside, FaultNote note) {
  const int64_t element = threadPlace();
  if (element >= nest.size) return;
  int64_t at[3];
  nest.locate(element, at);
  const int64_t i = element / inside % line.length;
  const int32_t chosen = index[at[0]];
  if (chosen < 0 || chosen >= note.limit) return note(element, chosen);
  const int32_t* first = index + at[0] - i * line.indexStep;
  for (int64_t j = 0; j < i; j++)
    if (first[j * line.indexStep] == chosen) return;
  const int64_t target = at[2] + chosen * line.outStep;
  C sum = sums[target];
  for (int64_t j = i; j < line.length; j++)
    if (first[j * line.indexStep] == chosen) sum += src[at[1] + (j - i) * line.srcStep];
  out.store(target, sum);
}

template <class C>
void scatterAs(Device& device, const Out& out, const In& src, const In& index, int axis) {
  const Nest<3> nest = alongIndex(index, src, out, axis);
  if (nest.size == 0) return;
  int64_t inside = 1;
  for (int i = axis + 1; i < src.rank; i++) inside *= src.shape[i];
  const Line line{src.shape[axis], index.strides[axis], src.strides[axis], out.strides[axis]};
  const FaultNote note{device.faults, Faults::scatterIndex, out.shape[axis], axis};
  launch(device, scatterFirsts<C>, gridFor(nest.size), Writer<C>(out), Reader<C>(out), Reader<C>(src),
         index.data<int32_t>(), nest, line, inside, note);
}

}  // namespace

void copy(Device& device, Out out, In x) {
  const Nest<2> nest({out, x});
  if (nest.size == 0) return;
  if (out.dtype == x.dtype && nest.dense(0) && nest.dense(1)) {
    if (out.bytes == x.bytes) return;
    const Format& f = format(x.dtype);
    const size_t bytes = size_t(nest.size / f.blockElements * f.blockBytes);
    return check(cudaMemcpyAsync(out.bytes, x.bytes, bytes, cudaMemcpyDeviceToDevice, device.stream));
  }
  if (floating(out) || floating(x)) copyAs<float>(device, out, x, nest);
  else copyAs<int32_t>(device, out, x, nest);
}

void fill(Device& device, Out out, double value) {
  if (out.dtype != DType::i32) return fillAs(device, out, float(value));
  const double bounded = value < -2147483648.0 ? -2147483648.0 : value > 2147483647.0 ? 2147483647.0 : value;
  fillAs(device, out, value == value ? int32_t(bounded) : 0);
}

void gather(Device& device, Out out, In x, In index, int axis) {
  if (floating(x) || floating(out)) gatherAs<float>(device, out, x, index, axis);
  else gatherAs<int32_t>(device, out, x, index, axis);
}

void scatterAdd(Device& device, Out out, In src, In index, int axis) {
  if (floating(out)) scatterAs<float>(device, out, src, index, axis);
  else scatterAs<int32_t>(device, out, src, index, axis);
}

}  // namespace cuda
