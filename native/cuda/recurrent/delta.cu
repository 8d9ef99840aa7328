// The gated delta rule over packed sequences, and its gradients: see native/cpu/recurrent/delta-chunk.h for the formulas.
//
//   q, k     [tokens, keyHeads, dk]   v, out  [tokens, heads, dv]   g, beta?  f32 [tokens, heads]
//   states   f32 [places, heads, dk, dv]
//
// Forward, a block takes 32 columns of one head's state through all chunks of a sequence. Backward, it first does so and
// leaves the state before each chunk in scratch; then a block takes a head through the chunks in reverse. dq and dk of
// value heads that share a key head are added by a last kernel, in order. Products are those of the whole block.
#include "../../kernels/delta.h"
#include "../device/launch.h"
#include "../tools/reduce.cuh"
#include "delta-chunk.cuh"

namespace cuda {
namespace {

constexpr int sliceColumns = 32, forwardThreads = 128, backwardThreads = 256;
constexpr int sliceStep = sliceColumns + 8;  // without bank conflicts in the fragments of tensor cores

struct States {
  float* kept;   // [places, heads, dk, dv], or null
  float* saved;  // [slots, heads, dk, dv]: the states before each chunk, or null
};

// Zeros for the tokens outside all sequences, by the blocks of the first sequence and the last.
template <class Clear>
__device__ void clearOutside(const PackedSequences& sequences, int s, Clear&& clear) {
  if (s == 0) clear(0, sequences.boundary(0));
  if (s == sequences.count - 1) clear(sequences.boundary(sequences.count), sequences.tokens);
}

template <bool onTensorCores>
__global__ __launch_bounds__(forwardThreads, 2) void deltaForward(Sink out, bool written, DeltaInputs in,
                                                                  PackedSequences sequences, States states, int most) {
  const DeltaShape& shape = in.shape;
  const bool erases = in.beta != nullptr;
  const int dk = shape.dk, dv = shape.dv, slices = (dv + sliceColumns - 1) / sliceColumns;
  const int first = int(blockIdx.x) % slices * sliceColumns, head = int(blockIdx.x) / slices % shape.heads;
  const int s = int(blockIdx.x) / slices / shape.heads, cols = dv - first < sliceColumns ? dv - first : sliceColumns;
  if (blockIdx.x == 0) sequences.check();
  const auto valueAt = [&](int token, int j) { return (int64_t(token) * shape.heads + head) * dv + first + j; };
  if (written)
    clearOutside(sequences, s, [&](int begin, int end) {
      eachPlace(end - begin, cols, [&](int i, int j) { out.store(valueAt(begin + i, j), 0); });
    });

  SharedRoom room{reinterpret_cast<float*>(ptx::sharedMemory())};
  const DeltaChunk<onTensorCores> chunk(room, most, dk);
  float* state = room.take(dk * sliceStep);
  float *u = room.take(most * sliceStep), *asked = room.take(most * sliceStep);
  const Sequence sequence = sequences[s];
  float* kept = states.kept && sequence.place >= 0
                    ? states.kept + (int64_t(sequence.place) * shape.heads + head) * dk * dv + first
                    : nullptr;
  eachPlace(dk, cols, [&](int c, int j) { state[c * sliceStep + j] = kept ? kept[int64_t(c) * dv + j] : 0; });

  for (int token = sequence.begin, number = 0; token < sequence.end; token += most, number++) {
    const int n = sequence.end - token < most ? sequence.end - token : most;
    __syncthreads();
    if (states.saved) {
      float* to = states.saved + (chunkSlot(sequence.begin, most, s, number) * shape.heads + head) * dk * dv + first;
      eachPlace(dk, cols, [&](int c, int j) { to[int64_t(c) * dv + j] = state[c * sliceStep + j]; });
    }
    chunk.load(in, head, token, n);
    // k S, and with results q S, of the state before the chunk
    blockProduct<onTensorCores>(
        written ? 2 * n : n, cols, erases || written ? dk : 0, [&](int i, int c) { return chunk.keyOrQuery(i, n, c); },
        [&](int c, int j) { return state[c * sliceStep + j]; },
        [&](int i, int j, float sum) {
          if (i >= n) {
            asked[(i - n) * sliceStep + j] = chunk.gamma[i - n] * sum;
          } else {
            const float value = in.v[valueAt(token + i, j)];
            u[i * sliceStep + j] = erases ? chunk.beta[i] * (value - chunk.gamma[i] * sum) : value;
          }
        });
    __syncthreads();
    if (erases) chunk.solve(u, sliceStep, cols, n);
    const auto writes = [&](int i, int j) { return u[i * sliceStep + j]; };
    if (written)
      blockProduct<onTensorCores>(
          n, cols, n, [&](int i, int r) { return chunk.p(i, r); }, writes,
          [&](int i, int j, float sum) { out.store(valueAt(token + i, j), asked[i * sliceStep + j] + sum); });
    blockProduct<onTensorCores>(
        dk, cols, n, [&](int c, int i) { return chunk.tau[i] * chunk.k[i * chunk.keyStep + c]; }, writes,
        [&](int c, int j, float sum) {
          float& held = state[c * sliceStep + j];
          held = chunk.gamma[n - 1] * held + sum;
        });
  }
  __syncthreads();
  if (kept) eachPlace(dk, cols, [&](int c, int j) { kept[int64_t(c) * dv + j] = state[c * sliceStep + j]; });
}

struct DeltaGradients {
  float *dq, *dk;  // [tokens, heads, dk], by value head
  Sink dv;
  float *dg, *dbeta;  // dbeta is null where nothing is erased
};

template <bool onTensorCores>
int backwardFloats(int most, const DeltaShape& shape) {
  const auto step = stepOf<onTensorCores>;
  return DeltaChunk<onTensorCores>::floats(most, shape.dk) + 4 * most * step(shape.dv) + 3 * most * step(shape.dk) +
         2 * most * step(most) + 2 * most + 32;
}

template <bool onTensorCores>
__global__ __launch_bounds__(backwardThreads, 1) void deltaReverse(DeltaGradients out, DeltaInputs in, Source dout,
                                                                   PackedSequences sequences, const float* saved,
                                                                   float* dstates, int most) {
  const DeltaShape& shape = in.shape;
  const int dk = shape.dk, dv = shape.dv, head = int(blockIdx.x) % shape.heads, s = int(blockIdx.x) / shape.heads;
  const bool erases = in.beta != nullptr;
  const int step = stepOf<onTensorCores>(dv), warp = int(threadIdx.x) / 32, lane = int(threadIdx.x) % 32;
  if (blockIdx.x == 0) sequences.check();
  const auto valueAt = [&](int token, int j) { return (int64_t(token) * shape.heads + head) * dv + j; };
  const auto gateAt = [&](int token) { return int64_t(token) * shape.heads + head; };
  clearOutside(sequences, s, [&](int begin, int end) {
    eachPlace(end - begin, dv, [&](int i, int j) { out.dv.store(valueAt(begin + i, j), 0); });
    eachPlace(end - begin, dk,
              [&](int i, int c) { out.dq[gateAt(begin + i) * dk + c] = out.dk[gateAt(begin + i) * dk + c] = 0; });
    eachPlace(end - begin, 1, [&](int i, int) {
      out.dg[gateAt(begin + i)] = 0;
      if (erases) out.dbeta[gateAt(begin + i)] = 0;
    });
  });

  SharedRoom room{reinterpret_cast<float*>(ptx::sharedMemory())};
  const DeltaChunk<onTensorCores> chunk(room, most, dk);
  const int keyStep = chunk.keyStep, pairStep = chunk.pairStep;
  float *grad = room.take(most * step), *u = room.take(most * step), *rest = room.take(most * step),
        *dx = room.take(most * step);
  float *asked = room.take(most * keyStep), *erased = room.take(most * keyStep), *wrote = room.take(most * keyStep);
  float *e = room.take(most * pairStep), *f = room.take(most * pairStep), *reads = room.take(most),
        *writes = room.take(most), *sums = room.take(32);
  const Sequence sequence = sequences[s];
  float* dstate = dstates + int64_t(blockIdx.x) * dk * dv;
  eachPlace(dk, dv, [&](int c, int j) { dstate[c * dv + j] = 0; });

  const int chunks = (sequence.end - sequence.begin + most - 1) / most;
  for (int number = chunks - 1; number >= 0; number--) {
    const int token = sequence.begin + number * most;
    const int n = sequence.end - token < most ? sequence.end - token : most;
    const float* state = saved + (chunkSlot(sequence.begin, most, s, number) * shape.heads + head) * dk * dv;
    const auto key = [&](int i, int c) { return chunk.k[i * keyStep + c]; };
    __syncthreads();
    chunk.load(in, head, token, n);
    eachPlace(n, dv, [&](int i, int j) { grad[i * step + j] = dout[valueAt(token + i, j)]; });
    __syncthreads();
    // R, diag(β) R, and dU = τ ⊙ (k dS') + Pᵀ dO
    blockProduct<onTensorCores>(
        n, dv, erases ? dk : 0, key, [&](int c, int j) { return state[c * dv + j]; },
        [&](int i, int j, float held) {
          const float left = in.v[valueAt(token + i, j)] - chunk.gamma[i] * held;
          rest[i * step + j] = left;
          u[i * step + j] = erases ? chunk.beta[i] * left : left;
        });
    blockProduct<onTensorCores>(
        n, dv, dk, key, [&](int c, int j) { return dstate[c * dv + j]; },
        [&](int i, int j, float later) { dx[i * step + j] = chunk.tau[i] * later; });
    blockProduct<onTensorCores>(
        n, dv, n, [&](int i, int r) { return chunk.p(r, i); }, [&](int r, int j) { return grad[r * step + j]; },
        [&](int i, int j, float now) { dx[i * step + j] += now; });
    __syncthreads();
    if (erases) {
      chunk.solve(u, step, dv, n);
      chunk.solveTransposed(dx, step, dv, n);
    }
    // E = dP ⊙ D, and dA in f
    blockProduct<onTensorCores, 2>(
        2 * n, n, dv, [&](int i, int c) { return i < n ? grad[i * step + c] : dx[(i - n) * step + c]; },
        [&](int c, int j) { return u[j * step + c]; },
        [&](int i, int j, float sum) {
          if (i < n) e[i * pairStep + j] = sum * chunk.decay[i * pairStep + j];
          else f[(i - n) * pairStep + j] = erases && j < i - n ? -sum : 0;
        });
    __syncthreads();
    for (int i = warp; erases && i < n; i += backwardThreads / 32) {
      float sum = 0;
      for (int c = lane; c < dv; c += 32) sum += dx[i * step + c] * rest[i * step + c];
      for (int j = lane; j < i; j += 32) sum += f[i * pairStep + j] * chunk.m(i, j);
      sum = warpReduce(sum, Sum());
      if (lane == 0) out.dbeta[gateAt(token + i)] = sum;
    }
    __syncthreads();
    eachPlace(n, n, [&](int i, int j) { f[i * pairStep + j] *= chunk.beta[i] * chunk.decay[i * pairStep + j]; });
    eachPlace(n, dv, [&](int i, int j) {
      const float dr = erases ? chunk.beta[i] * dx[i * step + j] : dx[i * step + j];
      dx[i * step + j] = dr;  // dR, which is dv too
      out.dv.store(valueAt(token + i, j), dr);
    });
    __syncthreads();

    // What reads the state before the chunk and what wrote the one behind it, [n, dk].
    const auto stateAt = [&](int c, int j) { return state[c * dv + j]; };
    blockProduct<onTensorCores, 2>(
        dk, n, dv, stateAt, [&](int j, int i) { return grad[i * step + j]; },
        [&](int c, int i, float sum) { asked[i * keyStep + c] = chunk.gamma[i] * sum; });
    blockProduct<onTensorCores, 2>(
        dk, n, erases ? dv : 0, stateAt, [&](int j, int i) { return dx[i * step + j]; },
        [&](int c, int i, float sum) { erased[i * keyStep + c] = -chunk.gamma[i] * sum; });
    blockProduct<onTensorCores, 2>(
        dk, n, dv, [&](int c, int j) { return dstate[c * dv + j]; }, [&](int j, int i) { return u[i * step + j]; },
        [&](int c, int i, float sum) { wrote[i * keyStep + c] = chunk.tau[i] * sum; });
    float across = 0;
    eachPlace(dk, dv, [&](int c, int j) { across += state[c * dv + j] * dstate[c * dv + j]; });
    __syncthreads();
    for (int i = warp; i < n; i += backwardThreads / 32) {
      float read = 0, written = 0;
      for (int at = i * keyStep + lane; at < i * keyStep + dk; at += 32) {
        read += chunk.q[at] * asked[at] + chunk.k[at] * erased[at];
        written += chunk.k[at] * wrote[at];
      }
      read = warpReduce(read, Sum());
      written = warpReduce(written, Sum());
      if (lane == 0) reads[i] = read, writes[i] = written;
    }
    blockProduct<onTensorCores>(
        n, dk, n, [&](int i, int m) { return e[i * pairStep + m]; }, key,
        [&](int i, int c, float sum) { out.dq[gateAt(token + i) * dk + c] = asked[i * keyStep + c] + sum; });
    // Eᵀ q + (F + Fᵀ) k, side by side
    blockProduct<onTensorCores>(
        n, dk, 2 * n,
        [&](int i, int m) { return m < n ? f[i * pairStep + m] + f[m * pairStep + i] : e[(m - n) * pairStep + i]; },
        [&](int m, int c) { return chunk.keyOrQuery(m, n, c); },
        [&](int i, int c, float sum) {
          const int at = i * keyStep + c;
          out.dk[gateAt(token + i) * dk + c] = erased[at] + wrote[at] + sum;
        });
    // dS of the state before: from dS' of the one behind, and what read it
    blockProduct<onTensorCores>(
        dk, dv, erases ? 2 * n : n,
        [&](int c, int i) {
          return i < n ? chunk.gamma[i] * chunk.q[i * keyStep + c]
                       : -chunk.gamma[i - n] * chunk.k[(i - n) * keyStep + c];
        },
        [&](int i, int j) { return i < n ? grad[i * step + j] : dx[(i - n) * step + j]; },
        [&](int c, int j, float sum) {
          float& behind = dstate[c * dv + j];
          behind = chunk.gamma[n - 1] * behind + sum;
        });
    across = chunk.gamma[n - 1] * blockReduce(across, sums, Sum());
    __syncthreads();
    // Each gate decays every path from a write at j < t to a read at i ≥ t.
    for (int t = int(threadIdx.x); t < n; t += int(blockDim.x)) {
      float sum = across;
      for (int i = t; i < n; i++)
        for (int j = 0; j < t; j++)
          sum += e[i * pairStep + j] * chunk.qk[i * pairStep + j] + f[i * pairStep + j] * chunk.kk[i * pairStep + j];
      for (int i = 0; i < n; i++) sum += i >= t ? reads[i] : writes[i];
      out.dg[gateAt(token + t)] = sum;
    }
  }
}

// [tokens, heads, d] → [tokens, keyHeads, d]: the sum over the value heads of a key head.
__global__ void deltaShare(Sink dq, Sink dk, const float* queries, const float* keys, DeltaShape shape, int64_t count) {
  const int64_t at = int64_t(blockIdx.x) * blockDim.x + threadIdx.x;
  if (at >= count) return;
  const int64_t token = at / (shape.keyHeads * shape.dk), inToken = at % (shape.keyHeads * shape.dk);
  const int64_t from = (token * shape.heads + inToken / shape.dk * shape.share) * shape.dk + inToken % shape.dk;
  float query = 0, key = 0;
  for (int r = 0; r < shape.share; r++) {
    query += queries[from + int64_t(r) * shape.dk];
    key += keys[from + int64_t(r) * shape.dk];
  }
  dq.store(at, query);
  dk.store(at, key);
}

// Tokens of a chunk: as many as leave a block of an sm_86 its shared memory.
int forwardChunk(const DeltaShape& shape) { return shape.dk <= 128 ? 32 : 16; }
int backwardChunk(const DeltaShape& shape) { return shape.dk <= 128 && shape.dv <= 128 ? 16 : 8; }

template <bool onTensorCores>
void forward(Device& device, const View& out, bool written, const DeltaInputs& in, const PackedSequences& sequences,
             const States& states, int most) {
  const DeltaShape& shape = in.shape;
  const int64_t slices = ceilDiv(shape.dv, sliceColumns);
  const int floats = DeltaChunk<onTensorCores>::floats(most, shape.dk) + (shape.dk + 2 * most) * sliceStep;
  const Grid grid{.blocks = dim3(unsigned(sequences.count * shape.heads * slices)),
                  .threads = dim3(forwardThreads),
                  .shared = size_t(floats) * 4};
  launch(device, deltaForward<onTensorCores>, grid, Sink(out), written, in, sequences, states, most);
}

template <bool onTensorCores>
void reverse(Device& device, const DeltaGradients& out, const DeltaInputs& in, const View& dout,
             const PackedSequences& sequences, const float* saved, float* dstates, int most) {
  const Grid grid{.blocks = dim3(unsigned(sequences.count * in.shape.heads)),
                  .threads = dim3(backwardThreads),
                  .shared = size_t(backwardFloats<onTensorCores>(most, in.shape)) * 4};
  launch(device, deltaReverse<onTensorCores>, grid, out, in, Source(dout), sequences, saved, dstates, most);
}

// tf32 holds numbers of 16 bits as they are; of f32, whose results are to be those of f32, it would lose half.
bool suitsTensorCores(const View& q, const View& k, const View& v) {
  return q.dtype != DType::f32 && k.dtype != DType::f32 && v.dtype != DType::f32;
}

}  // namespace

void gatedDelta(Device& device, Out out, Out states, In q, In k, In v, In g, In beta, In boundaries, In places) {
  const DeltaInputs in(q, k, v, g, beta);
  if (v.size() == 0) return;
  const PackedSequences sequences(boundaries, v.dim(0), states, places, {device.faults, Faults::deltaBoundary},
                                  {device.faults, Faults::deltaPlace});
  const auto run = suitsTensorCores(q, k, v) ? forward<true> : forward<false>;
  run(device, out, true, in, sequences, {states.data<float>(), nullptr}, forwardChunk(in.shape));
}

void gatedDeltaBackward(Device& device, Out dq, Out dk, Out dv, Out dg, Out dbeta, In dout, In q, In k, In v, In g,
                        In beta, In boundaries) {
  const DeltaInputs in(q, k, v, g, beta);
  const DeltaShape& shape = in.shape;
  const int64_t tokens = v.dim(0);
  if (v.size() == 0) return;
  const PackedSequences sequences(boundaries, tokens, {}, {}, {device.faults, Faults::deltaBackwardBoundary},
                                  {device.faults, Faults::deltaPlace});
  const int most = backwardChunk(shape);
  const int64_t stateSize = int64_t(shape.heads) * shape.dk * shape.dv;
  const Scratch<float> saved(device, (tokens / most + sequences.count + 1) * stateSize);
  const bool suits = suitsTensorCores(q, k, v);
  (suits ? forward<true> : forward<false>)(device, dv, false, in, sequences, {nullptr, saved}, most);

  const Scratch<float> dstates(device, sequences.count * stateSize);
  const Scratch<float> queries(device, tokens * shape.heads * shape.dk), keys(device, tokens * shape.heads * shape.dk);
  const DeltaGradients out{queries, keys, Sink(dv), dg.data<float>(), dbeta ? dbeta.data<float>() : nullptr};
  (suits ? reverse<true> : reverse<false>)(device, out, in, dout, sequences, saved, dstates, most);
  const int64_t count = k.size();
  launch(device, deltaShare, Grid{.blocks = dim3(unsigned(ceilDiv(count, 256))), .threads = dim3(256)}, Sink(dq),
         Sink(dk), queries, keys, shape, count);
}

}  // namespace cuda
