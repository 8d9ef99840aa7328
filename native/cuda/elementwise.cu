// Elementwise functions of one tensor, in f32 whatever the formats; neg and abs also in i32.
//
// The kernels' shapes are equal; strides are free (see map.cuh). Backwards: dx = dout · f'(x).
#include "../kernels/elementwise.h"
#include "tools/functions.cuh"
#include "tools/map.cuh"

namespace cuda {
namespace {

struct Neg {
  __device__ float operator()(float x) const { return -x; }
  __device__ int32_t operator()(int32_t x) const { return int32_t(0u - uint32_t(x)); }
};
struct Abs {
  __device__ float operator()(float x) const { return fabsf(x); }
  __device__ int32_t operator()(int32_t x) const { return x < 0 ? int32_t(0u - uint32_t(x)) : x; }
};
struct Exp {
  __device__ float operator()(float x) const { return expf(x); }
};
struct Log {
  __device__ float operator()(float x) const { return logf(x); }
};
struct Sqrt {
  __device__ float operator()(float x) const { return sqrtf(x); }
};
struct Rsqrt {
  __device__ float operator()(float x) const { return 1.0f / sqrtf(x); }
};
struct Sin {
  __device__ float operator()(float x) const { return turnOf(x).sine; }
};
struct Cos {
  __device__ float operator()(float x) const { return turnOf(x).cosine; }
};
struct Tanh {
  __device__ float operator()(float x) const { return tanhf(x); }
};
struct Sigmoid {
  __device__ float operator()(float x) const { return sigmoidOf(x); }
};
struct Relu {  // NaN stays
  __device__ float operator()(float x) const { return x <= 0 ? 0 : x; }
};

struct Softplus {
  __device__ float operator()(float x) const { return maxOrNan(x, 0.0f) + log1pf(expf(-fabsf(x))); }
};

template <class Activation>
struct Value {
  __device__ float operator()(float x) const { return Activation::value(x); }
};
template <class Activation>
struct Slope {
  __device__ float operator()(float d, float x) const { return d * Activation::slope(x); }
};

struct Affine {
  float scale, shift;
  __device__ float operator()(float x) const { return x * scale + shift; }
};
// Powers that are cheaper and more exact without pow().
struct Power {
  float exponent;
  __device__ float operator()(float x) const {
    if (exponent == 2) return x * x;
    if (exponent == 3) return x * x * x;
    if (exponent == 1) return x;
    if (exponent == -1) return 1.0f / x;
    if (exponent == 0) return 1;
    return powf(x, exponent);
  }
};
struct Clamp {
  float low, high;
  __device__ float operator()(float x) const { return minOrNan(maxOrNan(x, low), high); }
};

template <class Op>
void mapAny(Device& device, const Out& out, const In& x) {
  if (floating(x)) map<float>(device, Op{}, out, x);
  else map<int32_t>(device, Op{}, out, x);
}

}  // namespace

void neg(Device& device, Out out, In x) { mapAny<Neg>(device, out, x); }
void abs(Device& device, Out out, In x) { mapAny<Abs>(device, out, x); }
void exp(Device& device, Out out, In x) { map<float>(device, Exp{}, out, x); }
void log(Device& device, Out out, In x) { map<float>(device, Log{}, out, x); }
void sqrt(Device& device, Out out, In x) { map<float>(device, Sqrt{}, out, x); }
void rsqrt(Device& device, Out out, In x) { map<float>(device, Rsqrt{}, out, x); }
void sin(Device& device, Out out, In x) { map<float>(device, Sin{}, out, x); }
void cos(Device& device, Out out, In x) { map<float>(device, Cos{}, out, x); }
void tanh(Device& device, Out out, In x) { map<float>(device, Tanh{}, out, x); }
void sigmoid(Device& device, Out out, In x) { map<float>(device, Sigmoid{}, out, x); }
void relu(Device& device, Out out, In x) { map<float>(device, Relu{}, out, x); }
void softplus(Device& device, Out out, In x) { map<float>(device, Softplus{}, out, x); }
void silu(Device& device, Out out, In x) { map<float>(device, Value<Silu>{}, out, x); }
void gelu(Device& device, Out out, In x) { map<float>(device, Value<Gelu>{}, out, x); }
void geluTanh(Device& device, Out out, In x) { map<float>(device, Value<GeluTanh>{}, out, x); }

void siluBackward(Device& device, Out dx, In dout, In x) { map<float>(device, Slope<Silu>{}, dx, dout, x); }
void geluBackward(Device& device, Out dx, In dout, In x) { map<float>(device, Slope<Gelu>{}, dx, dout, x); }
void geluTanhBackward(Device& device, Out dx, In dout, In x) { map<float>(device, Slope<GeluTanh>{}, dx, dout, x); }

void affine(Device& device, Out out, In x, float scale, float shift) {
  map<float>(device, Affine{scale, shift}, out, x);
}
void power(Device& device, Out out, In x, float exponent) { map<float>(device, Power{exponent}, out, x); }
void clamp(Device& device, Out out, In x, float low, float high) { map<float>(device, Clamp{low, high}, out, x); }

}  // namespace cuda
