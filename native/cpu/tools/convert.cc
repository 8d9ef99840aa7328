// The conversion runs of convert.h, one per pair of formats.
#include "convert.h"

namespace cpu::CPU_ISA {
namespace {

template <class To, class From>
void run(void* to, int64_t toStride, const void* from, int64_t fromStride, int64_t count) {
  To* out = static_cast<To*>(to);
  const From* x = static_cast<const From*>(from);
  if (toStride == 1 && fromStride == 1) return convertContiguous(out, x, count);
  if (fromStride == 0 && count > 0) {
    const To value = convert<To>(*x);
    for (int64_t i = 0; i < count; i++) out[i * toStride] = value;
    return;
  }
  if (toStride == 1)
    for (int64_t i = 0; i < count; i++) out[i] = convert<To>(x[i * fromStride]);
  else
    for (int64_t i = 0; i < count; i++) out[i * toStride] = convert<To>(x[i * fromStride]);
}

template <class From>
void toBool(void* to, int64_t toStride, const void* from, int64_t fromStride, int64_t count) {
  uint8_t* out = static_cast<uint8_t*>(to);
  const From* x = static_cast<const From*>(from);
  for (int64_t i = 0; i < count; i++) {
    if constexpr (isFloating<From>) out[i * toStride] = float(x[i * fromStride]) != 0;
    else out[i * toStride] = x[i * fromStride] != 0;
  }
}

}  // namespace

Run converter(DType to, DType from) {
  return visit(from, [&](auto x) -> Run {
    using From = decltype(x);
    if (to == DType::boolean) {
      if (from == DType::boolean) return run<uint8_t, uint8_t>;
      return toBool<From>;
    }
    return visit(to, [](auto out) -> Run { return run<decltype(out), From>; });
  });
}

}  // namespace cpu::CPU_ISA
