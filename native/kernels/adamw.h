// AdamW over all tensors of one step in one call. Gradients are scaled by min(1, maxNorm / sqrt(norm?)), with norm from
// squaredNorm.
#pragma once
#include "../kernel.h"

// clang-format off
#define KERNELS_adamw(KERNEL)                                                                                          \
  KERNEL(squaredNorm, Out out, Ins tensors)                                                                            \
  KERNEL(adamw, Outs parameters, Outs moments, Outs variances, Ins gradients, In norm, float maxNorm, double learningRate, double beta1, double beta2, double eps, double weightDecay, double step)
// clang-format on

DECLARE_KERNELS(adamw)
