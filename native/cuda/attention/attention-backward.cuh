// What the kernels of attention's gradient share.
//
//   p = 2^(score - lse),  D = Σ dout · out,  dscore = p · (dout · v - D)
//   dv = pᵀ dout,  dk = dproductᵀ q,  dq = dproduct k,  dproduct = dscore · slope of the score by the product q·k
//
// One kernel owns a tile of keys and lets all rows that see them pass by: the rows of all query heads of the group, so
// that dk and dv come out whole. Another owns a tile of rows and lets keys pass by. The products are computed twice, but
// every sum has one owner and one order: results never depend on timing, and training can be resumed bit by bit.
#pragma once
#include "../device/launch.h"
#include "attention-spans.cuh"

namespace cuda {

struct Backward {
  View dq, dk, dv, dout, q, k, v;
};

struct Gradient {
  Strides dq, dk, dv, dout, q, k, v;
  Sequences sequences;
  Scoring scoring;
  int kvHeads, group, d;
  const float2* stats;  // [kvHeads, tokens · group]: lse as an exponent of 2, and D

  Gradient(const Backward& x, const Sequences& sequences, const Scoring& scoring, const float2* stats)
      : dq(x.dq),
        dk(x.dk),
        dv(x.dv),
        dout(x.dout),
        q(x.q),
        k(x.k),
        v(x.v),
        sequences(sequences),
        scoring(scoring),
        kvHeads(int(x.k.dim(1))),
        group(int(x.q.dim(1)) / kvHeads),
        d(int(x.q.dim(2))),
        stats(stats) {}

  // Of row r of a span. A row that is not there has lse = inf: its probabilities are 0.
  __device__ float2 statsOf(const Span& span, int kvHead, int r) const {
    if (r >= span.queries * group) return {INFINITY, 0};
    return stats[(int64_t(kvHead) * sequences.tokens + span.token) * group + r];
  }
  // The rows that see some of keys [key, key + count).
  __device__ KeyRange rowsOf(const Span& span, int key, int count) const {
    const int last = least(key + count, span.keys) - 1;
    const int first = scoring.causal ? key : scoring.firstKey(key);
    const int end = scoring.window > 0 && last < span.queries - scoring.window ? last + scoring.window : span.queries;
    return {first * group, end * group};
  }
};

}  // namespace cuda
