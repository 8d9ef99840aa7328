// One chunk of the gated delta rule in a block's shared memory; the formulas are those of native/cpu/recurrent/delta-chunk.h.
//
// All of it is f32 on the ordinary units. Rows are tokens; their steps are odd where threads walk along columns.
#pragma once
#include "../tools/functions.cuh"
#include "sequences.cuh"

namespace cuda {

struct DeltaShape {
  int dk, dv, keyHeads, heads, share;  // share: value heads of one key head
  DeltaShape(const View& k, const View& v)
      : dk(int(k.dim(2))),
        dv(int(v.dim(2))),
        keyHeads(int(k.dim(1))),
        heads(int(v.dim(1))),
        share(int(v.dim(1) / k.dim(1))) {}
};

struct DeltaInputs {
  Source q, k, v;
  const float *g, *beta;  // beta is null where nothing is erased
  DeltaShape shape;
};

// Hands out a block's shared memory.
struct SharedRoom {
  float* next;
  __device__ float* take(int count) {
    float* taken = next;
    next += count;
    return taken;
  }
};

// Runs body(i, j) for all i < rows and j < cols, neighbouring threads at neighbouring columns.
template <class Body>
__device__ __forceinline__ void eachPlace(int rows, int cols, Body&& body) {
  for (int at = int(threadIdx.x); at < rows * cols; at += int(blockDim.x)) body(at / cols, at % cols);
}

struct DeltaChunk {
  int most, keyStep, pairStep;  // `most` tokens; steps of q and k, and of the matrices [n, n]
  float *q, *k;                 // [n, dk]
  float *decay, *qk, *kk;       // [n, n]: D, q kᵀ, k kᵀ
  float *a, *beta, *gamma, *tau;

  __host__ __device__ static int floats(int most, int dk) {
    return 2 * most * (dk + 1) + 3 * most * (most + 1) + 4 * most;
  }
  __device__ DeltaChunk(SharedRoom& room, int most, int dk)
      : most(most),
        keyStep(dk + 1),
        pairStep(most + 1),
        q(room.take(most * keyStep)),
        k(room.take(most * keyStep)),
        decay(room.take(most * pairStep)),
        qk(room.take(most * pairStep)),
        kk(room.take(most * pairStep)),
        a(room.take(most)),
        beta(room.take(most)),
        gamma(room.take(most)),
        tau(room.take(most)) {}

  __device__ float p(int i, int j) const { return qk[i * pairStep + j] * decay[i * pairStep + j]; }
  __device__ float m(int i, int j) const { return kk[i * pairStep + j] * decay[i * pairStep + j]; }

  // `n` tokens from `token` on. The block meets before it and after it.
  __device__ void load(const DeltaInputs& in, int head, int token, int n) const {
    const DeltaShape& shape = in.shape;
    const int keyHead = head / shape.share;
    eachPlace(n, shape.dk, [&](int i, int c) {
      const int64_t at = (int64_t(token + i) * shape.keyHeads + keyHead) * shape.dk + c;
      q[i * keyStep + c] = in.q[at];
      k[i * keyStep + c] = in.k[at];
    });
    for (int i = int(threadIdx.x); i < n; i += int(blockDim.x)) {
      const int64_t at = int64_t(token + i) * shape.heads + head;
      a[i] = expf(in.g[at]);
      beta[i] = in.beta ? in.beta[at] : 0;
    }
    __syncthreads();
    for (int j = int(threadIdx.x); j < n; j += int(blockDim.x)) {
      float through = 1;
      for (int i = 0; i < n; i++) {
        if (i > j) through *= a[i];
        decay[i * pairStep + j] = i < j ? 0 : through;
      }
      tau[j] = through;
      if (j == 0)
        for (int i = 0; i < n; i++) gamma[i] = a[0] * decay[i * pairStep];
    }
    eachPlace(n, n, [&](int i, int j) {
      float asked = 0, met = 0;
      if (j <= i)
        for (int c = 0; c < shape.dk; c++) {
          asked += q[i * keyStep + c] * k[j * keyStep + c];
          if (in.beta) met += k[i * keyStep + c] * k[j * keyStep + c];
        }
      qk[i * pairStep + j] = asked;
      kk[i * pairStep + j] = met;
    });
    __syncthreads();
  }

  // Column j of u [n, step] holds diag(β) R and becomes U: (I + diag(β) M) U = diag(β) R. By one thread.
  __device__ void solve(float* u, int step, int j, int n) const {
    for (int i = 1; i < n; i++) {
      float sum = 0;
      for (int r = 0; r < i; r++) sum += m(i, r) * u[r * step + j];
      u[i * step + j] -= beta[i] * sum;
    }
  }
  // The transposed system, from the last row on.
  __device__ void solveTransposed(float* u, int step, int j, int n) const {
    for (int i = n - 2; i >= 0; i--) {
      float sum = 0;
      for (int r = i + 1; r < n; r++) sum += beta[r] * m(r, i) * u[r * step + j];
      u[i * step + j] -= sum;
    }
  }
};

// Which state is kept of chunk `i` of sequence `s`, among tokens / most + sequences states.
__device__ __forceinline__ int64_t chunkSlot(int begin, int most, int s, int i) {
  return int64_t(begin / most) + s + i;
}

}  // namespace cuda
