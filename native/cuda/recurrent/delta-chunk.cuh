// One chunk of the gated delta rule in a block's shared memory; the formulas are those of native/cpu/recurrent/delta-chunk.h.
//
// Numbers are f32. Where q, k and v have 16 bits, products are on tensor cores in tf32 (see block-product.cuh); decays, the
// solve within 16 rows, states and all sums stay f32. Rows are tokens; their steps are such that neither the fragments of
// tensor cores nor threads along columns meet bank conflicts.
#pragma once
#include "../tools/block-product.cuh"
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
  bool eights;  // rows of q and k may be read eight at a time

  DeltaInputs(const View& q, const View& k, const View& v, const View& g, const View& beta)
      : q(q),
        k(k),
        v(v),
        g(g.data<float>()),
        beta(beta ? beta.data<float>() : nullptr),
        shape(k, v),
        eights(inEights(q, shape.dk) && inEights(k, shape.dk)) {}
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

// The step of rows of `count` numbers.
template <bool onTensorCores>
__host__ __device__ constexpr int stepOf(int count) {
  return count + (onTensorCores ? 4 : 1);
}

template <bool onTensorCores>
struct DeltaChunk {
  static constexpr int block = 16;  // rows that are solved together

  int most, keyStep, pairStep;  // `most` tokens; steps of q and k, and of the matrices [n, n]
  float *q, *k;                 // [n, dk]
  float *decay, *qk, *kk;       // [n, n]: D, q kᵀ, k kᵀ
  float *a, *beta, *gamma, *tau;

  __host__ __device__ static int floats(int most, int dk) {
    return 2 * most * stepOf<onTensorCores>(dk) + 3 * most * stepOf<onTensorCores>(most) + 4 * most;
  }
  __device__ DeltaChunk(SharedRoom& room, int most, int dk)
      : most(most),
        keyStep(stepOf<onTensorCores>(dk)),
        pairStep(stepOf<onTensorCores>(most)),
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
  // Row i of k with q's rows behind it.
  __device__ float keyOrQuery(int i, int n, int c) const {
    return i < n ? k[i * keyStep + c] : q[(i - n) * keyStep + c];
  }

  // `n` tokens from `token` on. The block meets before it and after it.
  __device__ void load(const DeltaInputs& in, int head, int token, int n) const {
    const DeltaShape& shape = in.shape;
    const int keyHead = head / shape.share;
    const auto rowAt = [&](int i) { return (int64_t(token + i) * shape.keyHeads + keyHead) * shape.dk; };
    if (onTensorCores && in.eights) {
      eachPlace(n, shape.dk / 8, [&](int i, int eight) {
        const auto copy = [&](float* rows, const Source& from) {
          float v[8];
          from.load8(rowAt(i) + 8 * eight, v);
          float4* to = reinterpret_cast<float4*>(rows + i * keyStep + 8 * eight);
          to[0] = {v[0], v[1], v[2], v[3]};
          to[1] = {v[4], v[5], v[6], v[7]};
        };
        copy(q, in.q);
        copy(k, in.k);
      });
    } else {
      eachPlace(n, shape.dk, [&](int i, int c) {
        q[i * keyStep + c] = in.q[rowAt(i) + c];
        k[i * keyStep + c] = in.k[rowAt(i) + c];
      });
    }
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
    blockProduct<onTensorCores>(
        2 * n, n, shape.dk, [&](int i, int c) { return keyOrQuery(i, n, c); },
        [&](int c, int j) { return k[j * keyStep + c]; },
        [&](int i, int j, float sum) { (i < n ? kk + i * pairStep : qk + (i - n) * pairStep)[j] = sum; });
    __syncthreads();
  }

  // Columns of u [n, step] hold diag(β) R and become U: (I + diag(β) M) U = diag(β) R. The block meets before it and after it.
  __device__ void solve(float* u, int step, int cols, int n) const {
    for (int first = 0; first < n; first += block) {
      const int rows = n - first < block ? n - first : block;
      if (first > 0) {
        blockProduct<onTensorCores>(
            rows, cols, first, [&](int i, int r) { return beta[first + i] * m(first + i, r); },
            [&](int r, int j) { return u[r * step + j]; },
            [&](int i, int j, float sum) { u[(first + i) * step + j] -= sum; });
        __syncthreads();
      }
      for (int j = int(threadIdx.x); j < cols; j += int(blockDim.x)) {
        float* column = u + first * step + j;
        float x[block];
#pragma unroll
        for (int i = 0; i < block; i++) {
          if (i >= rows) break;
          float sum = 0;
#pragma unroll
          for (int r = 0; r < i; r++) sum += m(first + i, first + r) * x[r];
          column[i * step] = x[i] = column[i * step] - beta[first + i] * sum;
        }
      }
      __syncthreads();
    }
  }
  // The transposed system, of at most `block` rows, from the last one on.
  __device__ void solveTransposed(float* u, int step, int cols, int n) const {
    for (int j = int(threadIdx.x); j < cols; j += int(blockDim.x)) {
      float x[block];
#pragma unroll
      for (int i = block - 1; i >= 0; i--) {
        if (i >= n) continue;
        float sum = 0;
#pragma unroll
        for (int r = i + 1; r < block; r++)
          if (r < n) sum += beta[r] * m(r, i) * x[r];
        u[i * step + j] = x[i] = u[i * step + j] - sum;
      }
    }
    __syncthreads();
  }
};

// Which state is kept of chunk `i` of sequence `s`, among tokens / most + sequences states.
__device__ __forceinline__ int64_t chunkSlot(int begin, int most, int s, int i) {
  return int64_t(begin / most) + s + i;
}

}  // namespace cuda
