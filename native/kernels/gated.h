// Gated activations: f(gate) · up, and their gradients. Strided.
#pragma once
#include "../kernel.h"

// clang-format off
#define KERNELS_gated(KERNEL)                                                                                          \
  KERNEL(swiglu, Out out, In gate, In up)                                                                              \
  KERNEL(swigluBackward, Out dgate, Out dup, In dout, In gate, In up)                                                  \
  KERNEL(geglu, Out out, In gate, In up)                                                                               \
  KERNEL(gegluBackward, Out dgate, Out dup, In dout, In gate, In up)
// clang-format on

DECLARE_KERNELS(gated)
