// LoRA: out = x W' + bias? + scaling (x A') B' + residual?, with hidden [tokens, r] = x A', W [out, in], A [r, in],
// B [out, r].
#pragma once
#include "../kernel.h"

// clang-format off
#define KERNELS_lora(KERNEL)                                                                                           \
  KERNEL(loraLinear, Out out, Out hidden, In x, In weight, In bias, In residual, In a, In b, float scaling)            \
  KERNEL(loraLinearBackward, Out dx, Out da, Out db, In dout, In x, In weight, In a, In b, In hidden, float scaling)   \
  /* adds scaling B A to the weight */                                                                                 \
  KERNEL(loraMerge, Out weight, In a, In b, float scaling)                                                             \
  /* many adapters: adds scalings[s] * (x A[s]') B[s]' to out's rows of each slot; other rows keep their values.       \
     a [slots, r, in], b [slots, out, r], of which slot s uses the first ranks[s], i32 [slots]; order i32 [tokens] =   \
     token rows by slot; segments i32 [slots + 1] = where each slot's rows begin in order */                           \
  KERNEL(loraGrouped, Out out, In x, In a, In b, In ranks, In scalings, In order, In segments)
// clang-format on

DECLARE_KERNELS(lora)
