// Sampling the next token of each row of logits.
//
// options f32 [rows, 4] = temperature (0 is greedy), top-k (0 is off), top-p, min-p; seeds i32 [rows, 2]; steps i32
// [rows] is the random counter. A row that holds NaN gives -1, a row of nothing but -inf gives -2.
#pragma once
#include "../kernel.h"

// clang-format off
#define KERNELS_sample(KERNEL)                                                                                         \
  KERNEL(sample, Out tokens, In logits, In options, In seeds, In steps)                                                \
  /* divides or multiplies the logits of seen tokens; a token below 0 is padding */                                    \
  KERNEL(penalize, Out logits, In tokens, In penalties)
// clang-format on

DECLARE_KERNELS(sample)
