// One chunk of the gated delta rule (Yang et al., "Gated Delta Networks", 2024), for one value head.
//
//   S ← a_t S;   u_t = β_t (v_t - Sᵀ k_t);   S ← S + k_t u_tᵀ;   o_t = Sᵀ q_t        a_t = e^g_t, S [dk, dv]
//
// Without β nothing is erased: u_t = v_t, the scan of Mamba-2 (Dao and Gu, "Transformers are SSMs", 2024). Then there is no
// M and no system to solve.
//
// and for the n tokens of a chunk at once, with γ_i = a_1 ⋯ a_i, τ_j = a_{j+1} ⋯ a_n, D_ij = a_{j+1} ⋯ a_i (i ≥ j, else 0):
//
//   P = q kᵀ ⊙ D   M = k kᵀ ⊙ D below the diagonal   R = v - γ ⊙ (k S)
//   (I + diag(β) M) U = diag(β) R    o = γ ⊙ (q S) + P U    S' = γ_n S + kᵀ (τ ⊙ U)
//
// Decays are products of factors of at most 1: no exponent is positive and no large sums are subtracted.
#pragma once
#include <algorithm>
#include "product.h"

namespace cpu::CPU_ISA {

constexpr int64_t chunkTokens = 64;

// Hands out panels of one piece of memory; without memory it only counts.
class Room {
 public:
  explicit Room(float* memory = nullptr) : memory_(memory) {}
  Panel panel(int64_t rows, int64_t cols) {
    const Panel made{next(), padded(cols)};
    taken_ += rows * made.step;
    return made;
  }
  float* row(int64_t count) { return panel(1, count).data; }
  float* next() const { return memory_ ? memory_ + taken_ : nullptr; }
  int64_t taken() const { return taken_; }

 private:
  float* memory_;
  int64_t taken_ = 0;
};

// The sizes of one head.
struct HeadSizes {
  int64_t dk, dv;
  Panel state(Room& room) const { return room.panel(dk, dv); }
};

// The keys and queries of a chunk.
struct Keys {
  Panel q, k;  // [n, dk]
  Keys(Room& room, const HeadSizes& sizes)
      : q(room.panel(chunkTokens, sizes.dk)), k(room.panel(chunkTokens, sizes.dk)) {}
};

// What the tokens of a chunk have with each other, which several value heads share.
struct Pairs {
  Panel qk, kk;  // [n, n]; kk only where values are erased

  void multiply(const Keys& keys, const Panel& turned, int64_t n, int64_t dk, bool erases) const {
    transpose(turned, keys.k, n, dk);
    product(qk, keys.q, turned, n, dk, n);
    if (erases) product(kk, keys.k, turned, n, dk, n);
  }
};

// A value head's decays and mixing matrices.
struct Mixing {
  float *beta, *a, *gamma, *tau;  // [n]
  Panel decay, p, m;              // [n, n]: D, P, M, whole rows, zeros above the diagonal

  explicit Mixing(Room& room)
      : beta(room.row(chunkTokens)),
        a(room.row(chunkTokens)),
        gamma(room.row(chunkTokens)),
        tau(room.row(chunkTokens)),
        decay(room.panel(chunkTokens, chunkTokens)),
        p(room.panel(chunkTokens, chunkTokens)),
        m(room.panel(chunkTokens, chunkTokens)) {}

  // The logarithms g of the decays, and β or null; `step` numbers from token to token.
  void fill(const Pairs& pairs, const float* g, const float* strengths, int64_t step, int64_t n) const {
    float through = 1;
    for (int64_t i = 0; i < n; i++) {
      a[i] = std::exp(g[i * step]);
      gamma[i] = through *= a[i];
      for (int64_t j = 0; j < i; j++) decay(i, j) = decay(i - 1, j) * a[i];
      decay(i, i) = 1;
      for (int64_t j = i + 1; j < n; j++) decay(i, j) = 0;
      for (int64_t j = 0; j < n; j++) p(i, j) = j <= i ? pairs.qk(i, j) * decay(i, j) : 0;
      if (!strengths) continue;
      beta[i] = strengths[i * step];
      for (int64_t j = 0; j < n; j++) m(i, j) = j < i ? pairs.kk(i, j) * decay(i, j) : 0;
    }
    for (int64_t i = 0; i < n; i++) tau[i] = decay(n - 1, i);
  }
};

// u [n, dv] holds diag(β) R and becomes U: (I + diag(β) M) U = diag(β) R, row after row.
inline void solve(const Mixing& mixing, const Panel& u, int64_t n, int64_t dv) {
  for (int64_t i = 1; i < n; i++)
    for (int64_t j = 0; j < dv; j += lanes) {
      Floats sum{};
      for (int64_t m = 0; m < i; m++) sum = fma(splat(mixing.m(i, m)), load(u.row(m) + j), sum);
      store(u.row(i) + j, load(u.row(i) + j) - mixing.beta[i] * sum);
    }
}

// The transposed system: u [n, dv] becomes X of (I + diag(β) M)ᵀ X = u, from the last row on.
inline void solveTransposed(const Mixing& mixing, const Panel& u, int64_t n, int64_t dv) {
  for (int64_t i = n - 1; i-- > 0;)
    for (int64_t j = 0; j < dv; j += lanes) {
      Floats sum{};
      for (int64_t m = i + 1; m < n; m++) sum = fma(splat(mixing.beta[m] * mixing.m(m, i)), load(u.row(m) + j), sum);
      store(u.row(i) + j, load(u.row(i) + j) - sum);
    }
}

// to_i = factors_i · from_i
inline void scaleRows(const Panel& to, const float* factors, const Panel& from, int64_t rows, int64_t cols) {
  for (int64_t i = 0; i < rows; i++)
    for (int64_t j = 0; j < cols; j += lanes) store(to.row(i) + j, factors[i] * load(from.row(i) + j));
}
inline void scale(const Panel& panel, float factor, int64_t rows, int64_t cols) {
  for (int64_t i = 0; i < rows; i++)
    for (int64_t j = 0; j < cols; j += lanes) store(panel.row(i) + j, factor * load(panel.row(i) + j));
}

// u = diag(β) R, and R in `rest` where it is wanted. v [n, dv]; u may be v.
inline void writes(const Mixing& mixing, const Keys& keys, const Panel& state, const Panel& v, const Panel& read,
                   const Panel& u, const Panel* rest, int64_t n, const HeadSizes& sizes) {
  product(read, keys.k, state, n, sizes.dk, sizes.dv);
  for (int64_t i = 0; i < n; i++)
    for (int64_t j = 0; j < sizes.dv; j += lanes) {
      const Floats r = load(v.row(i) + j) - mixing.gamma[i] * load(read.row(i) + j);
      if (rest) store(rest->row(i) + j, r);
      store(u.row(i) + j, mixing.beta[i] * r);
    }
}

// S ← γ_n S + kᵀ (τ ⊙ U); `scaled` [n, dv] is room.
inline void advance(const Mixing& mixing, const Keys& keys, const Panel& state, const Panel& u, const Panel& scaled,
                    int64_t n, const HeadSizes& sizes) {
  scaleRows(scaled, mixing.tau, u, n, sizes.dv);
  scale(state, mixing.gamma[n - 1], sizes.dk, sizes.dv);
  product<true>(state, Factor(keys.k).transposed(), scaled, sizes.dk, n, sizes.dv);
}

}  // namespace cpu::CPU_ISA
