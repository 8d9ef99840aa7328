// Norms over the last axis, and their gradients; dweight? and dbias?. The scale is weight + shift (shift 1 for Gemma).
#pragma once
#include "../kernel.h"

// clang-format off
#define KERNELS_norm(KERNEL)                                                                                           \
  KERNEL(rmsNorm, Out out, In x, In weight, float eps, float shift)                                                    \
  KERNEL(rmsNormBackward, Out dx, Out dweight, In dout, In x, In weight, float eps, float shift)                       \
  KERNEL(layerNorm, Out out, In x, In weight, In bias, float eps)                                                      \
  KERNEL(layerNormBackward, Out dx, Out dweight, Out dbias, In dout, In x, In weight, float eps)
// clang-format on

DECLARE_KERNELS(norm)
