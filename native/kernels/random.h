// Random numbers by Philox4x32-10: key = seed, counter = offset + element / 4.
#pragma once
#include "../kernel.h"

// clang-format off
#define KERNELS_random(KERNEL)                                                                                         \
  KERNEL(uniform, Out out, double seed, double offset, float low, float high)                                          \
  KERNEL(normal, Out out, double seed, double offset, float mean, float deviation)                                     \
  KERNEL(dropout, Out out, In x, double seed, double offset, float probability)
// clang-format on

DECLARE_KERNELS(random)
