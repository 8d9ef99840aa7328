// Mixture of experts around the experts' own products: which experts a token is sent to, its rows sorted by expert, and the
// experts' results added up.
//
// logits [tokens, experts], bias? f32 [experts], weights f32 and chosen i32 [tokens, k]. Of `groups` equal groups of
// experts those `kept` remain whose `best` largest scores have the greatest sum.
#pragma once
#include "../kernel.h"

// clang-format off
#define KERNELS_experts(KERNEL)                                                                                        \
  /* scores are sigmoid or softmax of the logits; the k largest of score + bias are chosen, ties by place; weights =    \
     scale * score, divided by max(sum of the chosen scores + epsilon, least) where `normalize` */                     \
  KERNEL(route, Out weights, Out chosen, In logits, In bias, bool sigmoid, bool normalize, float epsilon, float least, float scale, int groups, int kept, int best) \
  KERNEL(routeBackward, Out dlogits, In dweights, In logits, In chosen, bool sigmoid, bool normalize, float epsilon, float least, float scale) \
  /* a row for each choice, by expert, those of one expert by token: rows i32 [tokens * k] = the token of each row;    \
     places i32 [tokens, k] = the row of each choice; segments i32 [experts + 1] = where each expert's rows begin */    \
  KERNEL(sortByExpert, Out rows, Out places, Out segments, In chosen)                                                  \
  /* out [tokens, dim] = sum over the choices of weights? * x[places], in their order, + residual? */                  \
  KERNEL(combineExperts, Out out, In x, In weights, In places, In residual)                                            \
  KERNEL(combineExpertsBackward, Out dx, Out dweights, In dout, In x, In weights, In places)
// clang-format on

DECLARE_KERNELS(experts)
