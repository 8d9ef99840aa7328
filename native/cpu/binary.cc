// Elementwise functions of two or three tensors: arithmetic, comparisons, where.
//
// All tensors have out's shape; a stride of 0 repeats. In f32 if any is floating-point, else in i32, which wraps around.
// Comparisons give 1 or 0; maximum and minimum keep NaN. Kernels of the elementwise family that take one tensor are in
// elementwise.cc.
#include "../kernels/binary.h"
#include "tools/map.h"

namespace cpu::CPU_ISA {
namespace {

template <class V>
constexpr bool isFloats = std::is_same_v<V, Floats>;

// A comparison's mask as ones and zeros of the computing type.
template <class V>
V ones(Ints mask) {
  if constexpr (isFloats<V>) return select(mask, splat(1), Floats{});
  else return mask & 1;
}

}  // namespace

void add(Device& device, Out out, In a, In b) {
  mapAny(device, out, a, b, [](auto x, auto y) {
    if constexpr (isFloats<decltype(x)>) return x + y;
    else return (Ints)((Words)x + (Words)y);
  });
}
void sub(Device& device, Out out, In a, In b) {
  mapAny(device, out, a, b, [](auto x, auto y) {
    if constexpr (isFloats<decltype(x)>) return x - y;
    else return (Ints)((Words)x - (Words)y);
  });
}
void mul(Device& device, Out out, In a, In b) {
  mapAny(device, out, a, b, [](auto x, auto y) {
    if constexpr (isFloats<decltype(x)>) return x * y;
    else return (Ints)((Words)x * (Words)y);
  });
}
void div(Device& device, Out out, In a, In b) {
  map<float, 2>(device, {out, a, b}, [](Floats x, Floats y) { return x / y; });
}
void maximum(Device& device, Out out, In a, In b) {
  mapAny(device, out, a, b, [](auto x, auto y) { return maxOrNan(x, y); });
}
void minimum(Device& device, Out out, In a, In b) {
  mapAny(device, out, a, b, [](auto x, auto y) { return minOrNan(x, y); });
}
void equal(Device& device, Out out, In a, In b) {
  mapAny(device, out, a, b, [](auto x, auto y) { return ones<decltype(x)>(x == y); });
}
void less(Device& device, Out out, In a, In b) {
  mapAny(device, out, a, b, [](auto x, auto y) { return ones<decltype(x)>(x < y); });
}
void lessEqual(Device& device, Out out, In a, In b) {
  mapAny(device, out, a, b, [](auto x, auto y) { return ones<decltype(x)>(x <= y); });
}

void where(Device& device, Out out, In condition, In a, In b) {
  if (floating(a) || floating(b))
    map<float, 3>(device, {out, condition, a, b},
                  [](Floats c, Floats x, Floats y) { return select(c != Floats{}, x, y); });
  else
    map<int32_t, 3>(device, {out, condition, a, b}, [](Ints c, Ints x, Ints y) {
      const Ints m = c != Ints{};
      return (x & m) | (y & ~m);
    });
}

}  // namespace cpu::CPU_ISA
