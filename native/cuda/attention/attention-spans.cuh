// What attention's kernels share: where sequences lie, which keys a query sees, and the change of a score.
//
// The rows of one key-value head are its queries' heads one after the other: row r of a sequence is query r / group,
// head r % group of the group that shares the key-value head. A tile of rows therefore reads its keys once for all of
// them. Exponents are base 2.
//
// Boundaries and lengths are device memory, which the host must not wait for. So a grid covers the worst case: sequence
// s gets the slots from begin(s) · group / tileRows + s on, enough for its tiles wherever it begins, and a block finds its
// sequence by bisection. The tokens before the first sequence and after the last are sequences without keys.
#pragma once
#include "../device/fault.cuh"
#include "../tools/reduce.cuh"
#include "../tools/vector.cuh"

namespace cuda {

constexpr float log2e = 1.44269504f, ln2 = 0.693147181f;

// In this namespace min and max are the element-wise kernels.
__host__ __device__ constexpr int least(int a, int b) { return a < b ? a : b; }
__host__ __device__ constexpr int greatest(int a, int b) { return a > b ? a : b; }

// One sequence: its queries are `queries` tokens from `token` on, the last ones among `keys` keys.
struct Span {
  int sequence, token, queries, keys;
  __device__ int position(int query) const { return keys - queries + query; }
};

struct Sequences {
  const int32_t* boundaries;  // [count + 1]
  const int32_t* lengths;     // keys of each sequence; null: its queries
  int count, tokens, mostKeys;
  FaultNote note;

  Sequences(const View& boundaries, int64_t tokens, FaultNote note)
      : boundaries(boundaries.data<int32_t>()),
        lengths(nullptr),
        count(int(boundaries.size()) - 1),
        tokens(int(tokens)),
        mostKeys(int(tokens)),
        note{note.faults, note.kind, tokens} {}

  int slots(int group, int tileRows) const { return int(int64_t(tokens) * group / tileRows) + count + 2; }

  // Notes what is wrong with sequence s; s = count is the end of the last.
  __device__ void check(int s) const {
    const int begin = boundaries[s];
    if (begin < (s > 0 ? boundaries[s - 1] : 0) || begin > tokens) note(s, begin);
    if (s == count || lengths == nullptr) return;
    const int length = lengths[s], queries = boundaries[s + 1] - begin;
    if (length <= 0 || queries == 0) return;
    if (length < queries) FaultNote{note.faults, Faults::pagedTokens}(s, length, queries);
    else if (length > mostKeys) FaultNote{note.faults, Faults::pagedLength}(s, length, mostKeys);
  }
  // The same for all, by a whole block.
  __device__ void checkAll() const {
    for (int s = int(threadIdx.x); s <= count; s += int(blockDim.x)) check(s);
  }

  // Where part i begins: part 0 and part count + 1 are the tokens outside all sequences. Whatever the boundaries hold,
  // parts stay within the tokens.
  __device__ int begin(int part) const {
    if (part == 0) return 0;
    if (part == count + 2) return tokens;
    return least(greatest(boundaries[part - 1], 0), tokens);
  }
  __device__ Span span(int part) const {
    Span span{part - 1, begin(part), 0, 0};
    span.queries = begin(part + 1) - span.token;
    if (part > 0 && part <= count) span.keys = lengths ? least(lengths[part - 1], mostKeys) : span.queries;
    return span;
  }
  // The part that holds a token.
  __device__ Span spanOf(int token) const {
    int low = 0, high = count + 1;
    while (low < high) {
      const int middle = (low + high + 1) / 2;
      if (begin(middle) <= token) low = middle;
      else high = middle - 1;
    }
    return span(low);
  }
  // The tile of a slot: its span and first row. False if there is none.
  __device__ bool find(int slot, int group, int tileRows, Span& found, int& row) const {
    int low = 0, high = count + 1;
    while (low < high) {
      const int middle = (low + high + 1) / 2;
      if (begin(middle) * group / tileRows + middle <= slot) low = middle;
      else high = middle - 1;
    }
    found = span(low);
    row = (slot - (found.token * group / tileRows + low)) * tileRows;
    return row < found.queries * group;
  }
};

// Keys [first, end).
struct KeyRange {
  int first, end;
};

// A block's place in a grid of slots and key-value heads. The grid lies along x alone, where two thousand million blocks
// have room (65535 along y and z); the heads of a slot are neighbours.
struct BlockPlace {
  int kvHead, slot, slots;
  __device__ explicit BlockPlace(int kvHeads)
      : kvHead(int(blockIdx.x % unsigned(kvHeads))),
        slot(int(blockIdx.x / unsigned(kvHeads))),
        slots(int(gridDim.x / unsigned(kvHeads))) {}
  // The last tiles see most keys: with this slot they go first.
  __device__ int fromLast() const { return slots - 1 - slot; }
};
inline unsigned placesOf(int slots, int kvHeads) { return unsigned(slots) * unsigned(kvHeads); }

struct Scoring {
  float scale;
  float inner;     // with a softcap, a product q·k times this is the argument of tanh
  float exponent;  // transform(product) times this is an exponent of 2; above 0
  bool causal, capped, negative;
  int window;
  int reach;  // a row sees keys before its position + reach

  Scoring(float scale, bool causal, int window, float softcap)
      : scale(scale),
        inner(softcap > 0 ? scale / softcap : 1),
        // Masked scores are -inf, and -inf · 0 would be NaN.
        exponent(fmaxf((softcap > 0 ? softcap : fabsf(scale)) * log2e, 1e-30f)),
        causal(causal),
        capped(softcap > 0),
        negative(scale < 0),
        window(window),
        reach(causal       ? 1
              : window > 0 ? window
                           : 0x7fffffff) {}

  __device__ int firstKey(int position) const { return window > 0 && position >= window ? position - window + 1 : 0; }
  __device__ int endKey(int position, int keys) const { return position < keys - reach ? position + reach : keys; }
  __device__ bool plain() const { return !capped && !negative; }
  __device__ float transform(float product) const {
    return capped ? tanhf(product * inner) : negative ? -product : product;
  }
  // The same to the precision of 16-bit formats.
  __device__ float quickTransform(float product) const {
    return capped ? 1 - __fdividef(2.0f, 1 + ptx::exp2(product * inner * (2 * log2e))) : negative ? -product : product;
  }
  // The derivative of the score by the product, given transform(product).
  __device__ float slope(float transformed) const { return capped ? scale * (1 - transformed * transformed) : scale; }

  // The keys that some row of queries [first, last] sees, and the keys that all rows see.
  __device__ KeyRange some(const Span& span, int first, int last) const {
    return {firstKey(span.position(first)), endKey(span.position(last), span.keys)};
  }
  __device__ KeyRange all(const Span& span, int first, int last) const {
    return {firstKey(span.position(last)), endKey(span.position(first), span.keys)};
  }
  __device__ bool sees(int position, int key, int keys) const {
    return key >= firstKey(position) && key < endKey(position, keys);
  }
};

// Strides of a tensor [tokens, heads, d] in elements.
struct Strides {
  int64_t token, head;
  Strides(const View& x) : token(x.stride(0)), head(x.stride(1)) {}

  // Row r of a span's rows of one key-value head.
  __device__ int64_t row(const Span& span, int kvHead, int group, int r) const {
    return int64_t(span.token + r / group) * token + int64_t(kvHead * group + r % group) * head;
  }
  __device__ int64_t key(const Span& span, int kvHead, int n) const {
    return int64_t(span.token + n) * token + int64_t(kvHead) * head;
  }
};

// Keys and values that lie side by side in packed tensors.
struct PackedKeys {
  Strides k, v;
  __device__ int64_t key(const Span& span, int kvHead, int n) const { return k.key(span, kvHead, n); }
  __device__ int64_t value(const Span& span, int kvHead, int n) const { return v.key(span, kvHead, n); }
};

// Keys and values in the blocks of a cache [blocks, kvHeads, blockSize, d].
struct PagedKeys {
  const int32_t* tables;
  int maxBlocks, blocks, blockSize, shift, kvHeads, d;
  FaultNote note;

  PagedKeys(const View& cache, const View& tables, Faults* faults)
      : tables(tables.data<int32_t>()),
        maxBlocks(int(tables.dim(1))),
        blocks(int(cache.dim(0))),
        blockSize(int(cache.dim(2))),
        shift(-1),
        kvHeads(int(cache.dim(1))),
        d(int(cache.dim(3))),
        note{faults, Faults::pagedBlock, cache.dim(0)} {
    for (int s = 0; s < 31; s++)
      if (blockSize == 1 << s) shift = s;
  }
  // The row of the caches where key n lies; -1 where the table names no block of them.
  __device__ int row(const Span& span, int kvHead, int n) const {
    const int index = shift >= 0 ? n >> shift : n / blockSize;
    const int block = tables[int64_t(span.sequence) * maxBlocks + index];
    if (unsigned(block) >= unsigned(blocks)) {
      note(span.sequence, block);
      return -1;
    }
    return (block * kvHeads + kvHead) * blockSize + (n - index * blockSize);
  }
  __device__ int64_t key(const Span& span, int kvHead, int n) const {
    const int at = row(span, kvHead, n);
    return at < 0 ? -1 : int64_t(at) * d;
  }
  __device__ int64_t value(const Span& span, int kvHead, int n) const { return key(span, kvHead, n); }
};

// Whether 16-bit rows may be copied 16 bytes at a time.
inline bool inChunks(const View& x) {
  const int64_t steps = x.stride(0) | x.stride(1);
  return x.dim(x.rank - 1) % 8 == 0 && steps % 8 == 0 && reinterpret_cast<uintptr_t>(x.bytes) % 16 == 0;
}
inline bool is16Bit(DType dtype) { return dtype == DType::bf16 || dtype == DType::f16; }

}  // namespace cuda
