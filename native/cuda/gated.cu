// Gated activations: swiglu = silu(gate) · up, geglu = geluTanh(gate) · up. Shapes are equal; strides and formats free.
//
//   dgate = dout · up · f'(gate)      dup = dout · f(gate)
//
// One pass, eight elements per thread where they lie side by side (see map.cuh). dgate may be gate, and dup up.
#include "../kernels/gated.h"
#include "tools/functions.cuh"
#include "tools/map.cuh"

namespace cuda {
namespace {

template <class Activation>
struct Gated {
  __device__ float operator()(float gate, float up) const { return Activation::value(gate) * up; }
};

struct Gradients {
  Writer<float> dgate, dup;
  Reader<float> dout, gate, up;
};

template <class Activation, int width>
__global__ void gatedGradients(Gradients g, Nest<5> nest) {
  const int64_t i = threadPlace() * width;
  if (i >= nest.size) return;
  int64_t at[5];
  nest.locate(i, at);
  float dout[width], gate[width], up[width];
  g.dout.load(at[2], nest.innerStride(2) == 0, dout);
  g.gate.load(at[3], nest.innerStride(3) == 0, gate);
  g.up.load(at[4], nest.innerStride(4) == 0, up);
#pragma unroll
  for (int j = 0; j < width; j++) {
    up[j] *= dout[j] * Activation::slope(gate[j]);
    dout[j] *= Activation::value(gate[j]);
  }
  g.dgate.store(at[0], up);
  g.dup.store(at[1], dout);
}

template <class Activation>
void backward(Device& device, const Out& dgate, const Out& dup, const In& dout, const In& gate, const In& up) {
  const Nest<5> nest({dgate, dup, dout, gate, up});
  if (nest.size == 0) return;
  const bool eights = nest.innerStride(0) == 1 && nest.innerStride(1) == 1 && nest.inEights(0, dgate) &&
                      nest.inEights(1, dup) && nest.inEights(2, dout) && nest.inEights(3, gate) && nest.inEights(4, up);
  const Gradients tensors{dgate, dup, dout, gate, up};
  if (eights) launch(device, gatedGradients<Activation, 8>, gridFor(nest.size / 8), tensors, nest);
  else launch(device, gatedGradients<Activation, 1>, gridFor(nest.size), tensors, nest);
}

}  // namespace

void swiglu(Device& device, Out out, In gate, In up) { map<float>(device, Gated<Silu>{}, out, gate, up); }
void geglu(Device& device, Out out, In gate, In up) { map<float>(device, Gated<GeluTanh>{}, out, gate, up); }
void swigluBackward(Device& device, Out dgate, Out dup, In dout, In gate, In up) {
  backward<Silu>(device, dgate, dup, dout, gate, up);
}
void gegluBackward(Device& device, Out dgate, Out dup, In dout, In gate, In up) {
  backward<GeluTanh>(device, dgate, dup, dout, gate, up);
}

}  // namespace cuda
