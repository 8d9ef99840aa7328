// Rotary position embedding: x [tokens, heads, headDim] (token and head strided), positions i32 [tokens],
// frequencies f32 [rotary / 2]. Angles times `sign` (-1 is the gradient), cos and sin times `factor`.
#pragma once
#include "../kernel.h"

// clang-format off
#define KERNELS_rope(KERNEL)                                                                                           \
  KERNEL(rope, Out out, In x, In positions, In frequencies, float factor, float sign, bool interleaved)
// clang-format on

DECLARE_KERNELS(rope)
