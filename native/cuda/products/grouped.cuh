// Products of rows with one matrix for each group of them: what the kernels are given, and which rows a block has.
//
// Where groups begin is read on the device, so that a launch may be captured: the grid has a block for every tile that there
// could be, each finds its own, and those without one end. Groups without rows have no tile: their matrices are not read.
#pragma once
#include "../device/fault.cuh"
#include "../tools/reduce.cuh"
#include "matmul-product.cuh"

namespace cuda {

struct Groups {
  const int32_t* segments;  // [count + 1]
  int count, first, rows;   // row i of the operands is row first + i of the segments
  FaultNote badSegment, badRows;

  // Where group g begins among the operands' own rows, kept within these where the segments are wrong.
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
struct RowTile {
  int group, begin, end;
};

// The tiles of all groups, counted one after the other. Whole warps call it.
class RowTiles {
 public:
  // Tiles have 2^shift rows.
  __device__ RowTiles(const Groups& groups, int shift) : groups_(groups), shift_(shift) {}

  __device__ __forceinline__ RowTile find(uint32_t number) const {
    uint32_t before = 0;
    for (int from = 0; from < groups_.count; from += perWarp) {
      const Lane own(*this, from);
      const unsigned beyond = __ballot_sync(wholeWarp, before + own.through > number);
      if (beyond == 0) {
        before += __shfl_sync(wholeWarp, own.through, 31);
        continue;
      }
      RowTile tile{0, 0, 0};
      uint32_t passed = before + own.through - own.count;
#pragma unroll
      for (int i = 0; i < perLane; i++) {
        const uint32_t tiles = tilesOf(own.edges[i], own.edges[i + 1]);
        if (number >= passed && number < passed + tiles)
          tile = {own.group + i, own.edges[i] + (int(number - passed) << shift_), own.edges[i + 1]};
        passed += tiles;
      }
      const int found = __ffs(int(beyond)) - 1;
      return {__shfl_sync(wholeWarp, tile.group, found), __shfl_sync(wholeWarp, tile.begin, found),
              __shfl_sync(wholeWarp, tile.end, found)};
    }
    return {-1, 0, 0};
  }

  __device__ __forceinline__ uint32_t count() const {
    uint32_t tiles = 0;
    for (int from = 0; from < groups_.count; from += perWarp)
      tiles += __shfl_sync(wholeWarp, Lane(*this, from).through, 31);
    return tiles;
  }

 private:
  static constexpr int perLane = 4, perWarp = 32 * perLane;  // groups whose edges are on their way at once

  // A lane's groups: where they begin, and the last one ends.
  struct Lane {
    int group, edges[perLane + 1];
    uint32_t count = 0, through;  // their tiles; and those of the lanes before as well

    __device__ __forceinline__ Lane(const RowTiles& tiles, int from) : group(from + int(threadIdx.x) % 32 * perLane) {
      const Groups& groups = tiles.groups_;
#pragma unroll
      for (int i = 0; i <= perLane; i++) edges[i] = groups.edge(group + i < groups.count ? group + i : groups.count);
#pragma unroll
      for (int i = 0; i < perLane; i++) count += tiles.tilesOf(edges[i], edges[i + 1]);
      through = count;
#pragma unroll
      for (int step = 1; step < 32; step *= 2) {
        const uint32_t other = __shfl_up_sync(wholeWarp, through, step);
        if (int(threadIdx.x) % 32 >= step) through += other;
      }
    }
  };

  __device__ __forceinline__ uint32_t tilesOf(int begin, int end) const {
    return end > begin ? uint32_t(end - begin + (1 << shift_) - 1) >> shift_ : 0;
  }

  const Groups& groups_;
  const int shift_;
};

constexpr int log2Of(int x) { return x > 1 ? 1 + log2Of(x / 2) : 0; }

// Tiles that `rows` rows in `groups` groups have at most.
inline int64_t mostTiles(int64_t rows, int64_t groups, int64_t tile) {
  return (rows + (groups < rows ? groups : rows) * (tile - 1)) / tile;
}

// out [rows, N] = a [rows, K] × b[g] [K, N] (matmul), or out[g] [M, N] = Σ over the group's rows a × b (outer). The groups are
// the batches; K of an outer product is all groups' rows.
struct GroupedProduct : Product {
  Groups groups;
};

// One group's rows: its own bias, and no row of the next group.
__device__ __forceinline__ Within within(const Finish& finish, int group, int64_t end) {
  return {end, int64_t(group) * finish.N};
}

// The kernels, each in a file of its own. A finish is that of all rows, or of the first group's matrix.
void groupedFloats(Device& device, const GroupedProduct& product, const Finish& finish);
void groupedFloatOuter(Device& device, const GroupedProduct& product, const Finish& finish);
void groupedTiles(Device& device, const GroupedProduct& product, const Finish& finish, const MatmulPlan& plan);
void groupedTileOuter(Device& device, const GroupedProduct& product, const Finish& finish, const MatmulPlan& plan);
void groupedVectors(Device& device, const GroupedProduct& product, const Finish& finish, const MatmulPlan& plan);
// False where this build's kernel cannot run: groupedTiles then takes the same plan.
bool groupedHopper(Device& device, const GroupedProduct& product, const Finish& finish, const MatmulPlan& plan);

}  // namespace cuda
