// Depthwise causal convolution over packed sequences: x [tokens, channels], weight [channels, width], bias? [channels],
// boundaries i32 [seqs + 1].
//
// tails? [places, width - 1, channels] holds each sequence's last inputs; places i32 [seqs] says where, and the new tail
// replaces the old. Without tails a sequence begins with zeros. dweight? and dbias?.
#pragma once
#include "../kernel.h"

// clang-format off
#define KERNELS_conv(KERNEL)                                                                                           \
  KERNEL(causalConv, Out out, Out tails, In x, In weight, In bias, In boundaries, In places, bool silu)                \
  KERNEL(causalConvBackward, Out dx, Out dweight, Out dbias, In dout, In x, In weight, In bias, In boundaries, bool silu)
// clang-format on

DECLARE_KERNELS(conv)
