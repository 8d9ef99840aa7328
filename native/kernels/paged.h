// The paged key-value cache: caches [blocks, kvHeads, blockSize, d], lengths i32 [seqs] with the new keys included.
//
// slots i32 [tokens] = block * blockSize + place, and a slot below 0 is skipped; blockTables i32 [seqs, maxBlocks].
// Always causal. lse? f32 [heads, tokens], -inf where there are no keys.
#pragma once
#include "../kernel.h"

// clang-format off
#define KERNELS_paged(KERNEL)                                                                                          \
  KERNEL(pagedAppend, Out kCache, Out vCache, In k, In v, In slots)                                                    \
  KERNEL(pagedAttention, Out out, Out lse, In q, In kCache, In vCache, In blockTables, In boundaries, In lengths, float scale, int window, float softcap)
// clang-format on

DECLARE_KERNELS(paged)
