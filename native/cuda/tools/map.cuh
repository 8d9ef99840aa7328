// map(): one output from one to three inputs, element by element, by a function of numbers of type C (float or int32_t).
// Any strides and formats; an output may be one of the inputs. Eight elements per thread where they lie side by side,
// else one.
#pragma once
#include "strided.cuh"

namespace cuda {

template <class C, int Ins>
struct Operands {
  Reader<C> in[Ins];
};

template <int width, class C, int Ins, class Op>
__global__ void mapElements(Op op, Writer<C> out, Operands<C, Ins> operands, Nest<Ins + 1> nest) {
  const int64_t i = threadPlace() * width;
  if (i >= nest.size) return;
  int64_t at[Ins + 1];
  nest.locate(i, at);
  C v[Ins][width], result[width];
#pragma unroll
  for (int k = 0; k < Ins; k++) operands.in[k].load(at[k + 1], nest.innerStride(k + 1) == 0, v[k]);
#pragma unroll
  for (int j = 0; j < width; j++) {
    if constexpr (Ins == 1) result[j] = op(v[0][j]);
    else if constexpr (Ins == 2) result[j] = op(v[0][j], v[1][j]);
    else result[j] = op(v[0][j], v[1][j], v[2][j]);
  }
  out.store(at[0], result);
}

// The inputs have out's shape; a stride of 0 repeats.
template <class C, class Op, class... Inputs>
void map(Device& device, Op op, const Out& out, const Inputs&... inputs) {
  constexpr int Ins = sizeof...(Inputs);
  const Nest<Ins + 1> nest({out, inputs...});
  if (nest.size == 0) return;
  int k = 1;
  const bool eights = nest.innerStride(0) == 1 && nest.inEights(0, out) && (nest.inEights(k++, inputs) && ...);
  const Operands<C, Ins> operands{{Reader<C>(inputs)...}};
  if (eights) launch(device, mapElements<8, C, Ins, Op>, gridFor(nest.size / 8), op, Writer<C>(out), operands, nest);
  else launch(device, mapElements<1, C, Ins, Op>, gridFor(nest.size), op, Writer<C>(out), operands, nest);
}

}  // namespace cuda
