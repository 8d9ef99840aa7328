// out [tokens, dim] = weight[ids]. The gradient is added into dweight.
#pragma once
#include "../kernel.h"

// clang-format off
#define KERNELS_embedding(KERNEL)                                                                                      \
  KERNEL(embedding, Out out, In weight, In ids)                                                                        \
  KERNEL(embeddingBackward, Out dweight, In dout, In ids)
// clang-format on

DECLARE_KERNELS(embedding)
