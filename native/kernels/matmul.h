// out [.., M, N] = activation(a [.., M, K] x b [.., K, N] + bias? [N]) + residual?
//
// a and b are strided; a batch stride may be 0. The residual lies as out does, perhaps in another format; it may be out.
#pragma once
#include "../activation.h"
#include "../kernel.h"

// clang-format off
#define KERNELS_matmul(KERNEL)                                                                                         \
  KERNEL(matmul, Out out, In a, In b, In bias, In residual, Activation activation)
// clang-format on

DECLARE_KERNELS(matmul)
