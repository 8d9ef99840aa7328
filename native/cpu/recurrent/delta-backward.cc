// The gradients of the gated delta rule over packed sequences: see delta.cc for the shapes, delta-chunk.h for the formulas.
//
// A task is up to `together` value heads of one key head of one sequence, one after the other, so that no sum depends on the
// number of threads. It runs the states forward again and keeps the one before each chunk: 1 KiB per token of a head of
// 128 x 128, for the time of the call.
#include "../../kernels/delta.h"
#include "delta-tasks.h"

namespace cpu::CPU_ISA {
namespace {

// What the gradient of one chunk needs besides the forward pass.
struct Backward {
  Forward forward;
  Panel u, rest, dout, dx;  // [n, dv]
  Panel turned;             // [dv, n]
  Panel dstate, stateTurned, dstateTurned;
  Panel fromState;              // [n, dk]
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

// Sums over the value heads of a task, of one chunk.
struct Sums {
  Panel dq, dk;  // [n, dk]
  Panel e, f;    // [n, n]
  Sums(Room& room, const HeadSizes& sizes)
      : dq(room.panel(chunkTokens, sizes.dk)),
        dk(room.panel(chunkTokens, sizes.dk)),
        e(room.panel(chunkTokens, chunkTokens)),
        f(room.panel(chunkTokens, chunkTokens)) {}
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

void add(const Panel& to, const Panel& from, int64_t n) {
  for (int64_t i = 0; i < n; i++)
    for (int64_t j = 0; j < n; j += lanes) store(to.row(i) + j, load(to.row(i) + j) + load(from.row(i) + j));
}

// The gradients of one chunk. `state` is what was before it, at.dstate the gradient of what is after it, which becomes
// that of `state`. `sums` are added to; dv is left in at.dx, dβ in `dbeta`, which is null where nothing is erased.
void chunkGradients(const Backward& at, const Sums& sums, const Pairs& pairs, const Panel& state, const Panel& v,
                    float* dbeta, int64_t n, const HeadSizes& sizes) {
  const auto& [keys, mixing, unused, values, read, scaled] = at.forward;
  const auto [dk, dv] = sizes;
  const Panel& u = dbeta ? at.u : v;
  if (dbeta) {
    writes(mixing, keys, state, v, read, at.u, &at.rest, n, sizes);
    solve(mixing, at.u, n, dv);
  }

  // dU = Pᵀ dO + τ ⊙ (k dS'), then (I + A)ᵀ dX = dU
  product(at.dx, keys.k, at.dstate, n, dk, dv);
  scaleRows(at.dx, mixing.tau, at.dx, n, dv);
  product<true>(at.dx, Factor(mixing.p).transposed(), at.dout, n, n, dv, Filled::fromRow);
  if (dbeta) solveTransposed(mixing, at.dx, n, dv);

  transpose(at.turned, u, n, dv);
  product(at.dp, at.dout, at.turned, n, dv, n);
  for (int64_t i = 0; i < n; i++)
    for (int64_t j = 0; j < n; j++) at.dp(i, j) = j <= i ? at.dp(i, j) * mixing.decay(i, j) : 0;
  add(sums.e, at.dp, n);
  if (dbeta) {
    product(at.da, at.dx, at.turned, n, dv, n);
    for (int64_t i = 0; i < n; i++) {
      float paths = 0;
      for (int64_t j = 0; j < n; j++) {
        at.da(i, j) = j < i ? -at.da(i, j) : 0;
        paths += at.da(i, j) * mixing.m(i, j);
        at.da(i, j) *= mixing.beta[i] * mixing.decay(i, j);
      }
      dbeta[i] = dot(at.dx.row(i), at.rest.row(i), dv) + paths;
    }
    add(sums.f, at.da, n);
    scaleRows(at.dx, mixing.beta, at.dx, n, dv);  // dv, which is dR too
  }

  // Each gate decays every path from a write at j < t to a read at i ≥ t.
  for (int64_t t = 0; t < n; t++) at.dg[t] = 0;
  float* below = at.written;  // Σ_{i ≥ t} W_ij by column, from the bottom
  std::fill(below, below + n, 0.0f);
  for (int64_t t = n; t-- > 0;)
    for (int64_t j = 0; j < t; j++) {
      below[j] += at.dp(t, j) * pairs.qk(t, j);
      if (dbeta) below[j] += at.da(t, j) * pairs.kk(t, j);
      at.dg[t] += below[j];
    }
  transpose(at.stateTurned, state, dk, dv);
  transpose(at.dstateTurned, at.dstate, dk, dv);
  product(at.fromState, at.dout, at.stateTurned, n, dv, dk);
  gather(sums.dq, mixing.gamma, 1, at.fromState, keys.q, at.reads, false, n, dk);
  if (dbeta) {
    product(at.fromState, at.dx, at.stateTurned, n, dv, dk);
    gather(sums.dk, mixing.gamma, -1, at.fromState, keys.k, at.reads, true, n, dk);
  }
  product(at.fromState, u, at.dstateTurned, n, dv, dk);
  gather(sums.dk, mixing.tau, 1, at.fromState, keys.k, at.written, false, n, dk);
  float across = 0;
  for (int64_t c = 0; c < dk; c++) across += dot(state.row(c), at.dstate.row(c), dv);
  across *= mixing.gamma[n - 1];
  float later = 0, earlier = 0;
  for (int64_t t = n; t-- > 0;) at.dg[t] += later += at.reads[t];
  for (int64_t t = 0; t < n; t++) {
    at.dg[t] += earlier + across;
    earlier += at.written[t];
  }

  scale(at.dstate, mixing.gamma[n - 1], dk, dv);
  scaleRows(scaled, mixing.gamma, at.dout, n, dv);
  product<true>(at.dstate, Factor(keys.q).transposed(), scaled, dk, n, dv);
  if (!dbeta) return;
  for (int64_t i = 0; i < n; i++)
    for (int64_t j = 0; j < dv; j += lanes) store(scaled.row(i) + j, -mixing.gamma[i] * load(at.dx.row(i) + j));
  product<true>(at.dstate, Factor(keys.k).transposed(), scaled, dk, n, dv);
}

// dq += E k, dk += Eᵀ q + (F + Fᵀ) k
void addPairs(const Sums& sums, const Keys& keys, bool erases, int64_t n, int64_t dk) {
  product<true>(sums.dq, sums.e, keys.k, n, n, dk, Filled::upToRow);
  product<true>(sums.dk, Factor(sums.e).transposed(), keys.q, n, n, dk, Filled::fromRow);
  if (!erases) return;
  product<true>(sums.dk, sums.f, keys.k, n, n, dk, Filled::upToRow);
  product<true>(sums.dk, Factor(sums.f).transposed(), keys.k, n, n, dk, Filled::fromRow);
}

// dq and dk as the sums of `tasks` parts [tasks, 2, tokens, keyHeads, dk], in order.
void addParts(Device& device, const View& dq, const View& dk, const float* parts,
              const std::vector<Sequence>& sequences, int64_t tasks) {
  const int64_t width = dk.dim(1) * dk.dim(2), count = dk.size();
  const Scratch<float> rows(device.threads * width);
  device.parallelFor(2 * dk.dim(0), [&](int64_t at, int thread) {
    const int64_t token = at / 2, which = at % 2;
    const bool inside = std::any_of(sequences.begin(), sequences.end(), [&](const Sequence& sequence) {
      return sequence.begin <= token && token < sequence.end;
    });
    if (!inside) return;
    float* row = rows + thread * width;
    std::fill(row, row + width, 0.0f);
    for (int64_t task = 0; task < tasks; task++) {
      const float* from = parts + (2 * task + which) * count + token * width;
      for (int64_t i = 0; i < width; i++) row[i] += from[i];
    }
    writeRow(which == 0 ? dq : dk, token * width, row, width);
  });
}

// The value heads of one task: a key head that has more, as in Mamba-2, is shared out among threads.
constexpr int64_t together = 8;

}  // namespace

void gatedDeltaBackward(Device& device, Out dq, Out dk, Out dv, Out dg, Out dbeta, In dout, In q, In k, In v, In g,
                        In beta, In boundaries) {
  const Shape shape(k, v);
  const HeadSizes sizes = shape.sizes;
  const std::vector<Sequence> sequences = sequencesOf(boundaries, v.dim(0), {}, {});
  for (const View& out : {View(dq), View(dk), View(dv), View(dg)}) clearOutside(out, sequences);
  if (dbeta) clearOutside(dbeta, sequences);
  const float *decays = g.data<float>(), *strengths = beta ? beta.data<float>() : nullptr;
  const Chunks chunks(sequences, true);
  const AllPairs pairs(device, chunks, q, k, strengths != nullptr);
  int64_t most = 0;
  for (size_t s = 0; s < sequences.size(); s++) most = std::max(most, chunks.count(int64_t(s)));
  const int64_t stateSize = sizes.dk * padded(sizes.dv);
  const int64_t room = roomFor<Backward>(sizes), sumRoom = roomFor<Sums>(sizes);
  // A thread has the states before each chunk of a sequence, and the sums.
  const int64_t whole = room + most * (stateSize + sumRoom);
  const Scratch<float> rooms(device.threads * whole);
  // The sums of several tasks of one key head are added at the end: [tasks, dq and dk, tokens, keyHeads, dk].
  const int64_t tasks = (shape.share + together - 1) / together, count = tasks > 1 ? k.size() : 0;
  const Scratch<float> partial(2 * tasks * count);

  device.parallelFor(int64_t(sequences.size()) * shape.keyHeads * tasks, [&](int64_t task, int thread) {
    const int64_t s = task / (shape.keyHeads * tasks), keyHead = task / tasks % shape.keyHeads, part = task % tasks;
    Room taken(rooms + thread * whole);
    const Backward at(taken, sizes);
    const auto& [keys, mixing, state, values, read, scaled] = at.forward;
    float* states = taken.next();
    float* sums = states + most * stateSize;
    std::memset(sums, 0, size_t(chunks.count(s) * sumRoom) * 4);

    const auto readKeys = [&](const Chunks::Chunk& chunk) {
      readHead(keys.q, q, keyHead, chunk.token, chunk.n);
      readHead(keys.k, k, keyHead, chunk.token, chunk.n);
    };
    const auto load = [&](int64_t i, int64_t head) {
      const auto [t, n] = chunks(s, i);
      readKeys(chunks(s, i));
      readHead(values, v, head, t, n);
      const int64_t gate = t * shape.heads + head;
      mixing.fill(pairs(chunks.at(s, i), keyHead), decays + gate, strengths ? strengths + gate : nullptr, shape.heads,
                  n);
      return n;
    };
    const auto stateBefore = [&](int64_t i) { return Panel{states + i * stateSize, padded(sizes.dv)}; };
    const auto sumsOf = [&](int64_t i) {
      Room each(sums + i * sumRoom);
      return Sums(each, sizes);
    };
    const int64_t first = keyHead * shape.share + part * together;
    const int64_t end = std::min(first + together, (keyHead + 1) * shape.share);
    for (int64_t head = first; head < end; head++) {
      clear(state, sizes.dk);
      for (int64_t i = 0; i < chunks.count(s); i++) {
        std::memcpy(stateBefore(i).data, state.data, size_t(stateSize) * 4);
        if (i + 1 == chunks.count(s)) break;
        const int64_t n = load(i, head);
        if (strengths) {
          writes(mixing, keys, state, values, read, values, nullptr, n, sizes);
          solve(mixing, values, n, sizes.dv);
        }
        advance(mixing, keys, state, values, read, n, sizes);
      }
      clear(at.dstate, sizes.dk);
      for (int64_t i = chunks.count(s); i-- > 0;) {
        const int64_t n = load(i, head), t = chunks(s, i).token;
        readHead(at.dout, dout, head, t, n);
        float strengthGradients[chunkTokens];
        chunkGradients(at, sumsOf(i), pairs(chunks.at(s, i), keyHead), stateBefore(i), values,
                       strengths ? strengthGradients : nullptr, n, sizes);
        writeHead(dv, head, t, n, at.dx);
        for (int64_t r = 0; r < n; r++) {
          dg.data<float>()[(t + r) * shape.heads + head] = at.dg[r];
          if (strengths) dbeta.data<float>()[(t + r) * shape.heads + head] = strengthGradients[r];
        }
      }
    }
    for (int64_t i = 0; i < chunks.count(s); i++) {
      const auto [t, n] = chunks(s, i);
      const Sums all = sumsOf(i);
      readKeys(chunks(s, i));
      addPairs(all, keys, strengths != nullptr, n, sizes.dk);
      if (tasks == 1) {
        writeHead(dq, keyHead, t, n, all.dq);
        writeHead(dk, keyHead, t, n, all.dk);
      } else
        for (int64_t r = 0; r < n; r++) {
          float* to = partial + 2 * part * count + ((t + r) * shape.keyHeads + keyHead) * sizes.dk;
          std::memcpy(to, all.dq.row(r), size_t(sizes.dk) * 4);
          std::memcpy(to + count, all.dk.row(r), size_t(sizes.dk) * 4);
        }
    }
  });
  if (tasks > 1) addParts(device, dq, dk, partial, sequences, tasks);
}

}  // namespace cpu::CPU_ISA
