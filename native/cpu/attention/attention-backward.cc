// The gradient of attention (attention.cc), by recomputing the probabilities from lse.
//
//   p = exp(score - lse),  D = Σ dout · out,  dscore = p · (dout · v - D)
//   dv = pᵀ dout,  dk = scale · dscoreᵀ q,  dq = scale · dscore k;  a softcap adds the factor 1 - tanh²
//
//   dq, dout, out  [tokens, heads, d]     token and head strided, as q, k and v are
//   dk, dv         [tokens, kvHeads, d]   the same
//
// One task is a segment of one sequence's keys and one key-value head: it keeps its keys, values and their gradients as
// f32, and streams all query rows that see them, tile by tile. It owns its part of dk and dv; dq comes out as one
// partial sum per segment, and the partial sums are added in order afterwards. Segments follow from the
// sequence's length alone, so the result does not depend on the number of threads.
#include <algorithm>
#include <vector>
#include "../../kernels/attention.h"
#include "attention-spans.h"

namespace cpu::CPU_ISA {
namespace {

// Short segments give more tasks and stay in L2; at most four per sequence bound the memory for partial sums.
int64_t segmentKeys(int64_t keys) {
  const int64_t quarter = (keys + 3) / 4;
  return std::max<int64_t>(512, (quarter + tileKeys - 1) / tileKeys * tileKeys);
}

// One segment of a sequence's keys, the tiles of query rows that see some of it, and where their part of dq lies: a
// block [padded d][tileRows] per tile.
struct Segment {
  const Span* span;
  int64_t begin, end;
  int64_t firstTile, endTile;
  int64_t partial;  // in blocks, per key-value head
};

struct Problem {
  View dk, dv, dout, q, k, v, out, lse;
  Scoring scoring;
  int group;
  int64_t d, stride;

  int64_t tilesOf(const Span& span) const { return (span.queries * group + tileRows - 1) / tileRows; }
  // Offset of row r of a sequence in a tensor [tokens, heads, d].
  int64_t place(const View& x, const Span& span, int64_t kvHead, int64_t r) const {
    return (span.token + r / group) * x.stride(0) + (kvHead * group + r % group) * x.stride(1);
  }
};

// Segment after segment of each sequence, with the blocks of dq counted up.
std::vector<Segment> segmentsOf(const Problem& p, const std::vector<Span>& spans, int64_t& blocks) {
  std::vector<Segment> segments;
  blocks = 0;
  for (const Span& span : spans) {
    const int64_t step = segmentKeys(span.keys), tiles = p.tilesOf(span);
    for (int64_t begin = 0; begin < span.keys; begin += step) {
      const int64_t end = std::min(begin + step, span.keys);
      const auto queryOf = [&](int64_t tile) { return std::min(tile * tileRows / p.group, span.queries - 1); };
      int64_t first = 0, last = tiles;
      while (first < tiles && p.scoring.endKey((std::min((first + 1) * tileRows, span.queries * p.group) - 1) / p.group,
                                               span.keys) <= begin)
        first++;
      while (last > first && p.scoring.firstKey(queryOf(last - 1)) >= end) last--;
      segments.push_back({&span, begin, end, first, last, blocks});
      blocks += last - first;
    }
  }
  return segments;
}

// One thread's memory.
struct Memory {
  float *keys, *values, *dkeys, *dvalues;  // [segment keys][padded d]
  float *qLanes, *doutLanes;               // [padded d][tileRows]
  float *qRows, *doutRows;                 // [tileRows][padded d]
  float *scores, *dscores;                 // [tileKeys][tileRows]
  float *lse, *delta;                      // [tileRows], lse in base 2

  static int64_t size(int64_t keys, int64_t stride) {
    return 4 * (keys + tileKeys) * stride + 4 * tileRows * stride + 2 * tileKeys * tileRows + 2 * tileRows;
  }
  Memory(float* at, int64_t keyCount, int64_t stride) {
    const auto take = [&](int64_t count) {
      at += count;
      return at - count;
    };
    for (float** x : {&keys, &values, &dkeys, &dvalues}) *x = take((keyCount + tileKeys) * stride);
    for (float** x : {&qLanes, &doutLanes, &qRows, &doutRows}) *x = take(tileRows * stride);
    for (float** x : {&scores, &dscores}) *x = take(tileKeys * tileRows);
    for (float** x : {&lse, &delta}) *x = take(tileRows);
  }
};

// c [rows, d] += aᵀ-like scalars × b [depth, d]
void addProduct(int64_t rows, int64_t depth, float* c, Scalars a, const float* b, int64_t d, int64_t stride) {
  int64_t left = (d + lanes - 1) / lanes;
  for (int64_t at = 0; left > 0;) {
    const int64_t step = left == 4 ? 2 : std::min<int64_t>(left, blockVectors);
    if (step == 1) multiply<1>(rows, depth, c + at, stride, a, b + at, stride, fromSum);
    else if (step == 2) multiply<2>(rows, depth, c + at, stride, a, b + at, stride, fromSum);
    else multiply<3>(rows, depth, c + at, stride, a, b + at, stride, fromSum);
    left -= step;
    at += step * lanes;
  }
}

// Probabilities and dscore · scale, in place of the scores and of dout · v. `key` counts from the sequence's first key.
template <int V>
void gradeScores(const QueryTile& tile, const Scoring& scoring, int64_t key, int64_t count, const Memory& m) {
  const bool all = tile.seesAll(key, count);
  const float cap = scoring.softcap * log2e;
  for (int64_t n = 0; n < count; n++)
#pragma GCC unroll 3
    for (int v = 0; v < V; v++) {
      float *at = m.scores + n * tileRows + v * lanes, *dat = m.dscores + n * tileRows + v * lanes;
      Floats score = load(at), slope = splat(scoring.scale);
      if (cap > 0) {
        const Floats t = tanh(score);
        score = cap * t;
        slope *= 1.0f - t * t;
      }
      if (!all) score = masked(score, key + n, tile, v);
      const Floats p = exp2(score - load(m.lse + v * lanes));
      store(at, p);
      store(dat, p * (load(dat) - load(m.delta + v * lanes)) * slope);
    }
}

// One tile of rows against one tile of keys: five products.
template <int V>
void passTile(const QueryTile& tile, const Problem& p, const Segment& segment, int64_t key, int64_t count, float* dq,
              const Memory& m) {
  const int64_t at = (key - segment.begin) * p.stride;
  multiply<V>(count, p.d, m.scores, tileRows, {m.keys + at, p.stride, 1}, m.qLanes, tileRows, fromZero);
  multiply<V>(count, p.d, m.dscores, tileRows, {m.values + at, p.stride, 1}, m.doutLanes, tileRows, fromZero);
  gradeScores<V>(tile, p.scoring, key, count, m);
  addProduct(count, tile.rows, m.dvalues + at, {m.scores, tileRows, 1}, m.doutRows, p.d, p.stride);
  addProduct(count, tile.rows, m.dkeys + at, {m.dscores, tileRows, 1}, m.qRows, p.d, p.stride);
  multiply<V>(p.d, count, dq, tileRows, {m.keys + at, 1, p.stride}, m.dscores, tileRows, fromSum);
}

// Brings rows from `row` on into both layouts, with their lse and D. A row that saw nothing, and a lane without a row,
// gets lse = inf: its probabilities are 0.
void openRows(const Problem& p, const Span& span, int64_t kvHead, int64_t row, int rows, float* buffer,
              const Memory& m) {
  const auto from = [&](const View& x) { return [&, row](int64_t i) { return p.place(x, span, kvHead, row + i); }; };
  packLanes(m.qLanes, p.q, p.d, rows, p.scoring.queryScale(), from(p.q));
  packLanes(m.doutLanes, p.dout, p.d, rows, 1, from(p.dout));
  packRows(m.qRows, p.q, p.d, rows, from(p.q));
  packRows(m.doutRows, p.dout, p.d, rows, from(p.dout));
  for (int i = 0; i < tileRows; i++) {
    m.lse[i] = INFINITY;
    m.delta[i] = 0;
  }
  for (int i = 0; i < rows; i++) {
    const int64_t r = row + i;
    const float lse = p.lse.data<float>()[(kvHead * p.group + r % p.group) * p.lse.dim(1) + span.token + r / p.group];
    if (lse != -INFINITY) m.lse[i] = lse * log2e;
    const float* out = readRow(p.out, from(p.out)(i), p.d, buffer);
    Floats sums[slots] = {};
    eachRegister(p.d, [&](int64_t k, auto access, int slot) {
      sums[slot] += access.load(out + k) * access.load(m.doutRows + i * p.stride + k);
    });
    m.delta[i] = sumSlots(sums);
  }
}

void passSegment(const Problem& p, const Segment& segment, int64_t kvHead, float* partials, const Memory& m) {
  const Span& span = *segment.span;
  const int64_t keys = segment.end - segment.begin;
  const auto from = [&](const View& x) {
    return
        [&, token = span.token + segment.begin](int64_t n) { return (token + n) * x.stride(0) + kvHead * x.stride(1); };
  };
  packRows(m.keys, p.k, p.d, keys, from(p.k));
  packRows(m.values, p.v, p.d, keys, from(p.v));
  std::memset(m.dkeys, 0, size_t(keys * p.stride) * 4);
  std::memset(m.dvalues, 0, size_t(keys * p.stride) * 4);
  for (int64_t t = segment.firstTile; t < segment.endTile; t++) {
    const int64_t row = t * tileRows;
    QueryTile tile;
    tile.open(span, p.scoring, p.group, row, std::min<int64_t>(tileRows, span.queries * p.group - row));
    openRows(p, span, kvHead, row, tile.rows, m.scores, m);
    float* dq = partials + (t - segment.firstTile) * p.stride * tileRows;
    std::memset(dq, 0, size_t(p.stride) * tileRows * 4);
    for (int64_t key = segment.begin; key < segment.end; key += tileKeys) {
      const int64_t count = tile.seen(key, std::min<int64_t>(tileKeys, segment.end - key));
      if (count == 0) continue;
      if (tile.vectors == 1) passTile<1>(tile, p, segment, key, count, dq, m);
      else if (tile.vectors == 2) passTile<2>(tile, p, segment, key, count, dq, m);
      else passTile<3>(tile, p, segment, key, count, dq, m);
    }
  }
  for (int64_t n = 0; n < keys; n++) {
    writeRow(p.dk, from(p.dk)(n), m.dkeys + n * p.stride, p.d);
    writeRow(p.dv, from(p.dv)(n), m.dvalues + n * p.stride, p.d);
  }
}

}  // namespace

void attentionBackward(Device& device, Out dq, Out dk, Out dv, In dout, In q, In k, In v, In out, In lse, In boundaries,
                       float scale, bool causal, int window, float softcap) {
  const int64_t d = q.dim(2), kvHeads = k.dim(1), stride = paddedDim(d);
  if (q.size() == 0) return;
  const Problem p{dk, dv,    dout, q, k, v, out, lse, {scale, causal, window, softcap}, int(q.dim(1) / kvHeads),
                  d,  stride};
  const std::vector<Span> spans = packedSpans(boundaries, q.dim(0));
  for (const View& x : {View(dq), View(dk), View(dv)}) clearOutside(x, spans);
  int64_t blocks = 0, longest = 0;
  const std::vector<Segment> segments = segmentsOf(p, spans, blocks);
  for (const Segment& s : segments) longest = std::max(longest, s.end - s.begin);

  const int64_t block = stride * tileRows, size = Memory::size(longest, stride);
  const Scratch<float> partials(kvHeads * blocks * block), memory(device.threads * size);
  std::vector<const Segment*> order;
  for (const Segment& s : segments) order.push_back(&s);
  std::stable_sort(order.begin(), order.end(), [](const Segment* a, const Segment* b) {
    return (a->endTile - a->firstTile) * (a->end - a->begin) > (b->endTile - b->firstTile) * (b->end - b->begin);
  });
  device.parallelFor(int64_t(order.size()) * kvHeads, [&](int64_t i, int thread) {
    const Segment& segment = *order[i / kvHeads];
    const int64_t kvHead = i % kvHeads;
    passSegment(p, segment, kvHead, partials + (kvHead * blocks + segment.partial) * block,
                Memory(memory + thread * size, longest, stride));
  });

  // dq: the segments' parts in order, into the first one that has any.
  float ones[tileRows];
  std::fill(ones, ones + tileRows, 1.0f);
  struct Task {
    int64_t firstSegment, tile;
  };
  std::vector<Task> tasks;
  for (size_t s = 0; s < segments.size(); s++)
    if (segments[s].begin == 0)
      for (int64_t tile = 0; tile < p.tilesOf(*segments[s].span); tile++) tasks.push_back({int64_t(s), tile});
  device.parallelFor(int64_t(tasks.size()) * kvHeads, [&](int64_t i, int thread) {
    const auto [first, tile] = tasks[i / kvHeads];
    const int64_t kvHead = i % kvHeads;
    const Span& span = *segments[first].span;
    float* buffer = memory + thread * size;
    float* sum = buffer + lanes * stride;
    std::memset(sum, 0, size_t(block) * 4);
    for (int64_t s = first; s < int64_t(segments.size()) && segments[s].span == &span; s++) {
      const Segment& segment = segments[s];
      if (tile < segment.firstTile || tile >= segment.endTile) continue;
      const float* part = partials + (kvHead * blocks + segment.partial + tile - segment.firstTile) * block;
      for (int64_t k = 0; k < block; k += lanes) store(sum + k, load(sum + k) + load(part + k));
    }
    const int64_t row = tile * tileRows;
    unpackLanes(dq, sum, d, int(std::min<int64_t>(tileRows, span.queries * p.group - row)), ones, buffer,
                [&](int64_t r) { return p.place(dq, span, kvHead, row + r); });
  });
}

}  // namespace cpu::CPU_ISA
