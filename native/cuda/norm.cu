// RMSNorm and LayerNorm over the last axis, and their gradients.
//
//   rmsNorm    out = n · (weight + shift),   n = x / sqrt(mean(x²) + eps)
//   layerNorm  out = n · weight + bias,      n = (x - mean(x)) / sqrt(variance(x) + eps)
//   dx = (g - mean(g) - n · mean(g · n)) / sqrt(…)   with g = dout · (weight + shift); rmsNorm has no mean(g)
//   dweight = Σ rows dout · n,   dbias = Σ rows dout
//
//   x, out, dout, dx  [rows, cols]   contiguous
//   weight, bias      [cols]
//
// A warp or a block per row (see row.cuh), which holds rows of up to 8192 in registers. Where dweight or dbias is wanted,
// each group of threads takes every groups-th row and adds them up for its own columns, in registers; then one thread per
// column and 16 groups adds the groups' sums: a fixed order, without atomics.
#include "../kernels/norm.h"
#include "tools/row.cuh"

namespace cuda {
namespace {

constexpr int forwardKept = 4, backwardKept = 2;

struct Normal {  // a row becomes (x - center) · scale
  float center, scale;
};

template <bool centered, int width, int kept>
__device__ __forceinline__ Normal normalOf(Row<width, kept>& row, int64_t cols, float eps) {
  float center = 0, squares = 0;
  if constexpr (centered) {
    eachChunk<width, kept>(cols, [&](int64_t i, int chunk) {
      for (float v : row(i, chunk)) center += v;
    });
    center = groupReduce(center, Sum()) / float(cols);
  }
  eachChunk<width, kept>(cols, [&](int64_t i, int chunk) {
    for (float v : row(i, chunk)) squares += (v - center) * (v - center);
  });
  return {center, 1 / sqrtf(groupReduce(squares, Sum()) / float(cols) + eps)};
}

struct Parameters {
  Source weight, bias;
  float eps, shift;
};

template <bool centered, int width, int kept>
__global__ void normRow(Sink out, Source x, Parameters p, int64_t rows, int64_t cols) {
  ptx::takeTurn();
  const RowGroup group;
  if (group.first >= rows) return;
  Row<width, kept> row(x, group.first, cols);
  const Normal normal = normalOf<centered>(row, cols, p.eps);
  eachChunk<width, kept>(cols, [&](int64_t i, int chunk) {
    auto& v = row(i, chunk);
    float weight[width];
    p.weight.load(i, weight);
#pragma unroll
    for (int j = 0; j < width; j++) v[j] = (v[j] - normal.center) * normal.scale * (weight[j] + p.shift);
    if constexpr (centered) {
      float bias[width];
      p.bias.load(i, bias);
#pragma unroll
      for (int j = 0; j < width; j++) v[j] += bias[j];
    }
    out.store(row.start + i, v);
  });
}

// Sums of a group, by column: dweight's, then dbias'.
template <bool wanted, bool centered, int width, int kept>
struct ColumnSums {
  float* to;  // [2, cols]
  int64_t cols;
  float weight[wanted && kept > 0 ? kept : 1][width], bias[wanted && centered && kept > 0 ? kept : 1][width];

  __device__ __forceinline__ ColumnSums(float* to, int64_t cols) : to(to), cols(cols) {
    if constexpr (!wanted) return;
    if constexpr (kept == 0) {
      eachChunk<width, kept>(cols, [&](int64_t i, int) {
#pragma unroll
        for (int j = 0; j < width; j++) to[i + j] = to[cols + i + j] = 0;
      });
    } else {
#pragma unroll
      for (int chunk = 0; chunk < kept; chunk++)
#pragma unroll
        for (int j = 0; j < width; j++) {
          weight[chunk][j] = 0;
          if constexpr (centered) bias[chunk][j] = 0;
        }
    }
  }
  __device__ __forceinline__ void add(int64_t i, int chunk, int j, float d, float n) {
    if constexpr (!wanted) return;
    if constexpr (kept == 0) {
      to[i + j] += d * n;
      if constexpr (centered) to[cols + i + j] += d;
    } else {
      weight[chunk][j] += d * n;
      if constexpr (centered) bias[chunk][j] += d;
    }
  }
  __device__ __forceinline__ void finish() {
    if constexpr (wanted && kept > 0)
      eachChunk<width, kept>(cols, [&](int64_t i, int chunk) {
        const Sink sums(to, DType::f32);
        sums.store(i, weight[chunk]);
        if constexpr (centered) sums.store(cols + i, bias[chunk]);
      });
  }
};

// `sums`: [groups, 2, cols], or null. At most 512 threads: see RowPlan.
template <bool wanted, bool centered, int width, int kept>
__global__ __launch_bounds__(512, 1) void normGradientRows(Sink dx, Source dout, Source x, Parameters p, float* sums,
                                                           int64_t rows, int64_t cols) {
  const RowGroup group;
  if (group.first >= rows) return;
  ColumnSums<wanted, centered, width, kept> columns(sums + group.first * 2 * cols, cols);
  for (int64_t r = group.first; r < rows; r += group.count) {
    Row<width, kept> row(x, r, cols), grad(dout, r, cols);
    const Normal normal = normalOf<centered>(row, cols, p.eps);
    float sumG = 0, sumGn = 0;
    eachChunk<width, kept>(cols, [&](int64_t i, int chunk) {
      auto &v = row(i, chunk), &d = grad(i, chunk);
      float weight[width];
      p.weight.load(i, weight);
#pragma unroll
      for (int j = 0; j < width; j++) {
        v[j] = (v[j] - normal.center) * normal.scale;
        columns.add(i, chunk, j, d[j], v[j]);
        d[j] *= weight[j] + p.shift;
        sumGn += d[j] * v[j];
        if constexpr (centered) sumG += d[j];
      }
    });
    const float meanG = centered ? groupReduce(sumG, Sum()) / float(cols) : 0;
    const float meanGn = groupReduce(sumGn, Sum()) / float(cols);
    eachChunk<width, kept>(cols, [&](int64_t i, int chunk) {
      auto &v = row(i, chunk), &g = grad(i, chunk);
      if constexpr (kept == 0) {
        float weight[width];
        p.weight.load(i, weight);
#pragma unroll
        for (int j = 0; j < width; j++) {
          v[j] = (v[j] - normal.center) * normal.scale;
          g[j] *= weight[j] + p.shift;
        }
      }
#pragma unroll
      for (int j = 0; j < width; j++) g[j] = (g[j] - meanG - v[j] * meanGn) * normal.scale;
      dx.store(row.start + i, g);
    });
  }
  columns.finish();
}

constexpr int sumColumns = 32, sumSlices = 16;  // threads of a block

// out[i] = Σ groups sums[group][i]
__global__ void sumGroups(Sink out, const float* sums, int64_t groups, int64_t step, int64_t cols) {
  float* room = reinterpret_cast<float*>(ptx::sharedMemory());
  const int64_t col = int64_t(blockIdx.x) * sumColumns + threadIdx.x;
  float sum = 0;
  if (col < cols)
    for (int64_t group = threadIdx.y; group < groups; group += sumSlices) sum += sums[group * step + col];
  room[threadIdx.y * sumColumns + threadIdx.x] = sum;
  __syncthreads();
  if (threadIdx.y > 0 || col >= cols) return;
  for (int slice = 1; slice < sumSlices; slice++) sum += room[slice * sumColumns + threadIdx.x];
  out.store(col, sum);
}

template <bool centered>
void forward(Device& device, const Out& out, const In& x, const In& weight, const In& bias, float eps, float shift) {
  const int64_t rows = x.rows(), cols = x.cols();
  if (rows == 0 || cols == 0) return;
  const bool eights = inEights(out, cols) && inEights(x, cols) && inEights(weight, cols) && inEights(bias, cols);
  const RowPlan plan(cols, forwardKept, eights);
  const Parameters p{weight, bias, eps, shift};
  Grid grid = plan.grid(rows);
  grid.overlaps = true;
  const auto start = [&](auto kernel) { launch(device, kernel, grid, Sink(out), Source(x), p, rows, cols); };
  if (plan.fits) start(normRow<centered, 8, forwardKept>);
  else if (plan.width == 8) start(normRow<centered, 8, 0>);
  else start(normRow<centered, 1, 0>);
}

template <bool wanted, bool centered>
void gradientRows(Device& device, const RowPlan& plan, int64_t groups, const Out& dx, const In& dout, const In& x,
                  const Parameters& p, float* sums) {
  const auto start = [&](auto kernel) {
    launch(device, kernel, plan.grid(groups), Sink(dx), Source(dout), Source(x), p, sums, x.rows(), x.cols());
  };
  if (plan.fits) start(normGradientRows<wanted, centered, 8, backwardKept>);
  else if (plan.width == 8) start(normGradientRows<wanted, centered, 8, 0>);
  else start(normGradientRows<wanted, centered, 1, 0>);
}

template <bool centered>
void backward(Device& device, const Out& dx, const Out& dweight, const Out& dbias, const In& dout, const In& x,
              const In& weight, float eps, float shift) {
  const int64_t rows = x.rows(), cols = x.cols();
  if (cols == 0) return;
  const bool eights = inEights(dx, cols) && inEights(dout, cols) && inEights(x, cols) && inEights(weight, cols);
  const RowPlan plan(cols, backwardKept, eights);
  const Parameters p{weight, weight, eps, shift};
  if (!dweight && !dbias) return gradientRows<false, centered>(device, plan, rows, dx, dout, x, p, nullptr);
  // Enough threads to keep the memory busy, and no fewer than four rows for a group's sums. Whole blocks.
  const int64_t busy = int64_t(device.processors) * 1024 / plan.threads, most = ceilDiv(rows, 4);
  int64_t groups = busy < most ? busy : most;
  const Grid grid = plan.grid(groups);
  groups = int64_t(grid.blocks.x) * grid.threads.y;
  if (groups > rows) groups = rows;
  const Scratch<float> sums(device, groups * 2 * cols);
  gradientRows<true, centered>(device, plan, groups, dx, dout, x, p, sums);
  const Grid columns{.blocks = dim3(unsigned(ceilDiv(cols, sumColumns))),
                     .threads = dim3(sumColumns, sumSlices),
                     .shared = sumColumns * sumSlices * sizeof(float)};
  if (dweight) launch(device, sumGroups, columns, Sink(dweight), sums, groups, 2 * cols, cols);
  if (dbias) launch(device, sumGroups, columns, Sink(dbias), sums + cols, groups, 2 * cols, cols);
}

}  // namespace

void rmsNorm(Device& device, Out out, In x, In weight, float eps, float shift) {
  forward<false>(device, out, x, weight, weight, eps, shift);
}

void rmsNormBackward(Device& device, Out dx, Out dweight, In dout, In x, In weight, float eps, float shift) {
  backward<false>(device, dx, dweight, {}, dout, x, weight, eps, shift);
}

void layerNorm(Device& device, Out out, In x, In weight, In bias, float eps) {
  forward<true>(device, out, x, weight, bias, eps, 0);
}

void layerNormBackward(Device& device, Out dx, Out dweight, Out dbias, In dout, In x, In weight, float eps) {
  backward<true>(device, dx, dweight, dbias, dout, x, weight, eps, 0);
}

}  // namespace cuda
