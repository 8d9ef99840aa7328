// Products of rows with one matrix for each group of them: a mixture of experts, whose rows are sorted by expert.
//
// segments i32 [groups + 1]: where each group's rows begin, and the end of the last. b is strided along its last two axes,
// the rest contiguous.
#pragma once
#include "../kernel.h"

// clang-format off
#define KERNELS_grouped(KERNEL)                                                                                        \
  /* out [rows, N] = scale * a [rows, K] x b[g] [groups, K, N] + bias?[g] [groups, N] + residual?, g being a row's     \
     group. Row i of a and out is row first + i of the segments; the residual may be out */                            \
  KERNEL(groupedMatmul, Out out, In a, In b, In bias, In residual, In segments, int first, float scale)                \
  /* out [groups, M, N] = scale * the sum over a group's rows of a [rows, M] transposed x b [rows, N] */               \
  KERNEL(groupedOuter, Out out, In a, In b, In segments, float scale)
// clang-format on

DECLARE_KERNELS(grouped)
