// Gated activations: swiglu = silu(gate) · up, geglu = geluTanh(gate) · up. Shapes are equal; strides and formats free.
//
//   dgate = dout · up · f'(gate)      dup = dout · f(gate)
#include "../kernels/gated.h"
#include "tools/map.h"

namespace cpu::CPU_ISA {
namespace {

struct Silu {
  static Floats value(Floats x) { return silu(x); }
  static Floats slope(Floats x) { return siluSlope(x); }
};
struct GeluTanh {
  static Floats value(Floats x) { return geluTanh(x); }
  static Floats slope(Floats x) { return geluTanhSlope(x); }
};

template <class Activation>
void gated(const Device& device, const Out& out, const In& gate, const In& up) {
  map<float, 2>(device, {out, gate, up}, [](Floats g, Floats u) { return Activation::value(g) * u; });
}

template <class Activation>
void gatedBackward(const Device& device, const Out& dgate, const Out& dup, const In& dout, const In& gate,
                   const In& up) {
  forSegments<float, 2, 3>(
      device, {dgate, dup, dout, gate, up}, [](float* const* out, const float* const* in, int64_t count) {
        int64_t i = 0;
        for (; i + lanes <= count; i += lanes) {
          const Floats d = load(in[0] + i), g = load(in[1] + i), u = load(in[2] + i);
          store(out[0] + i, d * u * Activation::slope(g));
          store(out[1] + i, d * Activation::value(g));
        }
        if (const int64_t rest = count - i; rest > 0) {
          const Floats d = loadPart(in[0] + i, rest), g = loadPart(in[1] + i, rest), u = loadPart(in[2] + i, rest);
          storePart(out[0] + i, d * u * Activation::slope(g), rest);
          storePart(out[1] + i, d * Activation::value(g), rest);
        }
      });
}

}  // namespace

void swiglu(Device& device, Out out, In gate, In up) { gated<Silu>(device, out, gate, up); }
void geglu(Device& device, Out out, In gate, In up) { gated<GeluTanh>(device, out, gate, up); }
void swigluBackward(Device& device, Out dgate, Out dup, In dout, In gate, In up) {
  gatedBackward<Silu>(device, dgate, dup, dout, gate, up);
}
void gegluBackward(Device& device, Out dgate, Out dup, In dout, In gate, In up) {
  gatedBackward<GeluTanh>(device, dgate, dup, dout, gate, up);
}

}  // namespace cpu::CPU_ISA
