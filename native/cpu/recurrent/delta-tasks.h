// What the forward and the backward pass of the gated delta rule share: heads of packed tensors, chunks of sequences, and
// the products of queries and keys, which the value heads of a key head have in common.
#pragma once
#include "../device.h"
#include "delta-chunk.h"
#include "sequences.h"

namespace cpu::CPU_ISA {

struct Shape {
  HeadSizes sizes;
  int64_t keyHeads, heads, share;  // value heads of one key head
  Shape(const View& k, const View& v)
      : sizes{k.dim(2), v.dim(2)}, keyHeads(k.dim(1)), heads(v.dim(1)), share(v.dim(1) / k.dim(1)) {}
};

// Rows of one head of x [tokens, heads, d], `n` from token `at` on.
inline void readHead(const Panel& to, const View& x, int64_t head, int64_t at, int64_t n) {
  const int64_t d = x.dim(2);
  for (int64_t i = 0; i < n; i++) {
    float* row = to.row(i);
    const float* from = readRow(x, ((at + i) * x.dim(1) + head) * d, d, row);
    if (from != row) std::memcpy(row, from, size_t(d) * 4);
    std::fill(row + d, row + to.step, 0.0f);
  }
}
inline void writeHead(const View& x, int64_t head, int64_t at, int64_t n, const Panel& from) {
  const int64_t d = x.dim(2);
  for (int64_t i = 0; i < n; i++) writeRow(x, ((at + i) * x.dim(1) + head) * d, from.row(i), d);
}

inline void readState(const Panel& to, const float* from, const HeadSizes& sizes) {
  for (int64_t i = 0; i < sizes.dk; i++) {
    std::memcpy(to.row(i), from + i * sizes.dv, size_t(sizes.dv) * 4);
    std::fill(to.row(i) + sizes.dv, to.row(i) + to.step, 0.0f);
  }
}
inline void clear(const Panel& panel, int64_t rows) { std::memset(panel.data, 0, size_t(rows * panel.step) * 4); }

// The numbers that a thread's panels take.
template <class Tiles>
int64_t roomFor(const HeadSizes& sizes) {
  Room room;
  Tiles(room, sizes);
  return room.taken();
}

// Pieces of at most `chunkTokens` tokens, sequence after sequence.
struct Chunks {
  struct Chunk {
    int64_t token, n;
  };
  std::vector<Chunk> all;
  std::vector<int64_t> first;  // of each sequence, and the end
  Chunks(const std::vector<Sequence>& sequences, bool single) : first{0} {
    for (const Sequence& sequence : sequences) {
      if (single || sequence.end - sequence.begin > 1)
        for (int64_t t = sequence.begin; t < sequence.end; t += chunkTokens)
          all.push_back({t, std::min(chunkTokens, sequence.end - t)});
      first.push_back(int64_t(all.size()));
    }
  }
  int64_t count(int64_t s) const { return first[size_t(s) + 1] - first[size_t(s)]; }
  // The number among all of chunk i of sequence s.
  int64_t at(int64_t s, int64_t i) const { return first[size_t(s)] + i; }
  const Chunk& operator()(int64_t s, int64_t i) const { return all[size_t(at(s, i))]; }
};

// The pairs of all chunks, by key head.
class AllPairs {
 public:
  AllPairs(Device& device, const Chunks& chunks, const View& q, const View& k, bool erases)
      : keyHeads_(k.dim(1)), erases_(erases), numbers_(int64_t(chunks.all.size()) * keyHeads_ * each()) {
    const HeadSizes sizes{k.dim(2), 0};
    const int64_t room = roomFor<Turning>(sizes);
    const Scratch<float> rooms(device.threads * room);
    device.parallelFor(int64_t(chunks.all.size()) * keyHeads_, [&](int64_t task, int thread) {
      const auto [token, n] = chunks.all[size_t(task / keyHeads_)];
      const int64_t keyHead = task % keyHeads_;
      Room taken(rooms + thread * room);
      const Turning at(taken, sizes);
      readHead(at.keys.q, q, keyHead, token, n);
      readHead(at.keys.k, k, keyHead, token, n);
      (*this)(task / keyHeads_, keyHead).multiply(at.keys, at.turned, n, sizes.dk, erases_);
    });
  }
  Pairs operator()(int64_t chunk, int64_t keyHead) const {
    float* at = numbers_ + (chunk * keyHeads_ + keyHead) * each();
    const int64_t step = padded(chunkTokens);
    return {{at, step}, {erases_ ? at + chunkTokens * step : nullptr, step}};
  }

 private:
  struct Turning {
    Keys keys;
    Panel turned;
    Turning(Room& room, const HeadSizes& sizes) : keys(room, sizes), turned(room.panel(sizes.dk, chunkTokens)) {}
  };
  int64_t each() const { return (erases_ ? 2 : 1) * chunkTokens * padded(chunkTokens); }

  int64_t keyHeads_;
  bool erases_;
  Scratch<float> numbers_;
};

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

}  // namespace cpu::CPU_ISA
