// Functions of one number, and their gradients. Contiguous.
#pragma once
#include "../kernel.h"

// clang-format off
#define KERNELS_elementwise(KERNEL)                                                                                    \
  KERNEL(neg, Out out, In x)                                                                                           \
  KERNEL(exp, Out out, In x)                                                                                           \
  KERNEL(log, Out out, In x)                                                                                           \
  KERNEL(sqrt, Out out, In x)                                                                                          \
  KERNEL(rsqrt, Out out, In x)                                                                                         \
  KERNEL(abs, Out out, In x)                                                                                           \
  KERNEL(sin, Out out, In x)                                                                                           \
  KERNEL(cos, Out out, In x)                                                                                           \
  KERNEL(tanh, Out out, In x)                                                                                          \
  KERNEL(sigmoid, Out out, In x)                                                                                       \
  KERNEL(relu, Out out, In x)                                                                                          \
  KERNEL(softplus, Out out, In x)                                                                                      \
  KERNEL(silu, Out out, In x)                                                                                          \
  KERNEL(gelu, Out out, In x)                                                                                          \
  KERNEL(geluTanh, Out out, In x)                                                                                      \
  KERNEL(siluBackward, Out dx, In dout, In x)                                                                          \
  KERNEL(geluBackward, Out dx, In dout, In x)                                                                          \
  KERNEL(geluTanhBackward, Out dx, In dout, In x)                                                                      \
  KERNEL(affine, Out out, In x, float scale, float shift)                                                              \
  KERNEL(power, Out out, In x, float exponent)                                                                         \
  KERNEL(clamp, Out out, In x, float low, float high)
// clang-format on

DECLARE_KERNELS(elementwise)
