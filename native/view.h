// View: what a kernel sees of a Tensor. Bytes, format, shape and strides; it owns nothing and is cheap to copy.
//
// The types in a kernel's signature say how it uses an argument: `Out` is written (or updated in place), `In` is only
// read. An optional argument that was left out has no bytes and converts to false.
#pragma once
#include <array>
#include <cstdint>
#include "formats.h"

constexpr int maxRank = 6;

struct View {
  void* bytes = nullptr;
  DType dtype = DType::f32;
  int rank = 0;
  std::array<int64_t, maxRank> shape{}, strides{};  // strides count elements, not bytes

  explicit operator bool() const { return bytes != nullptr; }
  template <class T>
  T* data() const {
    return static_cast<T*>(bytes);
  }

  int64_t dim(int i) const { return shape[i < 0 ? rank + i : i]; }
  int64_t stride(int i) const { return strides[i < 0 ? rank + i : i]; }
  int64_t size() const {
    int64_t n = 1;
    for (int i = 0; i < rank; i++) n *= shape[i];
    return n;
  }
  // The size of the last axis, and of all the others together. A scalar is one row of one column.
  int64_t cols() const { return rank == 0 ? 1 : shape[rank - 1]; }
  int64_t rows() const {
    int64_t n = 1;
    for (int i = 0; i + 1 < rank; i++) n *= shape[i];
    return n;
  }
  bool contiguous() const {
    int64_t expected = 1;
    for (int i = rank - 1; i >= 0; i--) {
      if (shape[i] == 1) continue;
      if (strides[i] != expected) return false;
      expected *= shape[i];
    }
    return true;
  }
};

struct In : View {};
struct Out : View {};

// Several tensors in one call, for updates that touch many small ones.
template <class T>
struct List {
  const T* items = nullptr;
  int count = 0;
  const T& operator[](int i) const { return items[i]; }
  const T* begin() const { return items; }
  const T* end() const { return items + count; }
};
using Ins = List<In>;
using Outs = List<Out>;
