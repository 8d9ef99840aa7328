// Block formats to a floating-point format.
#pragma once
#include "../kernel.h"

// clang-format off
#define KERNELS_quant(KERNEL)                                                                                          \
  KERNEL(dequantize, Out out, In x)
// clang-format on

DECLARE_KERNELS(quant)
