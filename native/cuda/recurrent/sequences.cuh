// Sequences of a packed batch for kernels that carry a state from token to token, and the places of those states.
//
// Boundaries and places are device memory, which the host must not wait for: what is wrong with them is noted, and whatever
// they hold, no kernel leaves its tensors.
#pragma once
#include "../device/fault.cuh"
#include "../tools/vector.cuh"

namespace cuda {

struct Sequence {
  int begin, end;  // tokens
  int place;       // of its state; -1 where none is kept
};

struct PackedSequences {
  const int32_t *boundaries, *places;
  int count, tokens, placeCount;
  FaultNote badBoundary, badPlace;

  PackedSequences(const View& boundaries, int64_t tokens, const View& states, const View& places, FaultNote badBoundary,
                  FaultNote badPlace)
      : boundaries(boundaries.data<int32_t>()),
        places(states ? places.data<int32_t>() : nullptr),
        count(int(boundaries.size()) - 1),
        tokens(int(tokens)),
        placeCount(states ? int(states.dim(0)) : 0),
        badBoundary{badBoundary.faults, badBoundary.kind, tokens},
        badPlace{badPlace.faults, badPlace.kind, placeCount} {}

  __device__ int boundary(int i) const {
    const int at = boundaries[i];
    return at < 0 ? 0 : at > tokens ? tokens : at;
  }
  __device__ Sequence operator[](int s) const {
    Sequence found{boundary(s), boundary(s + 1), -1};
    if (places == nullptr || found.end <= found.begin) return found;
    found.place = places[s];
    if (unsigned(found.place) < unsigned(placeCount)) return found;
    badPlace(s, found.place);
    found.place = -1;
    return found;
  }
  // The sequence of a token; -1 for tokens outside all.
  __device__ int of(int token) const {
    int low = 0, high = count;  // the number of boundaries that are at most `token`
    while (low < high) {
      const int middle = (low + high) / 2;
      if (boundary(middle) <= token) low = middle + 1;
      else high = middle;
    }
    return low == count && boundary(count) <= token ? -1 : low - 1;
  }
  // Notes what is wrong with the boundaries; by a whole block.
  __device__ void check() const {
    for (int s = int(threadIdx.x); s <= count; s += int(blockDim.x))
      if (const int at = boundaries[s]; at < (s > 0 ? boundaries[s - 1] : 0) || at > tokens) badBoundary(s, at);
  }
};

}  // namespace cuda
