// The families of kernels, each with a header in native/kernels/ and the same stem on both devices.
#pragma once

// A table: clang-format breaks it another way each time.
// clang-format off
#define FAMILIES(FAMILY) \
  FAMILY(adamw) FAMILY(attention) FAMILY(binary) FAMILY(conv) FAMILY(copy) FAMILY(delta) FAMILY(elementwise) \
  FAMILY(embedding) FAMILY(experts) FAMILY(gated) FAMILY(grouped) FAMILY(lora) FAMILY(loss) FAMILY(matmul) FAMILY(norm) \
  FAMILY(paged) FAMILY(quant) FAMILY(random) FAMILY(reduce) FAMILY(rope) FAMILY(sample) FAMILY(softmax)
// clang-format on
