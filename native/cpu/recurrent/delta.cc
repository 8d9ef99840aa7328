// The gated delta rule over packed sequences: see delta-chunk.h for the formulas of one chunk, delta-backward.cc for the
// gradients.
//
//   q, k     [tokens, keyHeads, dk]   v, out  [tokens, heads, dv]   g, beta?  f32 [tokens, heads]
//   states   f32 [places, heads, dk, dv]
//
// The pairs of all chunks come first; then a task is one value head of one sequence.
#include "../../kernels/delta.h"
#include "delta-tasks.h"

namespace cpu::CPU_ISA {
namespace {

// One token: the state is read and written once, `lanes` columns at a time. `beta` is null where nothing is erased.
void step(float* state, const float* q, const float* k, const float* v, float a, const float* beta, float* out,
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
    const Floats u = beta ? *beta * (access.load(v + j) - a * held) : access.load(v + j);
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
  const float *decays = g.data<float>(), *strengths = beta ? beta.data<float>() : nullptr;
  const Chunks chunks(sequences, !states);
  const AllPairs pairs(device, chunks, q, k, strengths != nullptr);
  device.parallelFor(int64_t(sequences.size()) * shape.heads, [&](int64_t task, int thread) {
    const int64_t s = task / shape.heads, head = task % shape.heads, keyHead = head / shape.share;
    const Sequence& sequence = sequences[size_t(s)];
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
      step(kept, keys.q.row(0), keys.k.row(0), u.row(0), std::exp(decays[gate]), strengths ? strengths + gate : nullptr,
           to.row(0), sizes);
      return writeHead(out, head, t, 1, to);
    }
    if (kept) readState(state, kept, sizes);
    else clear(state, sizes.dk);
    for (int64_t i = 0; i < chunks.count(s); i++) {
      const auto [t, n] = chunks(s, i);
      const int64_t gate = t * shape.heads + head;
      readHead(keys.q, q, keyHead, t, n);
      readHead(keys.k, k, keyHead, t, n);
      readHead(u, v, head, t, n);
      mixing.fill(pairs(chunks.at(s, i), keyHead), decays + gate, strengths ? strengths + gate : nullptr, shape.heads,
                  n);
      if (strengths) {
        writes(mixing, keys, state, u, read, u, nullptr, n, sizes);
        solve(mixing, u, n, sizes.dv);
      }
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

}  // namespace cpu::CPU_ISA
