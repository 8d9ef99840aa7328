// Products of rows with one matrix for each group of them (see native/kernels/grouped.h).
//
// A task is a group and a band of the result's columns, on one thread: groups without rows cost nothing, so that a decoding
// step reads the matrices of its chosen experts alone. Bands have a fixed width, and gemm forms each sum in an order that
// depends on K alone, so that a row is the same to the last bit in any batch and with any number of threads.
#include "../../kernels/grouped.h"
#include <algorithm>
#include <stdexcept>
#include <string>
#include "../tools/simd.h"
#include "gemm.h"

namespace cpu::CPU_ISA {
namespace {

constexpr int64_t band = 192;  // whole tiles of dots.cc for every instruction set

int64_t bandsOf(int64_t cols) { return (cols + band - 1) / band; }

// Segments are data, which lib/ops cannot check: wrong ones would read and write outside the rows.
void checkSegments(const View& segments, int64_t first, int64_t rows) {
  const int32_t* start = segments.data<int32_t>();
  const int64_t groups = segments.size() - 1;
  for (int64_t g = 0; g < groups; g++)
    if (start[g] < 0 || start[g] > start[g + 1])
      throw std::runtime_error("group " + std::to_string(g) + " has the rows " + std::to_string(start[g]) + " to " +
                               std::to_string(start[g + 1]));
  if (start[0] > first || start[groups] < first + rows)
    throw std::runtime_error("the groups have the rows " + std::to_string(start[0]) + " to " +
                             std::to_string(start[groups]) + ", not all from " + std::to_string(first) + " to " +
                             std::to_string(first + rows));
}

char* at(const View& x, int64_t element) { return x.data<char>() + element * format(x.dtype).blockBytes; }

Matrix matrixFrom(const View& x, int64_t element, int64_t rowStride, int64_t colStride) {
  return {at(x, element), x.dtype, rowStride, colStride};
}

}  // namespace

void groupedMatmul(Device& device, Out out, In a, In b, In bias, In residual, In segments, int first, float scale) {
  const int64_t rows = out.dim(0), N = out.dim(1), K = a.dim(1), groups = b.dim(0), bands = bandsOf(N);
  checkSegments(segments, first, rows);
  if (rows * N == 0) return;
  const int32_t* start = segments.data<int32_t>();
  Scratch<int64_t> busy(groups);
  int64_t count = 0;
  for (int64_t g = 0; g < groups; g++)
    if (start[g] < start[g + 1] && start[g] < first + rows && start[g + 1] > first) busy[count++] = g;
  device.parallelFor(count * bands, [&](int64_t task, int) {
    const int64_t g = busy[task / bands], col = task % bands * band;
    const int64_t begin = std::max<int64_t>(start[g] - first, 0), end = std::min<int64_t>(start[g + 1] - first, rows);
    float biasRow[band];
    Product p;
    p.M = end - begin;
    p.N = std::min(band, N - col);
    p.terms[0] = {matrixFrom(a, begin * a.stride(0), a.stride(0), a.stride(1)),
                  matrixFrom(b, g * b.stride(0) + col * b.stride(2), b.stride(1), b.stride(2)), K, scale};
    Destination to{at(out, begin * N + col), out.dtype, N};
    if (bias) to.bias = readRow(bias, g * N + col, p.N, biasRow);
    if (residual) to.residual = at(residual, begin * N + col), to.residualType = residual.dtype;
    Device alone{1};
    gemm(alone, p, to);
  });
}

void groupedOuter(Device& device, Out out, In a, In b, In segments, float scale) {
  const int64_t groups = out.dim(0), M = out.dim(1), N = out.dim(2), bands = bandsOf(N);
  checkSegments(segments, 0, a.dim(0));
  if (groups * M * N == 0) return;
  const int32_t* start = segments.data<int32_t>();
  device.parallelFor(groups * bands, [&](int64_t task, int) {
    const int64_t g = task / bands, col = task % bands * band, begin = start[g];
    Product p;
    p.M = M;
    p.N = std::min(band, N - col);
    p.terms[0] = {matrixFrom(a, begin * a.stride(0), a.stride(1), a.stride(0)),
                  matrixFrom(b, begin * b.stride(0) + col * b.stride(1), b.stride(0), b.stride(1)),
                  start[g + 1] - begin, scale};
    Device alone{1};
    gemm(alone, p, Destination{at(out, g * M * N + col), out.dtype, N});
  });
}

}  // namespace cpu::CPU_ISA
