// The gated delta rule over packed sequences, and its gradients: see native/cpu/recurrent/delta-chunk.h for the formulas.
//
//   q, k     [tokens, keyHeads, dk]   v, out  [tokens, heads, dv]   g, beta?  f32 [tokens, heads]
//   states   f32 [places, heads, dk, dv]
//
// Forward, a block takes 32 columns of one head's state through all chunks of a sequence. Backward, it first does so and
// leaves the state before each chunk in scratch; then a block takes a head through the chunks in reverse. dq and dk of
// value heads that share a key head are added by a last kernel, in order.
#include "../../kernels/delta.h"
#include "../device/launch.h"
#include "../tools/reduce.cuh"
#include "delta-chunk.cuh"

namespace cuda {
namespace {

constexpr int sliceColumns = 32, forwardThreads = 128, backwardThreads = 256;

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

__global__ void deltaForward(Sink out, bool written, DeltaInputs in, PackedSequences sequences, States states,
                             int most) {
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
  const DeltaChunk chunk(room, most, dk);
  float* state = room.take(dk * sliceColumns);
  float* u = room.take(most * sliceColumns);
  const Sequence sequence = sequences[s];
  float* kept = states.kept && sequence.place >= 0
                    ? states.kept + (int64_t(sequence.place) * shape.heads + head) * dk * dv + first
                    : nullptr;
  eachPlace(dk, cols, [&](int c, int j) { state[c * sliceColumns + j] = kept ? kept[int64_t(c) * dv + j] : 0; });

  for (int token = sequence.begin, number = 0; token < sequence.end; token += most, number++) {
    const int n = sequence.end - token < most ? sequence.end - token : most;
    __syncthreads();
    if (states.saved) {
      float* to = states.saved + (chunkSlot(sequence.begin, most, s, number) * shape.heads + head) * dk * dv + first;
      eachPlace(dk, cols, [&](int c, int j) { to[int64_t(c) * dv + j] = state[c * sliceColumns + j]; });
    }
    chunk.load(in, head, token, n);
    eachPlace(n, cols, [&](int i, int j) {
      const float value = in.v[valueAt(token + i, j)];
      float held = 0;
      if (erases)
        for (int c = 0; c < dk; c++) held += chunk.k[i * chunk.keyStep + c] * state[c * sliceColumns + j];
      u[i * sliceColumns + j] = erases ? chunk.beta[i] * (value - chunk.gamma[i] * held) : value;
    });
    __syncthreads();
    if (erases) {
      if (int(threadIdx.x) < cols) chunk.solve(u, sliceColumns, int(threadIdx.x), n);
      __syncthreads();
    }
    if (written)
      eachPlace(n, cols, [&](int i, int j) {
        float sum = 0;
        for (int c = 0; c < dk; c++) sum += chunk.q[i * chunk.keyStep + c] * state[c * sliceColumns + j];
        sum *= chunk.gamma[i];
        for (int r = 0; r <= i; r++) sum += chunk.p(i, r) * u[r * sliceColumns + j];
        out.store(valueAt(token + i, j), sum);
      });
    __syncthreads();
    eachPlace(dk, cols, [&](int c, int j) {
      float sum = chunk.gamma[n - 1] * state[c * sliceColumns + j];
      for (int i = 0; i < n; i++) sum += chunk.k[i * chunk.keyStep + c] * (chunk.tau[i] * u[i * sliceColumns + j]);
      state[c * sliceColumns + j] = sum;
    });
  }
  __syncthreads();
  if (kept) eachPlace(dk, cols, [&](int c, int j) { kept[int64_t(c) * dv + j] = state[c * sliceColumns + j]; });
}

struct DeltaGradients {
  float *dq, *dk;  // [tokens, heads, dk], by value head
  Sink dv;
  float *dg, *dbeta;  // dbeta is null where nothing is erased
};

struct BackwardShared {
  static int floats(int most, const DeltaShape& shape) {
    return DeltaChunk::floats(most, shape.dk) + 6 * most * (shape.dv + 1) + 4 * most * (most + 1) + 32;
  }
};

__global__ __launch_bounds__(backwardThreads) void deltaReverse(DeltaGradients out, DeltaInputs in, Source dout,
                                                                PackedSequences sequences, const float* saved,
                                                                float* dstates, int most) {
  const DeltaShape& shape = in.shape;
  const int dk = shape.dk, dv = shape.dv, head = int(blockIdx.x) % shape.heads, s = int(blockIdx.x) / shape.heads;
  const bool erases = in.beta != nullptr;
  const int step = dv + 1, warp = int(threadIdx.x) / 32, lane = int(threadIdx.x) % 32;
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
  const DeltaChunk chunk(room, most, dk);
  const int keyStep = chunk.keyStep, pairStep = chunk.pairStep;
  float *grad = room.take(most * step), *u = room.take(most * step), *rest = room.take(most * step),
        *dx = room.take(most * step), *stateRows = room.take(most * step), *dstateRows = room.take(most * step);
  float *e = room.take(most * pairStep), *f = room.take(most * pairStep), *reads = room.take(most * pairStep),
        *written = room.take(most * pairStep), *sums = room.take(32);
  const Sequence sequence = sequences[s];
  float* dstate = dstates + int64_t(blockIdx.x) * dk * dv;
  eachPlace(dk, dv, [&](int c, int j) { dstate[c * dv + j] = 0; });

  const int chunks = (sequence.end - sequence.begin + most - 1) / most;
  for (int number = chunks - 1; number >= 0; number--) {
    const int token = sequence.begin + number * most;
    const int n = sequence.end - token < most ? sequence.end - token : most;
    const float* state = saved + (chunkSlot(sequence.begin, most, s, number) * shape.heads + head) * dk * dv;
    __syncthreads();
    chunk.load(in, head, token, n);
    eachPlace(n, dv, [&](int i, int j) { grad[i * step + j] = dout[valueAt(token + i, j)]; });
    __syncthreads();
    // R, diag(β) R, and dU = Pᵀ dO + τ ⊙ (k dS')
    eachPlace(n, dv, [&](int i, int j) {
      float held = 0, later = 0;
      for (int c = 0; c < dk; c++) {
        if (erases) held += chunk.k[i * keyStep + c] * state[c * dv + j];
        later += chunk.k[i * keyStep + c] * dstate[c * dv + j];
      }
      later *= chunk.tau[i];
      for (int r = i; r < n; r++) later += chunk.p(r, i) * grad[r * step + j];
      const float left = in.v[valueAt(token + i, j)] - chunk.gamma[i] * held;
      rest[i * step + j] = left;
      u[i * step + j] = erases ? chunk.beta[i] * left : left;
      dx[i * step + j] = later;
    });
    __syncthreads();
    if (erases) {
      for (int j = int(threadIdx.x); j < dv; j += int(blockDim.x)) {
        chunk.solve(u, step, j, n);
        chunk.solveTransposed(dx, step, j, n);
      }
      __syncthreads();
    }
    // E = dP ⊙ D, and dA in f
    eachPlace(n, n, [&](int i, int j) {
      float dp = 0, da = 0;
      if (j <= i)
        for (int c = 0; c < dv; c++) {
          dp += grad[i * step + c] * u[j * step + c];
          if (erases) da -= dx[i * step + c] * u[j * step + c];
        }
      e[i * pairStep + j] = dp * chunk.decay[i * pairStep + j];
      f[i * pairStep + j] = j < i ? da : 0;
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

    // The state's rows, `most` at a time: what reads them, what wrote them, and the gradient of the state before.
    float across = 0;
    for (int firstRow = 0; firstRow < dk; firstRow += most) {
      const int rows = dk - firstRow < most ? dk - firstRow : most;
      __syncthreads();
      eachPlace(rows, dv, [&](int r, int j) {
        const float x = state[(firstRow + r) * dv + j], y = dstate[(firstRow + r) * dv + j];
        stateRows[r * step + j] = x;
        dstateRows[r * step + j] = y;
        across += x * y;
      });
      __syncthreads();
      eachPlace(n, rows, [&](int i, int r) {
        float asked = 0, erased = 0, wrote = 0;
        for (int j = 0; j < dv; j++) {
          asked += grad[i * step + j] * stateRows[r * step + j];
          if (erases) erased += dx[i * step + j] * stateRows[r * step + j];
          wrote += u[i * step + j] * dstateRows[r * step + j];
        }
        asked *= chunk.gamma[i];
        erased *= -chunk.gamma[i];
        wrote *= chunk.tau[i];
        const int c = firstRow + r;
        const float q = chunk.q[i * keyStep + c], k = chunk.k[i * keyStep + c];
        float dq = asked, dkey = erased + wrote;
        for (int m = 0; m < n; m++) {
          dq += e[i * pairStep + m] * chunk.k[m * keyStep + c];
          dkey += e[m * pairStep + i] * chunk.q[m * keyStep + c] +
                  (f[i * pairStep + m] + f[m * pairStep + i]) * chunk.k[m * keyStep + c];
        }
        out.dq[gateAt(token + i) * dk + c] = dq;
        out.dk[gateAt(token + i) * dk + c] = dkey;
        const int at = i * pairStep + r;
        reads[at] = (firstRow == 0 ? 0 : reads[at]) + q * asked + k * erased;
        written[at] = (firstRow == 0 ? 0 : written[at]) + k * wrote;
      });
      eachPlace(rows, dv, [&](int r, int j) {
        float sum = chunk.gamma[n - 1] * dstateRows[r * step + j];
        for (int i = 0; i < n; i++) {
          const int at = i * keyStep + firstRow + r;
          const float erased = erases ? chunk.k[at] * dx[i * step + j] : 0;
          sum += chunk.gamma[i] * (chunk.q[at] * grad[i * step + j] - erased);
        }
        dstate[(firstRow + r) * dv + j] = sum;
      });
    }
    across = chunk.gamma[n - 1] * blockReduce(across, sums, Sum());
    __syncthreads();
    // Each gate decays every path from a write at j < t to a read at i ≥ t.
    const int columns = dk < most ? dk : most;
    for (int t = int(threadIdx.x); t < n; t += int(blockDim.x)) {
      float sum = across;
      for (int i = t; i < n; i++)
        for (int j = 0; j < t; j++)
          sum += e[i * pairStep + j] * chunk.qk[i * pairStep + j] + f[i * pairStep + j] * chunk.kk[i * pairStep + j];
      for (int i = 0; i < n; i++)
        for (int r = 0; r < columns; r++) sum += i >= t ? reads[i * pairStep + r] : written[i * pairStep + r];
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

void forward(Device& device, const View& out, bool written, const DeltaInputs& in, const PackedSequences& sequences,
             const States& states, int most) {
  const DeltaShape& shape = in.shape;
  const int64_t slices = ceilDiv(shape.dv, sliceColumns);
  const Grid grid{.blocks = dim3(unsigned(sequences.count * shape.heads * slices)),
                  .threads = dim3(forwardThreads),
                  .shared = size_t(DeltaChunk::floats(most, shape.dk) + (shape.dk + most) * sliceColumns) * 4};
  launch(device, deltaForward, grid, Sink(out), written, in, sequences, states, most);
}

}  // namespace

void gatedDelta(Device& device, Out out, Out states, In q, In k, In v, In g, In beta, In boundaries, In places) {
  const DeltaInputs in{q, k, v, g.data<float>(), beta ? beta.data<float>() : nullptr, DeltaShape(k, v)};
  if (v.size() == 0) return;
  const PackedSequences sequences(boundaries, v.dim(0), states, places, {device.faults, Faults::deltaBoundary},
                                  {device.faults, Faults::deltaPlace});
  forward(device, out, true, in, sequences, {states.data<float>(), nullptr}, forwardChunk(in.shape));
}

void gatedDeltaBackward(Device& device, Out dq, Out dk, Out dv, Out dg, Out dbeta, In dout, In q, In k, In v, In g,
                        In beta, In boundaries) {
  const DeltaInputs in{q, k, v, g.data<float>(), beta ? beta.data<float>() : nullptr, DeltaShape(k, v)};
  const DeltaShape& shape = in.shape;
  const int64_t tokens = v.dim(0);
  if (v.size() == 0) return;
  const PackedSequences sequences(boundaries, tokens, {}, {}, {device.faults, Faults::deltaBackwardBoundary},
                                  {device.faults, Faults::deltaPlace});
  const int most = backwardChunk(shape);
  const int64_t stateSize = int64_t(shape.heads) * shape.dk * shape.dv;
  const Scratch<float> saved(device, (tokens / most + sequences.count + 1) * stateSize);
  forward(device, dv, false, in, sequences, {nullptr, saved}, most);

  const Scratch<float> dstates(device, sequences.count * stateSize);
  const Scratch<float> queries(device, tokens * shape.heads * shape.dk), keys(device, tokens * shape.heads * shape.dk);
  const DeltaGradients out{queries, keys, Sink(dv), dg.data<float>(), dbeta ? dbeta.data<float>() : nullptr};
  const Grid grid{.blocks = dim3(unsigned(sequences.count * shape.heads)),
                  .threads = dim3(backwardThreads),
                  .shared = size_t(BackwardShared::floats(most, shape)) * 4};
  launch(device, deltaReverse, grid, out, in, Source(dout), sequences, saved, dstates, most);
  const int64_t count = k.size();
  launch(device, deltaShare, Grid{.blocks = dim3(unsigned(ceilDiv(count, 256))), .threads = dim3(256)}, Sink(dq),
         Sink(dk), queries, keys, shape, count);
}

}  // namespace cuda
