// Elementwise functions of one tensor, in f32 whatever the formats; neg and abs also in i32.
//
// The kernels' shapes are equal; strides are free. Backwards: dx = dout · f'(x).
#include "../kernels/elementwise.h"
#include "tools/map.h"

namespace cpu::CPU_ISA {
namespace {

template <class V>
V negated(V x) {
  if constexpr (std::is_same_v<V, Floats>) return -x;
  else return (V)(-(Words)x);
}

// Powers that are cheaper and more exact without pow().
Floats raised(Floats x, float exponent) {
  if (exponent == 2) return x * x;
  if (exponent == 3) return x * x * x;
  if (exponent == 1) return x;
  if (exponent == -1) return 1.0f / x;
  if (exponent == 0) return splat(1);
  return each(x, [exponent](float v) { return std::pow(v, exponent); });
}

}  // namespace

void neg(Device& device, Out out, In x) {
  mapAny(device, out, x, [](auto v) { return negated(v); });
}
void abs(Device& device, Out out, In x) {
  if (floating(x)) map<float, 1>(device, {out, x}, [](Floats v) { return (Floats)((Words)v & 0x7fffffffu); });
  else map<int32_t, 1>(device, {out, x}, [](Ints v) { return maxOrNan(v, negated(v)); });
}
void exp(Device& device, Out out, In x) {
  map<float, 1>(device, {out, x}, [](Floats v) { return exp(v); });
}
void log(Device& device, Out out, In x) {
  map<float, 1>(device, {out, x}, [](Floats v) { return log(v); });
}
void sqrt(Device& device, Out out, In x) {
  map<float, 1>(device, {out, x}, [](Floats v) { return each(v, [](float s) { return std::sqrt(s); }); });
}
void rsqrt(Device& device, Out out, In x) {
  map<float, 1>(device, {out, x}, [](Floats v) { return 1.0f / each(v, [](float s) { return std::sqrt(s); }); });
}
void sin(Device& device, Out out, In x) {
  map<float, 1>(device, {out, x}, [](Floats v) { return each(v, [](float s) { return std::sin(s); }); });
}
void cos(Device& device, Out out, In x) {
  map<float, 1>(device, {out, x}, [](Floats v) { return each(v, [](float s) { return std::cos(s); }); });
}
void tanh(Device& device, Out out, In x) {
  map<float, 1>(device, {out, x}, [](Floats v) { return tanh(v); });
}
void sigmoid(Device& device, Out out, In x) {
  map<float, 1>(device, {out, x}, [](Floats v) { return sigmoid(v); });
}
void relu(Device& device, Out out, In x) {
  map<float, 1>(device, {out, x}, [](Floats v) { return select(v <= Floats{}, Floats{}, v); });
}
void softplus(Device& device, Out out, In x) {
  map<float, 1>(device, {out, x}, [](Floats v) { return softplus(v); });
}
void silu(Device& device, Out out, In x) {
  map<float, 1>(device, {out, x}, [](Floats v) { return silu(v); });
}
void gelu(Device& device, Out out, In x) {
  map<float, 1>(device, {out, x}, [](Floats v) { return gelu(v); });
}
void geluTanh(Device& device, Out out, In x) {
  map<float, 1>(device, {out, x}, [](Floats v) { return geluTanh(v); });
}

void siluBackward(Device& device, Out dx, In dout, In x) {
  map<float, 2>(device, {dx, dout, x}, [](Floats d, Floats v) { return d * siluSlope(v); });
}
void geluBackward(Device& device, Out dx, In dout, In x) {
  map<float, 2>(device, {dx, dout, x}, [](Floats d, Floats v) { return d * geluSlope(v); });
}
void geluTanhBackward(Device& device, Out dx, In dout, In x) {
  map<float, 2>(device, {dx, dout, x}, [](Floats d, Floats v) { return d * geluTanhSlope(v); });
}

void affine(Device& device, Out out, In x, float scale, float shift) {
  map<float, 1>(device, {out, x}, [=](Floats v) { return v * scale + shift; });
}
void power(Device& device, Out out, In x, float exponent) {
  map<float, 1>(device, {out, x}, [=](Floats v) { return raised(v, exponent); });
}
void clamp(Device& device, Out out, In x, float low, float high) {
  map<float, 1>(device, {out, x}, [=](Floats v) { return minOrNan(maxOrNan(v, splat(low)), splat(high)); });
}

}  // namespace cpu::CPU_ISA
