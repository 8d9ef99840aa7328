// Products of rows with one matrix for each group of them: what the kernels are given, and which rows a block has.
//
// Where groups begin is read on the device, so that a launch may be captured: the grid has a block for every tile that there
// could be, each finds its own, and those without one end.
#pragma once
#include "../device/fault.cuh"
#include "../tools/reduce.cuh"
#include "matmul-product.cuh"

namespace cuda {

struct Groups {
  const int32_t* segments;  // [count + 1]
  int count, first, rows;   // row i of the operands is row first + i of the segments
  FaultNote badSegment, badRows;

  // Rows of a group among the operands' own; none where the segments are wrong.
  __device__ __forceinline__ int edge(int g) const {
    const int at = segments[g] - first;
    return at < 0 ? 0 : at < rows ? at : rows;
  }

  // By a warp of one block: reports the first group whose rows are wrong, or rows that no group has.
  __device__ void check(int lane) const {
    for (int before = 0; before < count; before += 32) {
      const int g = before + lane;
      const int from = g < count ? segments[g] : 0, to = g < count ? segments[g + 1] : 0;
      const unsigned wrong = __ballot_sync(wholeWarp, from < 0 || from > to);
      if (wrong == 0) continue;
      FaultNote bad = badSegment;
      bad.axis = from;
      if (lane == __ffs(int(wrong)) - 1) bad(g, to);
      return;
    }
    if (lane > 0 || (segments[0] <= first && segments[count] >= first + rows)) return;
    FaultNote bad = badRows;
    bad.axis = segments[0];
    bad(first, segments[count], first + rows);
  }
};

// Rows [begin, end) of one group, of which a tile has the first; group -1 is no tile.
struct GroupTile {
  int group, begin, end;
};

// The tile of this number, all groups' tiles counted one after the other. The whole warp calls it.
__device__ __forceinline__ GroupTile findTile(const Groups& groups, uint32_t number, int tile) {
  const int lane = int(threadIdx.x) % 32;
  uint32_t before = 0;
  for (int from = 0; from < groups.count; from += 32) {
    const int g = from + lane;
    const int begin = g < groups.count ? groups.edge(g) : 0, end = g < groups.count ? groups.edge(g + 1) : 0;
    const uint32_t tiles = end > begin ? uint32_t((end - begin + tile - 1) / tile) : 0;
    uint32_t through = tiles;  // this group's tiles and those of the groups before it
#pragma unroll
    for (int step = 1; step < 32; step *= 2) {
      const uint32_t other = __shfl_up_sync(wholeWarp, through, step);
      if (lane >= step) through += other;
    }
    const unsigned beyond = __ballot_sync(wholeWarp, before + through > number);
    if (beyond) {
      const int found = __ffs(int(beyond)) - 1;
      const uint32_t inside = number - before - __shfl_sync(wholeWarp, through - tiles, found);
      return {from + found, __shfl_sync(wholeWarp, begin, found) + int(inside) * tile,
              __shfl_sync(wholeWarp, end, found)};
    }
    before += __shfl_sync(wholeWarp, through, 31);
  }
  return {-1, 0, 0};
}

// Tiles that `rows` rows in `groups` groups have at most.
inline int64_t mostTiles(int64_t rows, int64_t groups, int64_t tile) {
  return rows / tile + (groups < rows ? groups : rows);
}

// out [rows, N] = a [rows, K] × b[g] [K, N] (matmul), or out[g] [M, N] = Σ over the group's rows a' × b (outer).
struct GroupedProduct {
  Operand a, b;
  int64_t bGroup = 0;  // from one group's matrix to the next, for matmul
  int64_t M = 0, N = 0, K = 0;
  Groups groups;
};

// The finish of one group's rows: its own bias, and no row of the next group.
__device__ __forceinline__ Finish finishOf(const Finish& all, const GroupTile& tile) {
  Finish own = all;
  own.M = tile.end;
  if (own.bias.bytes)
    own.bias.bytes =
        static_cast<char*>(own.bias.bytes) + int64_t(tile.group) * all.N * (own.bias.dtype == DType::f32 ? 4 : 2);
  return own;
}

// The kernels, each in a file of its own. `first` is the finish of all rows, or of the first group's matrix.
void groupedFloats(Device& device, const GroupedProduct& product, const Finish& finish);
void groupedFloatOuter(Device& device, const GroupedProduct& product, const Finish& finish);

}  // namespace cuda
