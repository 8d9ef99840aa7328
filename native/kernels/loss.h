// Cross-entropy of logits = softcap(x [tokens, dim] x weight [vocab, dim] transposed), which are never stored whole.
//
// targets i32 [tokens], and a target below 0 is left out; losses, lse f32 and likeliest i32 [tokens]; dx? is the
// gradient of the plain sum of losses. On the CPU a call takes `words` words from `first` on, for `tokens` of the tokens
// that have a target, and continues from what the calls for earlier words left in losses, lse, sums? f32 [tokens] and,
// for dx, weighted? f32 [tokens of a call, dim]; a GPU takes all at once. The backward adds into dweight, on the CPU for
// the rows of some words at a time.
#pragma once
#include "../kernel.h"

// clang-format off
#define KERNELS_loss(KERNEL)                                                                                           \
  KERNEL(linearCrossEntropy, Out losses, Out lse, Out likeliest, Out dx, Out sums, Out weighted, In x, In weight, In targets, float softcap, int token, int tokens, int first, int words) \
  KERNEL(linearCrossEntropyBackward, Out dweight, In dlosses, In x, In weight, In targets, In lse, float softcap, int first, int words)
// clang-format on

DECLARE_KERNELS(loss)
