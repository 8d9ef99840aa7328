// Softmax and log-softmax over the last axis, and their gradients from the outputs.
#pragma once
#include "../kernel.h"

// clang-format off
#define KERNELS_softmax(KERNEL)                                                                                        \
  KERNEL(softmax, Out out, In x)                                                                                       \
  KERNEL(softmaxBackward, Out dx, In dout, In out)                                                                     \
  KERNEL(logSoftmax, Out out, In x)                                                                                    \
  KERNEL(logSoftmaxBackward, Out dx, In dout, In out)
// clang-format on

DECLARE_KERNELS(softmax)
