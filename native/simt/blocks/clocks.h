// Vector clocks of warps: the happens-before relation. A release ticks the warp's own entry and leaves its clock at the
// barrier; an acquire joins the barrier's clock into the warp's.
#pragma once
#include <algorithm>
#include <cstdint>
#include <vector>

namespace simt {

struct Clock {
  std::vector<uint32_t> ticks;  // by the warp's place in its group

  void reset(size_t warps) { ticks.assign(warps, 0); }
  void join(const Clock& other) {
    if (ticks.size() < other.ticks.size()) ticks.resize(other.ticks.size());
    for (size_t i = 0; i < other.ticks.size(); i++) ticks[i] = std::max(ticks[i], other.ticks[i]);
  }
};

}  // namespace simt
