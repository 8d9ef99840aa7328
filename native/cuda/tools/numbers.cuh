// Numbers of any plain format in global memory, read and written as C: float or int32_t, one or eight at a time.
//
// Conversions are the CPU's: floating-point formats round to nearest, ties to even; to an integer format a number is
// truncated toward zero and saturates, and NaN becomes 0; to bool it becomes whether it differs from zero. Kernels of
// floating-point formats alone use Source and Sink (vector.cuh), which are smaller.
#pragma once
#include <type_traits>
#include "vector.cuh"

namespace cuda {

template <class C>
constexpr bool isFloat = std::is_same_v<C, float>;

inline bool floating(const View& x) { return x.dtype == DType::f32 || x.dtype == DType::bf16 || x.dtype == DType::f16; }
__host__ __device__ inline int bytesOf(DType dtype) {
  return dtype == DType::f32 || dtype == DType::i32 ? 4 : dtype == DType::bf16 || dtype == DType::f16 ? 2 : 1;
}

template <class C, class From>
__device__ __forceinline__ C convert(From x) {
  if constexpr (isFloat<C> || !isFloat<From>) return C(x);
  else if (x >= 2147483648.0f) return 2147483647;
  else if (x <= -2147483648.0f) return -2147483647 - 1;
  else return x == x ? int32_t(x) : 0;
}
template <class C>
__device__ __forceinline__ uint8_t byteOf(C x, DType dtype) {
  if (dtype == DType::boolean) return x != 0;
  return uint8_t(x > 0 ? (x < 255 ? x : C(255)) : C(0));
}

template <class C>
struct Reader {
  const void* bytes;
  DType dtype;

  __host__ Reader(const View& view) : bytes(view.bytes), dtype(view.dtype) {}

  __device__ __forceinline__ C operator[](int64_t i) const {
    switch (dtype) {
      case DType::f32: return convert<C>(static_cast<const float*>(bytes)[i]);
      case DType::bf16: return convert<C>(valueOf(static_cast<const bf16*>(bytes)[i]));
      case DType::f16: return convert<C>(valueOf(static_cast<const f16*>(bytes)[i]));
      case DType::i32: return convert<C>(static_cast<const int32_t*>(bytes)[i]);
      default: return convert<C>(int32_t(static_cast<const uint8_t*>(bytes)[i]));
    }
  }
  // One element, or eight whose first lies at a multiple of eight elements from an aligned start.
  template <int width>
  __device__ __forceinline__ void load(int64_t i, C (&v)[width]) const {
    if constexpr (width == 1) {
      v[0] = (*this)[i];
    } else if (dtype == DType::i32) {
      const int4* from = reinterpret_cast<const int4*>(static_cast<const int32_t*>(bytes) + i);
      const int4 a = from[0], b = from[1];
      const int32_t eight[8] = {a.x, a.y, a.z, a.w, b.x, b.y, b.z, b.w};
#pragma unroll
      for (int j = 0; j < 8; j++) v[j] = convert<C>(eight[j]);
    } else if (dtype == DType::u8 || dtype == DType::boolean) {
      const uint2 eight = *reinterpret_cast<const uint2*>(static_cast<const uint8_t*>(bytes) + i);
#pragma unroll
      for (int j = 0; j < 8; j++) v[j] = convert<C>(int32_t((j < 4 ? eight.x : eight.y) >> j % 4 * 8 & 255));
    } else {
      float eight[8];
      Source(bytes, dtype).load8(i, eight);
#pragma unroll
      for (int j = 0; j < 8; j++) v[j] = convert<C>(eight[j]);
    }
  }
  // The same, or all `width` of them the element i.
  template <int width>
  __device__ __forceinline__ void load(int64_t i, bool repeats, C (&v)[width]) const {
    if (width == 1 || !repeats) return load(i, v);
    const C one = (*this)[i];
#pragma unroll
    for (int j = 0; j < width; j++) v[j] = one;
  }
};

template <class C>
struct Writer {
  void* bytes;
  DType dtype;

  __host__ Writer(const View& view) : bytes(view.bytes), dtype(view.dtype) {}

  __device__ __forceinline__ void store(int64_t i, C value) const {
    switch (dtype) {
      case DType::f32: static_cast<float*>(bytes)[i] = float(value); break;
      case DType::bf16: static_cast<bf16*>(bytes)[i] = numberOf<bf16>(float(value)); break;
      case DType::f16: static_cast<f16*>(bytes)[i] = numberOf<f16>(float(value)); break;
      case DType::i32: static_cast<int32_t*>(bytes)[i] = convert<int32_t>(value); break;
      default: static_cast<uint8_t*>(bytes)[i] = byteOf(value, dtype);
    }
  }
  template <int width>
  __device__ __forceinline__ void store(int64_t i, const C (&v)[width]) const {
    if constexpr (width == 1) {
      store(i, v[0]);
    } else if (dtype == DType::i32) {
      int4* to = reinterpret_cast<int4*>(static_cast<int32_t*>(bytes) + i);
      to[0] = {convert<int32_t>(v[0]), convert<int32_t>(v[1]), convert<int32_t>(v[2]), convert<int32_t>(v[3])};
      to[1] = {convert<int32_t>(v[4]), convert<int32_t>(v[5]), convert<int32_t>(v[6]), convert<int32_t>(v[7])};
    } else if (dtype == DType::u8 || dtype == DType::boolean) {
      uint32_t words[2] = {};
#pragma unroll
      for (int j = 0; j < 8; j++) words[j / 4] |= uint32_t(byteOf(v[j], dtype)) << j % 4 * 8;
      *reinterpret_cast<uint2*>(static_cast<uint8_t*>(bytes) + i) = {words[0], words[1]};
    } else {
      float eight[8];
#pragma unroll
      for (int j = 0; j < 8; j++) eight[j] = float(v[j]);
      Sink(bytes, dtype).store8(i, eight);
    }
  }
};

}  // namespace cuda
