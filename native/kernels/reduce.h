// Reductions. `out` has x's rank, with size 1 on each reduced axis; argmax and argmin reduce the last axis to i32.
#pragma once
#include "../kernel.h"

// clang-format off
#define KERNELS_reduce(KERNEL)                                                                                         \
  KERNEL(sum, Out out, In x)                                                                                           \
  KERNEL(max, Out out, In x)                                                                                           \
  KERNEL(min, Out out, In x)                                                                                           \
  KERNEL(argmax, Out out, In x)                                                                                        \
  KERNEL(argmin, Out out, In x)                                                                                        \
  /* the k largest of each row, largest first, ties by place: values [rows, k], places i32 [rows, k] */                \
  KERNEL(topk, Out values, Out places, In x)
// clang-format on

DECLARE_KERNELS(reduce)
