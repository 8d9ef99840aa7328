// Functions of two numbers. Tensors broadcast by strides: a stride of 0 repeats.
#pragma once
#include "../kernel.h"

// clang-format off
#define KERNELS_binary(KERNEL)                                                                                         \
  KERNEL(add, Out out, In a, In b)                                                                                     \
  KERNEL(sub, Out out, In a, In b)                                                                                     \
  KERNEL(mul, Out out, In a, In b)                                                                                     \
  KERNEL(div, Out out, In a, In b)                                                                                     \
  KERNEL(maximum, Out out, In a, In b)                                                                                 \
  KERNEL(minimum, Out out, In a, In b)                                                                                 \
  KERNEL(equal, Out out, In a, In b)                                                                                   \
  KERNEL(less, Out out, In a, In b)                                                                                    \
  KERNEL(lessEqual, Out out, In a, In b)                                                                               \
  KERNEL(where, Out out, In condition, In a, In b)
// clang-format on

DECLARE_KERNELS(binary)
