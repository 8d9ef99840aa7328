// The gated delta rule over packed sequences, and its gradients: see delta-chunk.h for the formulas of one chunk.
//
//   q, k     [tokens, keyHeads, dk]   v, out  [tokens, heads, dv]   g, beta  f32 [tokens, heads]
//   states   f32 [places, heads, dk, dv]
//
// A task is one head of one sequence, forward a value head, backward a key head with its value heads one after the other,
// so that no sum depends on the number of threads. The backward pass runs the states forward again and keeps the one
// before each chunk: 1 KiB per token of a head of 128 x 128, for the time of the call.
#include "../../kernels/delta.h"
#include "../device.h"
#include "delta-chunk.h"
#include "sequences.h"

namespace cpu::CPU_ISA {
namespace {

struct Shape {
  HeadSizes sizes;
  int64_t keyHeads, heads, share;  // value heads of one key head
  Shape(const View& k, const View& v)
      : sizes{k.dim(2), v.dim(2)}, keyHeads(k.dim(1)), heads(v.dim(1)), share(v.dim(1) / k.dim(1)) {}
};

// Rows of one head of x [tokens, heads, d], `n` from token `at` on.
void readHead(const Panel& to, const View& x, int64_t head, int64_t at, int64_t n) {
  const int64_t d = x.dim(2);
  for (int64_t i = 0; i < n; i++) {
    float* row = to.row(i);
    const float* from = readRow(x, ((at + i) * x.dim(1) + head) * d, d, row);
    if (from != row) std::memcpy(row, from, size_t(d) * 4);
    std::fill(row + d, row + to.step, 0.0f);
  }
}
void writeHead(const View& x, int64_t head, int64_t at, int64_t n, const Panel& from) {
  const int64_t d = x.dim(2);
  for (int64_t i = 0; i < n; i++) writeRow(x, ((at + i) * x.dim(1) + head) * d, from.row(i), d);
}

void readState(const Panel& to, const float* from, const HeadSizes& sizes) {
  for (int64_t i = 0; i < sizes.dk; i++) {
    std::memcpy(to.row(i), from + i * sizes.dv, size_t(sizes.dv) * 4);
    std::fill(to.row(i) + sizes.dv, to.row(i) + to.step, 0.0f);
  }
}
void clear(const Panel& panel, int64_t rows) { std::memset(panel.data, 0, size_t(rows * panel.step) * 4); }

// The numbers that a thread's panels take.
template <class Tiles>
int64_t roomFor(const HeadSizes& sizes) {
  Room room;
  Tiles(room, sizes);
  return room.taken();
}

struct Forward {
  Keys keys;
  Mixing mixing;
  Panel state, v, read, out;
  Forward(Room& room, const HeadSizes& sizes)
      : keys(room, sizes),
        mixing(room),
        state(sizes.state(room)),
        v(room.panel(chunkTokens, sizes.dv)),
        read(room.panel(chunkTokens, sizes.dv)),
        out(room.panel(chunkTokens, sizes.dv)) {}
};

// One token: the state is read and written once, `lanes` columns at a time.
void step(float* state, const float* q, const float* k, const float* v, float a, float beta, float* out,
          const HeadSizes& sizes) {
  float both = 0;
  for (int64_t c = 0; c < sizes.dk; c++) both += q[c] * k[c];
  eachRegister(sizes.dv, [&](int64_t j, auto access, int) {
    Floats held{}, asked{};
    for (int64_t c = 0; c < sizes.dk; c++) {
      const Floats s = access.load(state + c * sizes.dv + j);
      held = fma(splat(k[c]), s, held);
      asked = fma(splat(q[c]), s, asked);
    }
    const Floats u = beta * (access.load(v + j) - a * held);
    access.store(out + j, a * asked + both * u);
    for (int64_t c = 0; c < sizes.dk; c++) {
      float* at = state + c * sizes.dv + j;
      access.store(at, a * access.load(at) + k[c] * u);
    }
  });
}

}  // namespace

void gatedDelta(Device& device, Out out, Out states, In q, In k, In v, In g, In beta, In boundaries, In places) {
  const Shape shape(k, v);
  const HeadSizes sizes = shape.sizes;
  const std::vector<Sequence> sequences = sequencesOf(boundaries, v.dim(0), states, places);
  clearOutside(out, sequences);
  const int64_t room = roomFor<Forward>(sizes);
  const Scratch<float> rooms(device.threads * room);
  const float *decays = g.data<float>(), *strengths = beta.data<float>();
  device.parallelFor(int64_t(sequences.size()) * shape.heads, [&](int64_t task, int thread) {
    const Sequence& sequence = sequences[size_t(task / shape.heads)];
    const int64_t head = task % shape.heads, keyHead = head / shape.share;
    Room taken(rooms + thread * room);
    const Forward at(taken, sizes);
    const auto& [keys, mixing, state, u, read, to] = at;
    float* kept = states ? states.data<float>() + (sequence.place * shape.heads + head) * sizes.dk * sizes.dv : nullptr;
    if (kept && sequence.end - sequence.begin == 1) {
      const int64_t t = sequence.begin;
      readHead(keys.q, q, keyHead, t, 1);
      readHead(keys.k, k, keyHead, t, 1);
      readHead(u, v, head, t, 1);
      const int64_t gate = t * shape.heads + head;
      step(kept, keys.q.row(0), keys.k.row(0), u.row(0), std::exp(decays[gate]), strengths[gate], to.row(0), sizes);
      return writeHead(out, head, t, 1, to);
    }
    if (kept) readState(state, kept, sizes);
    else clear(state, sizes.dk);
    for (int64_t t = sequence.begin; t < sequence.end; t += chunkTokens) {
      const int64_t n = std::min(chunkTokens, sequence.end - t), gate = t * shape.heads + head;
      readHead(keys.q, q, keyHead, t, n);
      readHead(keys.k, k, keyHead, t, n);
      readHead(u, v, head, t, n);
      keys.multiply(n, sizes.dk);
      mixing.fill(keys, decays + gate, strengths + gate, shape.heads, n);
      writes(mixing, keys, state, u, read, u, nullptr, n, sizes);
      solve(mixing, u, n, sizes.dv);
      product(read, keys.q, state, n, sizes.dk, sizes.dv);
      scaleRows(to, mixing.gamma, read, n, sizes.dv);
      product<true>(to, mixing.p, u, n, n, sizes.dv, Filled::upToRow);
      writeHead(out, head, t, n, to);
      advance(mixing, keys, state, u, read, n, sizes);
    }
    if (!kept) return;
    for (int64_t c = 0; c < sizes.dk; c++) std::memcpy(kept + c * sizes.dv, state.row(c), size_t(sizes.dv) * 4);
  });
}

namespace {

// What the gradient of one chunk needs besides the forward pass.
struct Backward {
  Forward forward;
  Panel u, rest, dout, dx;  // [n, dv]
  Panel turned;             // [dv, n]
  Panel dstate, stateTurned, dstateTurned;
  Panel fromState;              // [n, dk]
  Panel dq{}, dk{};             // [n, dk], sums over value heads
  Panel dp, da;                 // [n, n]: E and F once the decays are in
  float *dg, *reads, *written;  // [n]

  Backward(Room& room, const HeadSizes& sizes)
      : forward(room, sizes),
        u(room.panel(chunkTokens, sizes.dv)),
        rest(room.panel(chunkTokens, sizes.dv)),
        dout(room.panel(chunkTokens, sizes.dv)),
        dx(room.panel(chunkTokens, sizes.dv)),
        turned(room.panel(sizes.dv, chunkTokens)),
        dstate(sizes.state(room)),
        stateTurned(room.panel(sizes.dv, sizes.dk)),
        dstateTurned(room.panel(sizes.dv, sizes.dk)),
        fromState(room.panel(chunkTokens, sizes.dk)),
        dp(room.panel(chunkTokens, chunkTokens)),
        da(room.panel(chunkTokens, chunkTokens)),
        dg(room.row(chunkTokens)),
        reads(room.row(chunkTokens)),
        written(room.row(chunkTokens)) {}
};

float dot(const float* a, const float* b, int64_t count) {
  Floats sums[slots] = {};
  eachRegister(count, [&](int64_t i, auto access, int slot) { sums[slot] += access.load(a + i) * access.load(b + i); });
  return sumSlots(sums);
}

// to += factors ⊙ from, and each row's product with `with` in `products`: added up, or set.
void gather(const Panel& to, const float* factors, float sign, const Panel& from, const Panel& with, float* products,
            bool added, int64_t n, int64_t cols) {
  for (int64_t i = 0; i < n; i++) {
    const float factor = sign * factors[i];
    for (int64_t j = 0; j < cols; j += lanes) {
      const Floats x = factor * load(from.row(i) + j);
      store(to.row(i) + j, load(to.row(i) + j) + x);
    }
    const float sum = factor * dot(from.row(i), with.row(i), cols);
    products[i] = added ? products[i] + sum : sum;
  }
}

// The gradients of one chunk. `state` is what was before it, at.dstate the gradient of what is after it, which becomes
// that of `state`. dq and dk are added to; dv is left in at.dx, dβ in `dbeta`.
void chunkGradients(const Backward& at, const Panel& state, const Panel& v, float* dbeta, int64_t n,
                    const HeadSizes& sizes) {
  const auto& [keys, mixing, unused, values, read, scaled] = at.forward;
  const auto [dk, dv] = sizes;
  writes(mixing, keys, state, v, read, at.u, &at.rest, n, sizes);
  solve(mixing, at.u, n, dv);

  // dU = Pᵀ dO + τ ⊙ (k dS'), then (I + A)ᵀ dX = dU
  product(at.dx, keys.k, at.dstate, n, dk, dv);
  scaleRows(at.dx, mixing.tau, at.dx, n, dv);
  product<true>(at.dx, Factor(mixing.p).transposed(), at.dout, n, n, dv, Filled::fromRow);
  solveTransposed(mixing, at.dx, n, dv);

  transpose(at.turned, at.u, n, dv);
  product(at.dp, at.dout, at.turned, n, dv, n);
  product(at.da, at.dx, at.turned, n, dv, n);
  for (int64_t i = 0; i < n; i++) {
    float paths = 0;
    for (int64_t j = 0; j < n; j++) {
      at.dp(i, j) = j <= i ? at.dp(i, j) * mixing.decay(i, j) : 0;
      at.da(i, j) = j < i ? -at.da(i, j) : 0;
      paths += at.da(i, j) * mixing.m(i, j);
      at.da(i, j) *= mixing.beta[i] * mixing.decay(i, j);
    }
    dbeta[i] = dot(at.dx.row(i), at.rest.row(i), dv) + paths;
  }
  scaleRows(at.dx, mixing.beta, at.dx, n, dv);  // dv, which is dR too

  // Each gate decays every path from a write at j < t to a read at i ≥ t.
  for (int64_t t = 0; t < n; t++) at.dg[t] = 0;
  float* below = at.written;  // Σ_{i ≥ t} W_ij by column, from the bottom
  std::fill(below, below + n, 0.0f);
  for (int64_t t = n; t-- > 0;)
    for (int64_t j = 0; j < t; j++) {
      below[j] += at.dp(t, j) * keys.qk(t, j) + at.da(t, j) * keys.kk(t, j);
      at.dg[t] += below[j];
    }
  transpose(at.stateTurned, state, dk, dv);
  transpose(at.dstateTurned, at.dstate, dk, dv);
  product(at.fromState, at.dout, at.stateTurned, n, dv, dk);
  gather(at.dq, mixing.gamma, 1, at.fromState, keys.q, at.reads, false, n, dk);
  product(at.fromState, at.dx, at.stateTurned, n, dv, dk);
  gather(at.dk, mixing.gamma, -1, at.fromState, keys.k, at.reads, true, n, dk);
  product(at.fromState, at.u, at.dstateTurned, n, dv, dk);
  gather(at.dk, mixing.tau, 1, at.fromState, keys.k, at.written, false, n, dk);
  float across = 0;
  for (int64_t c = 0; c < dk; c++) across += dot(state.row(c), at.dstate.row(c), dv);
  across *= mixing.gamma[n - 1];
  float later = 0, earlier = 0;
  for (int64_t t = n; t-- > 0;) at.dg[t] += later += at.reads[t];
  for (int64_t t = 0; t < n; t++) {
    at.dg[t] += earlier + across;
    earlier += at.written[t];
  }

  product<true>(at.dq, at.dp, keys.k, n, n, dk, Filled::upToRow);
  product<true>(at.dk, Factor(at.dp).transposed(), keys.q, n, n, dk, Filled::fromRow);
  product<true>(at.dk, at.da, keys.k, n, n, dk, Filled::upToRow);
  product<true>(at.dk, Factor(at.da).transposed(), keys.k, n, n, dk, Filled::fromRow);

  scale(at.dstate, mixing.gamma[n - 1], dk, dv);
  scaleRows(scaled, mixing.gamma, at.dout, n, dv);
  product<true>(at.dstate, Factor(keys.q).transposed(), scaled, dk, n, dv);
  for (int64_t i = 0; i < n; i++)
    for (int64_t j = 0; j < dv; j += lanes) store(scaled.row(i) + j, -mixing.gamma[i] * load(at.dx.row(i) + j));
  product<true>(at.dstate, Factor(keys.k).transposed(), scaled, dk, n, dv);
}

}  // namespace

void gatedDeltaBackward(Device& device, Out dq, Out dk, Out dv, Out dg, Out dbeta, In dout, In q, In k, In v, In g,
                        In beta, In boundaries) {
  const Shape shape(k, v);
  const HeadSizes sizes = shape.sizes;
  const std::vector<Sequence> sequences = sequencesOf(boundaries, v.dim(0), {}, {});
  for (const View& out : {View(dq), View(dk), View(dv), View(dg), View(dbeta)}) clearOutside(out, sequences);
  int64_t longest = 0;
  for (const Sequence& sequence : sequences) longest = std::max(longest, sequence.end - sequence.begin);
  const int64_t stateSize = sizes.dk * padded(sizes.dv), most = (longest + chunkTokens - 1) / chunkTokens;
  const int64_t perChunk = chunkTokens * padded(sizes.dk);
  const int64_t room = roomFor<Backward>(sizes);
  // The states before each chunk, and the sums of dq and dk over the value heads of a key head.
  const int64_t whole = room + most * (stateSize + 2 * perChunk);
  const Scratch<float> rooms(device.threads * whole);
  const float *decays = g.data<float>(), *strengths = beta.data<float>();

  device.parallelFor(int64_t(sequences.size()) * shape.keyHeads, [&](int64_t task, int thread) {
    const Sequence& sequence = sequences[size_t(task / shape.keyHeads)];
    const int64_t keyHead = task % shape.keyHeads;
    const int64_t chunks = (sequence.end - sequence.begin + chunkTokens - 1) / chunkTokens;
    Room taken(rooms + thread * whole);
    Backward at(taken, sizes);
    const auto& [keys, mixing, state, values, read, scaled] = at.forward;
    float* states = taken.next();
    float* sums = states + chunks * stateSize;
    std::memset(sums, 0, size_t(chunks * 2 * perChunk) * 4);

    // The chunk's keys, and the mixing of one head.
    const auto load = [&](int64_t chunk, int64_t head) {
      const int64_t t = sequence.begin + chunk * chunkTokens, n = std::min(chunkTokens, sequence.end - t);
      readHead(keys.q, q, keyHead, t, n);
      readHead(keys.k, k, keyHead, t, n);
      readHead(values, v, head, t, n);
      keys.multiply(n, sizes.dk);
      const int64_t gate = t * shape.heads + head;
      mixing.fill(keys, decays + gate, strengths + gate, shape.heads, n);
      return std::pair{t, n};
    };
    const auto stateBefore = [&](int64_t chunk) { return Panel{states + chunk * stateSize, padded(sizes.dv)}; };
    const auto chunkSums = [&](int64_t chunk, int which) {
      return Panel{sums + (2 * chunk + which) * perChunk, padded(sizes.dk)};
    };
    for (int64_t head = keyHead * shape.share; head < (keyHead + 1) * shape.share; head++) {
      clear(state, sizes.dk);
      for (int64_t chunk = 0; chunk < chunks; chunk++) {
        std::memcpy(stateBefore(chunk).data, state.data, size_t(stateSize) * 4);
        if (chunk + 1 == chunks) break;
        const auto [t, n] = load(chunk, head);
        writes(mixing, keys, state, values, read, at.u, nullptr, n, sizes);
        solve(mixing, at.u, n, sizes.dv);
        advance(mixing, keys, state, at.u, read, n, sizes);
      }
      clear(at.dstate, sizes.dk);
      for (int64_t chunk = chunks; chunk-- > 0;) {
        const auto [t, n] = load(chunk, head);
        readHead(at.dout, dout, head, t, n);
        at.dq = chunkSums(chunk, 0);
        at.dk = chunkSums(chunk, 1);
        float strengthGradients[chunkTokens];
        chunkGradients(at, stateBefore(chunk), values, strengthGradients, n, sizes);
        writeHead(dv, head, t, n, at.dx);
        for (int64_t i = 0; i < n; i++) {
          dg.data<float>()[(t + i) * shape.heads + head] = at.dg[i];
          dbeta.data<float>()[(t + i) * shape.heads + head] = strengthGradients[i];
        }
      }
    }
    for (int64_t chunk = 0; chunk < chunks; chunk++) {
      const int64_t t = sequence.begin + chunk * chunkTokens, n = std::min(chunkTokens, sequence.end - t);
      writeHead(dq, keyHead, t, n, chunkSums(chunk, 0));
      writeHead(dk, keyHead, t, n, chunkSums(chunk, 1));
    }
  });
}

}  // namespace cpu::CPU_ISA
