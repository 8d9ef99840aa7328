// AdamW over all tensors of one step, and the norm that clips gradients: the formulas of native/cpu/adamw.cc.
//
// The tensors' pointers travel as kernel arguments, hundreds at a time, so a step is one launch for almost any adapter.
// A block takes a piece of one tensor; it finds which by a search in the table. Every tensor is read and written once.
#include <algorithm>
#include <cmath>
#include "../kernels/adamw.h"
#include "device/launch.h"
#include "tools/reduce.cuh"
#include "tools/vector.cuh"

namespace cuda {
namespace {

constexpr int threads = 256;
constexpr int pieceSize = 8 * threads;  // elements of one block, eight neighbours for each thread

constexpr size_t roomBytes = 32 * sizeof(double);  // of blockReduce
constexpr int sumsOfBlock = 4 * threads;           // pieces' sums that a block adds up

struct SumOfDoubles {
  static constexpr double none = 0;
  __device__ __forceinline__ double operator()(double a, double b) const { return a + b; }
};

// Kernel arguments have 32,764 bytes since CUDA 12.1.
constexpr int tableSize = 512;

// The pieces of each tensor: tensor t has pieces first[t] to first[t + 1] - 1.
struct Pieces {
  int count = 0;
  int first[tableSize + 1];

  void add(int64_t size) {
    if (count == 0) first[0] = 0;
    first[count + 1] = first[count] + int(ceilDiv(size, pieceSize));
    count++;
  }
  int total() const { return count == 0 ? 0 : first[count]; }

  __device__ int tensorOf(int piece) const {
    int low = 0, high = count - 1;
    while (low < high) {
      const int middle = (low + high + 1) / 2;
      if (first[middle] <= piece) low = middle;
      else high = middle - 1;
    }
    return low;
  }
};

struct Gradients {
  Pieces pieces;
  const void* bytes[tableSize];
  int64_t sizes[tableSize];
  DType dtypes[tableSize];
};

struct Parameters {
  Pieces pieces;
  void* parameter[tableSize];
  float* moment[tableSize];
  float* variance[tableSize];
  const void* gradient[tableSize];
  int64_t sizes[tableSize];
  DType dtypes[tableSize], gradientDTypes[tableSize];
};
static_assert(sizeof(Parameters) < 32000);

struct Update {
  float keep, beta2, share1, share2, stepSize, inverseRoot, eps;
  const float* norm;  // may be null
  float maxNorm;
};

__global__ void squarePieces(double* sums, const __grid_constant__ Gradients table) {
  double* room = reinterpret_cast<double*>(ptx::sharedMemory());
  const int t = table.pieces.tensorOf(int(blockIdx.x));
  const Source from(table.bytes[t], table.dtypes[t]);
  const int64_t begin = int64_t(int(blockIdx.x) - table.pieces.first[t]) * pieceSize;
  const int64_t end = begin + pieceSize < table.sizes[t] ? begin + pieceSize : table.sizes[t];
  double sum = 0;
  for (int64_t i = begin + threadIdx.x; i < end; i += threads) sum += double(from[i]) * double(from[i]);
  sum = blockReduce(sum, room, SumOfDoubles{});
  if (threadIdx.x == 0) sums[blockIdx.x] = sum;
}

// The sum of each `sumsOfBlock` sums, always in the same order. One block: of all, which `out` gets.
__global__ void addPieces(float* out, double* to, const double* sums, int count) {
  const int begin = int(blockIdx.x) * sumsOfBlock, end = begin + sumsOfBlock < count ? begin + sumsOfBlock : count;
  double sum = 0;
  for (int i = begin + int(threadIdx.x); i < end; i += threads) sum += sums[i];
  sum = blockReduce(sum, reinterpret_cast<double*>(ptx::sharedMemory()), SumOfDoubles{});
  if (threadIdx.x > 0) return;
  if (gridDim.x == 1) *out = float(sum);
  else to[blockIdx.x] = sum;
}

template <int width>
__device__ __forceinline__ void updateElements(const Sink& parameters, const Source& gradient, float* moments,
                                               float* variances, const Update& u, float coefficient, int64_t i) {
  float x[width], g[width], moment[width], variance[width];
  Source(parameters.bytes, parameters.dtype).load(i, x);
  gradient.load(i, g);
  Source(moments, DType::f32).load(i, moment);
  Source(variances, DType::f32).load(i, variance);
#pragma unroll
  for (int j = 0; j < width; j++) {
    const float clipped = g[j] * coefficient;
    moment[j] += (clipped - moment[j]) * u.share1;
    variance[j] = variance[j] * u.beta2 + clipped * clipped * u.share2;
    x[j] = x[j] * u.keep - moment[j] / (sqrtf(variance[j]) * u.inverseRoot + u.eps) * u.stepSize;
  }
  Sink(moments, DType::f32).store(i, moment);
  Sink(variances, DType::f32).store(i, variance);
  parameters.store(i, x);
}

__global__ void adamwPiece(const __grid_constant__ Parameters table, Update u) {
  const int t = table.pieces.tensorOf(int(blockIdx.x));
  float coefficient = 1;
  if (u.norm) {
    coefficient = u.maxNorm / (sqrtf(*u.norm) + 1e-6f);
    if (coefficient > 1) coefficient = 1;
  }
  const Sink parameters(table.parameter[t], table.dtypes[t]);
  const Source gradient(table.gradient[t], table.gradientDTypes[t]);
  float *moments = table.moment[t], *variances = table.variance[t];
  const int64_t first = int64_t(int(blockIdx.x) - table.pieces.first[t]) * pieceSize + threadIdx.x * 8;
  const int64_t end = first + 8 < table.sizes[t] ? first + 8 : table.sizes[t];
  const uintptr_t places = reinterpret_cast<uintptr_t>(parameters.bytes) | reinterpret_cast<uintptr_t>(gradient.bytes) |
                           reinterpret_cast<uintptr_t>(moments) | reinterpret_cast<uintptr_t>(variances);
  if (places % 16 == 0 && end - first == 8)
    return updateElements<8>(parameters, gradient, moments, variances, u, coefficient, first);
  for (int64_t i = first; i < end; i++) updateElements<1>(parameters, gradient, moments, variances, u, coefficient, i);
}

}  // namespace

void squaredNorm(Device& device, Out out, Ins tensors) {
  int64_t pieces = 0;
  for (const In& x : tensors) pieces += ceilDiv(x.size(), pieceSize);
  Scratch<double> sums(device, pieces);
  int64_t done = 0;
  for (int from = 0; from < tensors.count; from += tableSize) {
    Gradients table;
    for (int i = from; i < tensors.count && i < from + tableSize; i++) {
      table.bytes[i - from] = tensors[i].bytes;
      table.sizes[i - from] = tensors[i].size();
      table.dtypes[i - from] = tensors[i].dtype;
      table.pieces.add(tensors[i].size());
    }
    launch(device, squarePieces, {.blocks = unsigned(table.pieces.total()), .threads = threads, .shared = roomBytes},
           sums + done, table);
    done += table.pieces.total();
  }
  // A model of eight billion parameters has four million pieces: rounds of sums, until one block can add them.
  Scratch<double> others(device, ceilDiv(pieces, sumsOfBlock));
  double *from = sums, *to = others;
  for (int64_t count = pieces;;) {
    const int64_t blocks = std::max<int64_t>(1, ceilDiv(count, sumsOfBlock));
    launch(device, addPieces, {.blocks = unsigned(blocks), .threads = threads, .shared = roomBytes}, out.data<float>(),
           to, from, int(count));
    if (blocks == 1) return;
    count = blocks;
    std::swap(from, to);
  }
}

void adamw(Device& device, Outs parameters, Outs moments, Outs variances, Ins gradients, In norm, float maxNorm,
           double learningRate, double beta1, double beta2, double eps, double weightDecay, double step) {
  const double correction1 = 1 - std::pow(beta1, step), correction2 = 1 - std::pow(beta2, step);
  // Differences from 1 are formed in double precision: 1 - 0.999 of two floats is off by 1e-5.
  const Update update{float(1 - learningRate * weightDecay),
                      float(beta2),
                      float(1 - beta1),
                      float(1 - beta2),
                      float(learningRate / correction1),
                      float(1 / std::sqrt(correction2)),
                      float(eps),
                      norm.data<const float>(),
                      maxNorm};
  for (int from = 0; from < parameters.count; from += tableSize) {
    Parameters table;
    for (int i = from; i < parameters.count && i < from + tableSize; i++) {
      const int t = i - from;
      table.parameter[t] = parameters[i].bytes;
      table.moment[t] = moments[i].data<float>();
      table.variance[t] = variances[i].data<float>();
      table.gradient[t] = gradients[i].bytes;
      table.sizes[t] = parameters[i].size();
      table.dtypes[t] = parameters[i].dtype;
      table.gradientDTypes[t] = gradients[i].dtype;
      table.pieces.add(parameters[i].size());
    }
    launch(device, adamwPiece, {.blocks = unsigned(table.pieces.total()), .threads = threads}, table, update);
  }
}

}  // namespace cuda
