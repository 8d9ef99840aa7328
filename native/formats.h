// Number formats: what a Tensor's elements are, and the ways from the run-time format to its C++ type.
//
// Each family has a header in native/formats/, which lists its members; here they are joined. Block formats are storage
// only: `dequantize` turns them into a computing format.
#pragma once
#include <cstdint>
#include <stdexcept>
#include <string>
#include "formats/float.h"
#include "formats/integer.h"
#include "formats/mx.h"
#include "formats/q4.h"
#include "formats/q8.h"

#define PLAIN_FORMATS(FORMAT) FORMATS_float(FORMAT) FORMATS_integer(FORMAT)
#define BLOCK_FORMATS(FORMAT) FORMATS_q8(FORMAT) FORMATS_q4(FORMAT) FORMATS_mx(FORMAT)

#define NAME(name, ...) name,
enum class DType : uint8_t { PLAIN_FORMATS(NAME) BLOCK_FORMATS(NAME) };
#undef NAME

struct Format {
  const char* name;
  int blockElements;  // 1 for plain formats
  int blockBytes;
  int alignment;  // in bytes, of its first element in memory
};

#define PLAIN(name, text, T) {text, 1, sizeof(T), alignof(T)},
#define BLOCK(name) {#name, name::elements, name::bytes, name::alignment},
constexpr Format formats[] = {PLAIN_FORMATS(PLAIN) BLOCK_FORMATS(BLOCK)};
#undef PLAIN
#undef BLOCK

constexpr const Format& format(DType dtype) { return formats[int(dtype)]; }

#define CASE(name, text, T) \
  case DType::name: return body(T{});

// Calls `body` with a value of the C++ type of a floating-point `dtype`.
template <class Body>
decltype(auto) visitFloat(DType dtype, Body&& body) {
  switch (dtype) { FORMATS_float(CASE) default : throw std::runtime_error("takes floating-point tensors only"); }
}

// Calls `body` with a value of the C++ type of any plain `dtype`.
template <class Body>
decltype(auto) visit(DType dtype, Body&& body) {
  switch (dtype) { FORMATS_integer(CASE) default : return visitFloat(dtype, body); }
}

#undef CASE

// Calls `body` with a value of the struct of a block `dtype`.
template <class Body>
decltype(auto) visitBlock(DType dtype, Body&& body) {
  switch (dtype) {
#define CASE(name) \
  case DType::name: return body(name{});
    BLOCK_FORMATS(CASE)
#undef CASE
    default: throw std::runtime_error(std::string("takes a block format, got ") + format(dtype).name);
  }
}
