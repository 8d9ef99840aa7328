// map(): one output from one to three inputs, element by element, by a function of registers. Any strides and formats
// (see strided.h). The function is computed in f32 if any tensor is floating-point, else in i32.
#pragma once
#include "functions.h"
#include "strided.h"

namespace cpu::CPU_ISA {

inline bool floating(const View& x) { return x.dtype == DType::f32 || x.dtype == DType::bf16 || x.dtype == DType::f16; }

template <class C, int Ins, class Op>
void map(const Device& device, const std::array<View, Ins + 1>& tensors, Op op) {
  forSegments<C, 1, Ins>(device, tensors, [&](C* const* out, const C* const* in, int64_t count) {
    const auto apply = [&](auto&& read) {
      if constexpr (Ins == 1) return op(read(0));
      else if constexpr (Ins == 2) return op(read(0), read(1));
      else return op(read(0), read(1), read(2));
    };
    int64_t i = 0;
    for (; i + lanes <= count; i += lanes)
      storeVector<C>(out[0] + i, apply([&](int k) { return loadVector(in[k] + i); }));
    if (i < count)
      storeVectorPart<C>(out[0] + i, apply([&](int k) { return loadVectorPart(in[k] + i, count - i); }), count - i);
  });
}

// `op` takes Floats and Ints alike.
template <class Op>
void mapAny(const Device& device, const Out& out, const In& x, Op op) {
  if (floating(x)) map<float, 1>(device, {out, x}, op);
  else map<int32_t, 1>(device, {out, x}, op);
}
template <class Op>
void mapAny(const Device& device, const Out& out, const In& a, const In& b, Op op) {
  if (floating(a) || floating(b) || floating(out)) map<float, 2>(device, {out, a, b}, op);
  else map<int32_t, 2>(device, {out, a, b}, op);
}

// For functions that only the standard library has.
template <class Op>
Floats each(Floats x, Op op) {
  float values[lanes];
  store(values, x);
  for (int i = 0; i < lanes; i++) values[i] = op(values[i]);
  return load(values);
}

}  // namespace cpu::CPU_ISA
