// Elementwise functions of two or three tensors: arithmetic, comparisons, where.
//
// All tensors have out's shape; a stride of 0 repeats. In f32 if any is floating-point, else in i32, which wraps around.
// Comparisons give 1 or 0; maximum and minimum keep NaN. See map.cuh for the plan.
#include "../kernels/binary.h"
#include "tools/functions.cuh"
#include "tools/map.cuh"

namespace cuda {
namespace {

struct Add {
  __device__ float operator()(float a, float b) const { return a + b; }
  __device__ int32_t operator()(int32_t a, int32_t b) const { return int32_t(uint32_t(a) + uint32_t(b)); }
};
struct Sub {
  __device__ float operator()(float a, float b) const { return a - b; }
  __device__ int32_t operator()(int32_t a, int32_t b) const { return int32_t(uint32_t(a) - uint32_t(b)); }
};
struct Mul {
  __device__ float operator()(float a, float b) const { return a * b; }
  __device__ int32_t operator()(int32_t a, int32_t b) const { return int32_t(uint32_t(a) * uint32_t(b)); }
};
struct Div {
  __device__ float operator()(float a, float b) const { return a / b; }
};
struct Maximum {
  template <class C>
  __device__ C operator()(C a, C b) const {
    return maxOrNan(a, b);
  }
};
struct Minimum {
  template <class C>
  __device__ C operator()(C a, C b) const {
    return minOrNan(a, b);
  }
};
struct Equal {
  template <class C>
  __device__ C operator()(C a, C b) const {
    return a == b;
  }
};
struct Less {
  template <class C>
  __device__ C operator()(C a, C b) const {
    return a < b;
  }
};
struct LessEqual {
  template <class C>
  __device__ C operator()(C a, C b) const {
    return a <= b;
  }
};
struct Where {
  template <class C>
  __device__ C operator()(C condition, C a, C b) const {
    return condition != 0 ? a : b;
  }
};

template <class Op>
void mapAny(Device& device, const Out& out, const In& a, const In& b) {
  if (floating(a) || floating(b) || floating(out)) map<float>(device, Op{}, out, a, b);
  else map<int32_t>(device, Op{}, out, a, b);
}

}  // namespace

void add(Device& device, Out out, In a, In b) { mapAny<Add>(device, out, a, b); }
void sub(Device& device, Out out, In a, In b) { mapAny<Sub>(device, out, a, b); }
void mul(Device& device, Out out, In a, In b) { mapAny<Mul>(device, out, a, b); }
void div(Device& device, Out out, In a, In b) { map<float>(device, Div{}, out, a, b); }
void maximum(Device& device, Out out, In a, In b) { mapAny<Maximum>(device, out, a, b); }
void minimum(Device& device, Out out, In a, In b) { mapAny<Minimum>(device, out, a, b); }
void equal(Device& device, Out out, In a, In b) { mapAny<Equal>(device, out, a, b); }
void less(Device& device, Out out, In a, In b) { mapAny<Less>(device, out, a, b); }
void lessEqual(Device& device, Out out, In a, In b) { mapAny<LessEqual>(device, out, a, b); }

void where(Device& device, Out out, In condition, In a, In b) {
  if (floating(a) || floating(b)) map<float>(device, Where{}, out, condition, a, b);
  else map<int32_t>(device, Where{}, out, condition, a, b);
}

}  // namespace cuda
