// Copies between formats and layouts; filling; gathering and scattering along an axis. All strided.
#pragma once
#include "../kernel.h"

// clang-format off
#define KERNELS_copy(KERNEL)                                                                                           \
  KERNEL(copy, Out out, In x)                                                                                          \
  KERNEL(fill, Out out, double value)                                                                                  \
  /* out[i][j][k] = x[i][index[i][j][k]][k] for axis 1, and so on; scatterAdd adds src into out */                     \
  KERNEL(gather, Out out, In x, In index, int axis)                                                                    \
  KERNEL(scatterAdd, Out out, In src, In index, int axis)
// clang-format on

DECLARE_KERNELS(copy)
