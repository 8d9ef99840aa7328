// The gated delta rule over packed sequences: q, k [tokens, keyHeads, dk], v [tokens, heads, dv], g and beta? f32
// [tokens, heads], boundaries i32 [seqs + 1]. All contiguous. Value head h uses key head h / (heads / keyHeads). Without
// beta values are written as they are and nothing is erased, as in Mamba-2; then there is no dbeta.
//
// states? f32 [places, heads, dk, dv] is read and replaced at places i32 [seqs]; without it a sequence begins with zeros.
#pragma once
#include "../kernel.h"

// clang-format off
#define KERNELS_delta(KERNEL)                                                                                          \
  KERNEL(gatedDelta, Out out, Out states, In q, In k, In v, In g, In beta, In boundaries, In places)                   \
  KERNEL(gatedDeltaBackward, Out dq, Out dk, Out dv, Out dg, Out dbeta, In dout, In q, In k, In v, In g, In beta, In boundaries)
// clang-format on

DECLARE_KERNELS(delta)
