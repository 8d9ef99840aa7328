// The tiled forward pass of attention over one run of query rows: an online softmax (Milakov and Gimelshein 2018; Dao et
// al. 2022), so that scores exist one tile at a time. Used for packed sequences and for the paged cache, which differ in
// where a tile of keys is copied from.
#pragma once
#include "attention-tile.h"

namespace cpu::CPU_ISA {

// Rows that share one copy of each tile of keys: with 192 the copies are a tenth of the work, with 96 a fifth.
constexpr int runRows = 192, tilesPerRun = runRows / tileRows;
static_assert(runRows % tileRows == 0);

// One thread's memory.
class RunScratch {
 public:
  RunScratch(int threads, int64_t d)
      : stride_(paddedDim(d)), floats_(threads * size()), tiles_(threads * tilesPerRun) {}

  QueryTile* tiles(int thread) const {
    QueryTile* tiles = tiles_ + thread * tilesPerRun;
    for (int i = 0; i < tilesPerRun; i++) {
      tiles[i].q = at(thread) + i * 2 * stride_ * tileRows;
      tiles[i].sum = tiles[i].q + stride_ * tileRows;
    }
    return tiles;
  }
  float* keys(int thread) const { return at(thread) + tilesPerRun * 2 * stride_ * tileRows; }
  float* values(int thread) const { return keys(thread) + tileKeys * stride_; }
  float* scores(int thread) const { return values(thread) + tileKeys * stride_; }

 private:
  int64_t size() const { return tilesPerRun * 2 * stride_ * tileRows + 2 * tileKeys * stride_ + tileKeys * tileRows; }
  float* at(int thread) const { return floats_ + thread * size(); }

  int64_t stride_;
  Scratch<float> floats_;
  Scratch<QueryTile> tiles_;
};

// Takes `count` keys from `key` on into a tile's softmax. V registers of rows are in use.
template <int V>
void attendTile(QueryTile& tile, const Scoring& scoring, int64_t d, int64_t key, int64_t count, const float* keys,
                const float* values, float* scores) {
  const int64_t stride = paddedDim(d);
  multiply<V>(count, d, scores, tileRows, {keys, stride, 1}, tile.q, tileRows, fromZero);

  Floats before[V], most[V], factor[V], total[V];
  for (int v = 0; v < V; v++) most[v] = before[v] = load(tile.most + v * lanes);
  const auto each = [&](auto&& score) {
    for (int64_t n = 0; n < count; n++)
#pragma GCC unroll 3
      for (int v = 0; v < V; v++) {
        float* at = scores + n * tileRows + v * lanes;
        const Floats s = score(load(at), n, v);
        store(at, s);
        most[v] = max(most[v], s);
      }
  };
  const bool all = tile.seesAll(key, count);
  const float cap = scoring.softcap * log2e;
  if (cap > 0)
    each([&](Floats s, int64_t n, int v) { return all ? cap * tanh(s) : masked(cap * tanh(s), key + n, tile, v); });
  else if (!all) each([&](Floats s, int64_t n, int v) { return masked(s, key + n, tile, v); });
  else
    for (int64_t n = 0; n < count; n++)
#pragma GCC unroll 3
      for (int v = 0; v < V; v++) most[v] = max(most[v], load(scores + n * tileRows + v * lanes));

  // A row that has seen no key yet has the maximum -inf, and -inf - -inf is NaN.
  Floats shift[V];
  for (int v = 0; v < V; v++) {
    shift[v] = select(most[v] == -INFINITY, Floats{}, most[v]);
    factor[v] = exp2(before[v] - shift[v]);
    total[v] = load(tile.total + v * lanes) * factor[v];
  }
  for (int64_t n = 0; n < count; n++)
#pragma GCC unroll 3
    for (int v = 0; v < V; v++) {
      float* at = scores + n * tileRows + v * lanes;
      const Floats p = exp2(load(at) - shift[v]);
      total[v] += p;
      store(at, p);
    }
  for (int v = 0; v < V; v++) {
    store(tile.most + v * lanes, most[v]);
    store(tile.total + v * lanes, total[v]);
  }
  multiply<V>(d, count, tile.sum, tileRows, {values, 1, stride}, scores, tileRows,
              [&](const float* sum, int v) { return load(sum) * factor[v]; });
}

// Attends `count` rows from `row` on of one sequence and key-value head, and writes out (and lse, if there is one).
// copyKeys(key, count, keys, values) copies keys and values as rows of padded d.
template <class CopyKeys>
void attendRun(const View& out, const View& lse, const View& q, const Scoring& scoring, const Span& span,
               int64_t kvHead, int group, int64_t row, int64_t count, const RunScratch& scratch, int thread,
               CopyKeys&& copyKeys) {
  const int64_t d = q.dim(2), stride = paddedDim(d);
  QueryTile* tiles = scratch.tiles(thread);
  float *keys = scratch.keys(thread), *values = scratch.values(thread), *scores = scratch.scores(thread);
  const int tileCount = int((count + tileRows - 1) / tileRows);
  const auto place = [&](const View& x, int64_t r) {
    return (span.token + r / group) * x.stride(0) + (kvHead * group + r % group) * x.stride(1);
  };
  for (int t = 0; t < tileCount; t++) {
    const int64_t from = row + t * tileRows, rest = row + count - from;
    tiles[t].open(span, scoring, group, from, rest < tileRows ? rest : tileRows);
    for (int i = 0; i < tileRows; i++) {
      tiles[t].most[i] = -INFINITY;
      tiles[t].total[i] = 0;
    }
    std::memset(tiles[t].sum, 0, size_t(stride) * tileRows * 4);
    packLanes(tiles[t].q, q, d, tiles[t].rows, scoring.queryScale(), [&](int i) { return place(q, from + i); });
  }

  const int64_t end = tiles[tileCount - 1].endKey;
  for (int64_t key = tiles[0].firstKey / tileKeys * tileKeys; key < end; key += tileKeys) {
    const int64_t some = end - key < tileKeys ? end - key : tileKeys;
    copyKeys(key, some, keys, values);
    for (int t = 0; t < tileCount; t++) {
      const int64_t seen = tiles[t].seen(key, some);
      if (seen == 0) continue;
      if (tiles[t].vectors == 1) attendTile<1>(tiles[t], scoring, d, key, seen, keys, values, scores);
      else if (tiles[t].vectors == 2) attendTile<2>(tiles[t], scoring, d, key, seen, keys, values, scores);
      else attendTile<3>(tiles[t], scoring, d, key, seen, keys, values, scores);
    }
  }

  for (int t = 0; t < tileCount; t++) {
    const int64_t from = row + t * tileRows;
    QueryTile& tile = tiles[t];
    if (lse)
      for (int i = 0; i < tile.rows; i++)
        lse.data<float>()[(kvHead * group + (from + i) % group) * lse.dim(1) + span.token + (from + i) / group] =
            tile.total[i] == 0 ? -INFINITY : tile.most[i] * ln2 + std::log(tile.total[i]);
    for (int i = 0; i < tileRows; i++) tile.total[i] = tile.total[i] == 0 ? 0 : 1 / tile.total[i];
    unpackLanes(out, tile.sum, d, tile.rows, tile.total, keys, [&](int i) { return place(out, from + i); });
  }
}

}  // namespace cpu::CPU_ISA
