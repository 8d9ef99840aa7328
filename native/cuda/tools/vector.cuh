// Numbers of any floating-point format in global memory, read and written as f32, one or eight at a time.
//
// The format is a run-time value that is the same for all threads: its branch costs nothing next to the memory access,
// and one kernel serves every mixture of formats.
#pragma once
#include "../../view.h"
#include "ptx.cuh"

namespace cuda {

__device__ __forceinline__ float valueOf(float x) { return x; }
__device__ __forceinline__ float valueOf(bf16 x) { return __uint_as_float(uint32_t(x.bits) << 16); }
__device__ __forceinline__ float valueOf(f16 x) { return ptx::floatOfF16(x.bits); }

template <class T>
__device__ __forceinline__ T numberOf(float value);
template <>
__device__ __forceinline__ float numberOf<float>(float value) {
  return value;
}
template <>
__device__ __forceinline__ bf16 numberOf<bf16>(float value) {
  bf16 x;
  x.bits = uint16_t(ptx::packBf16(value, 0.0f));
  return x;
}
template <>
__device__ __forceinline__ f16 numberOf<f16>(float value) {
  f16 x;
  x.bits = uint16_t(ptx::packF16(value, 0.0f));
  return x;
}

template <class T>
__device__ __forceinline__ uint32_t packPair(float low, float high);
template <>
__device__ __forceinline__ uint32_t packPair<bf16>(float low, float high) {
  return ptx::packBf16(low, high);
}
template <>
__device__ __forceinline__ uint32_t packPair<f16>(float low, float high) {
  return ptx::packF16(low, high);
}

// Eight 16-bit numbers in 16 bytes.
template <class T>
__device__ __forceinline__ void unpack8(const uint4& from, float (&v)[8]) {
  const uint32_t pairs[4] = {from.x, from.y, from.z, from.w};
#pragma unroll
  for (int i = 0; i < 4; i++) {
    T low, high;
    low.bits = uint16_t(pairs[i]);
    high.bits = uint16_t(pairs[i] >> 16);
    v[2 * i] = valueOf(low);
    v[2 * i + 1] = valueOf(high);
  }
}
template <class T>
__device__ __forceinline__ uint4 pack8(const float (&v)[8]) {
  return {packPair<T>(v[0], v[1]), packPair<T>(v[2], v[3]), packPair<T>(v[4], v[5]), packPair<T>(v[6], v[7])};
}

struct Source {
  const void* bytes;
  DType dtype;

  __host__ Source(const View& view) : bytes(view.bytes), dtype(view.dtype) {}
  __device__ Source(const void* bytes, DType dtype) : bytes(bytes), dtype(dtype) {}

  __device__ __forceinline__ float operator[](int64_t i) const {
    if (dtype == DType::f32) return static_cast<const float*>(bytes)[i];
    if (dtype == DType::bf16) return valueOf(static_cast<const bf16*>(bytes)[i]);
    return valueOf(static_cast<const f16*>(bytes)[i]);
  }
  // One element, or eight as load8.
  template <int width>
  __device__ __forceinline__ void load(int64_t i, float (&v)[width]) const {
    if constexpr (width == 1) v[0] = (*this)[i];
    else load8(i, v);
  }
  // Elements i to i + 7; the address of element i is a multiple of 16.
  __device__ __forceinline__ void load8(int64_t i, float (&v)[8]) const {
    if (dtype == DType::f32) {
      const float4* from = reinterpret_cast<const float4*>(static_cast<const float*>(bytes) + i);
      const float4 a = from[0], b = from[1];
      v[0] = a.x, v[1] = a.y, v[2] = a.z, v[3] = a.w, v[4] = b.x, v[5] = b.y, v[6] = b.z, v[7] = b.w;
    } else {
      const uint4 eight = *reinterpret_cast<const uint4*>(static_cast<const uint16_t*>(bytes) + i);
      if (dtype == DType::bf16) unpack8<bf16>(eight, v);
      else unpack8<f16>(eight, v);
    }
  }
};

struct Sink {
  void* bytes;
  DType dtype;

  __host__ Sink(const View& view) : bytes(view.bytes), dtype(view.dtype) {}
  __device__ Sink(void* bytes, DType dtype) : bytes(bytes), dtype(dtype) {}

  __device__ __forceinline__ void store(int64_t i, float value) const {
    if (dtype == DType::f32) static_cast<float*>(bytes)[i] = value;
    else if (dtype == DType::bf16) static_cast<bf16*>(bytes)[i] = numberOf<bf16>(value);
    else static_cast<f16*>(bytes)[i] = numberOf<f16>(value);
  }
  template <int width>
  __device__ __forceinline__ void store(int64_t i, const float (&v)[width]) const {
    if constexpr (width == 1) store(i, v[0]);
    else store8(i, v);
  }
  __device__ __forceinline__ void store8(int64_t i, const float (&v)[8]) const {
    if (dtype == DType::f32) {
      float4* to = reinterpret_cast<float4*>(static_cast<float*>(bytes) + i);
      to[0] = {v[0], v[1], v[2], v[3]};
      to[1] = {v[4], v[5], v[6], v[7]};
    } else {
      *reinterpret_cast<uint4*>(static_cast<uint16_t*>(bytes) + i) =
          dtype == DType::bf16 ? pack8<bf16>(v) : pack8<f16>(v);
    }
  }
};

// Whether rows of `cols` elements that start at `view` may be read eight at a time.
inline bool inEights(const View& view, int64_t cols) {
  return cols % 8 == 0 && reinterpret_cast<uintptr_t>(view.bytes) % 16 == 0;
}

}  // namespace cuda
