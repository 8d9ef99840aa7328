// Products of rows with one matrix for each group of them (see native/kernels/grouped.h): the operands, and which kernel.
#include "../../kernels/grouped.h"
#include "../device/launch.h"
#include "grouped.cuh"

namespace cuda {
namespace {

Groups groupsOf(const Device& device, const View& segments, int first, int64_t rows, Faults::Kind bad,
                Faults::Kind missing) {
  return {segments.data<const int32_t>(), int(segments.size()) - 1, first, int(rows),
          {device.faults, bad},           {device.faults, missing}};
}

Operand rowsOf(const View& x) { return {x.bytes, x.dtype, x.stride(-2), x.stride(-1)}; }

}  // namespace

void groupedMatmul(Device& device, Out out, In a, In b, In bias, In residual, In segments, int first, float scale) {
  const int64_t rows = out.dim(0), N = out.dim(1);
  if (rows * N == 0) return;
  GroupedProduct p;
  p.a = rowsOf(a);
  p.b = rowsOf(b);
  p.bGroup = b.stride(0);
  p.N = N;
  p.K = a.dim(1);
  p.groups = groupsOf(device, segments, first, rows, Faults::groupedSegment, Faults::groupedRows);
  Finish finish;
  finish.M = rows;
  finish.N = N;
  finish.out = {out.bytes, out.dtype, N, 1};
  if (residual) finish.residual = {residual.bytes, residual.dtype, N, 1};
  if (bias) finish.bias = {bias.bytes, bias.dtype, 0, 1};
  finish.scale = scale;
  finish.eights = inEights(out, N) && (!residual || inEights(residual, N)) && (!bias || inEights(bias, N));
  groupedFloats(device, p, finish);
}

void groupedOuter(Device& device, Out out, In a, In b, In segments, float scale) {
  const int64_t groups = out.dim(0), M = out.dim(1), N = out.dim(2);
  if (groups * M * N == 0) return;
  GroupedProduct p;
  p.a = {a.bytes, a.dtype, a.stride(1), a.stride(0)};
  p.b = rowsOf(b);
  p.M = M;
  p.N = N;
  p.groups = groupsOf(device, segments, 0, a.dim(0), Faults::groupedOuterSegment, Faults::groupedOuterRows);
  Finish finish;
  finish.M = M;
  finish.N = N;
  finish.batches = {groups, 1, {uint32_t(groups)}};
  finish.out = {out.bytes, out.dtype, N, 1, {M * N}};
  finish.scale = scale;
  finish.eights = inEights(out, N);
  groupedFloatOuter(device, p, finish);
}

}  // namespace cuda
