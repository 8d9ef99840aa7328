// Products of rows with one matrix for each group of them (see native/kernels/grouped.h): the operands in an order that the
// kernels take, and which kernel.
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

Operand operandOf(const View& x, int64_t perGroup = 0) {
  return {x.bytes, x.dtype, x.stride(-2), x.stride(-1), {perGroup}};
}

GroupedProduct productOf(const Groups& groups, const Term& term, int64_t M, int64_t N) {
  GroupedProduct p;
  p.M = M;
  p.N = N;
  p.batches = {groups.count, 1, {uint32_t(groups.count)}};
  p.terms[0] = term;
  p.groups = groups;
  return p;
}

MatmulShape shapeOf(const GroupedProduct& p, const Finish& finish) {
  const Term& term = p.terms[0];
  MatmulShape shape{p.M, p.N, term.K};
  shape.bytesA = format(term.a.dtype).blockBytes;
  shape.bytesB = format(term.b.dtype).blockBytes;
  shape.bytesOut = format(finish.out.dtype).blockBytes;
  const bool worthOrder = double(p.M) * p.N * term.K > 1e6;
  shape.tensor = term.a.dtype == term.b.dtype && term.a.dtype != DType::f32 &&
                 ((ordered(term.a, p.batches) && ordered(term.b, p.batches)) || worthOrder);
  return shape;
}

MatmulPlan planFor(const Device& device, const MatmulShape& shape) {
  return planMatmul(shape, {device.capability, device.hopper, device.processors, device.memoryRate});
}

}  // namespace

void groupedMatmul(Device& device, Out out, In a, In b, In bias, In residual, In segments, int first, float scale) {
  const int64_t rows = out.dim(0), N = out.dim(1), K = a.dim(1);
  if (rows * N == 0) return;
  const Groups groups = groupsOf(device, segments, first, rows, Faults::groupedSegment, Faults::groupedRows);
  GroupedProduct p = productOf(groups, {operandOf(a), operandOf(b, b.stride(0)), K}, rows, N);
  Finish finish;
  finish.M = rows;
  finish.N = N;
  finish.out = {out.bytes, out.dtype, N, 1};
  if (residual) finish.residual = {residual.bytes, residual.dtype, N, 1};
  if (bias) finish.bias = {bias.bytes, bias.dtype, 0, 1};
  finish.scale = scale;
  finish.eights = inEights(out, N) && (!residual || inEights(residual, N)) && (!bias || inEights(bias, N));

  MatmulShape shape = shapeOf(p, finish);
  shape.groups = groups.count;
  shape.tensor = shape.tensor && K > 1;  // of one element, a row lies along either axis
  shape.streams = shape.alongK = b.stride(1) == 1;
  shape.hopper = suitsHopper(p);
  const MatmulPlan plan = planFor(device, shape);
  if (plan.kernel == MatmulKernel::vectors) return groupedVectors(device, p, finish, plan);
  if (plan.kernel == MatmulKernel::floats) return groupedFloats(device, p, finish);
  const Ordered copies(device, p);
  if (plan.kernel == MatmulKernel::hopper && groupedHopper(device, p, finish, plan)) return;
  groupedTiles(device, p, finish, plan);
}

void groupedOuter(Device& device, Out out, In a, In b, In segments, float scale) {
  const int64_t groups = out.dim(0), M = out.dim(1), N = out.dim(2), rows = a.dim(0);
  if (groups * M * N == 0) return;
  GroupedProduct p =
      productOf(groupsOf(device, segments, 0, rows, Faults::groupedOuterSegment, Faults::groupedOuterRows),
                {{a.bytes, a.dtype, a.stride(1), a.stride(0)}, operandOf(b), rows}, M, N);
  Finish finish;
  finish.M = M;
  finish.N = N;
  finish.batches = p.batches;
  finish.out = {out.bytes, out.dtype, N, 1, {M * N}};
  finish.scale = scale;
  finish.eights = inEights(out, N);

  MatmulShape shape = shapeOf(p, finish);
  shape.tensor = shape.tensor && N > 1;
  shape.batch = groups;
  shape.K = ceilDiv(rows, groups);
  shape.whole = true;
  const MatmulPlan plan = planFor(device, shape);
  if (plan.kernel == MatmulKernel::floats) return groupedFloatOuter(device, p, finish);
  const Ordered copies(device, p);
  groupedTileOuter(device, p, finish, plan);
}

}  // namespace cuda
