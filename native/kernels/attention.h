// Attention over packed sequences: q [tokens, heads, d], k and v [tokens, kvHeads, d], boundaries i32 [seqs + 1],
// lse f32 [heads, tokens].
//
// q, k, v are token and head strided; on the CPU out and the gradients too, so that a call may have some of the heads.
// With a window a query sees itself and window - 1 keys before it, and as many after it unless causal; 0 is no window.
// softcap 0 is none.
#pragma once
#include "../kernel.h"

// clang-format off
#define KERNELS_attention(KERNEL)                                                                                      \
  KERNEL(attention, Out out, Out lse, In q, In k, In v, In boundaries, float scale, bool causal, int window, float softcap) \
  KERNEL(attentionBackward, Out dq, Out dk, Out dv, In dout, In q, In k, In v, In out, In lse, In boundaries, float scale, bool causal, int window, float softcap)
// clang-format on

DECLARE_KERNELS(attention)
