// Names of places, and the report of a deadlock.
#include "report.h"
#include <cstdio>
#include <map>

namespace simt {
namespace {

std::string triple(const uint3& v) {
  return "(" + std::to_string(v.x) + ", " + std::to_string(v.y) + ", " + std::to_string(v.z) + ")";
}

std::string text(const Wait& wait) {
  char line[160];
  std::snprintf(line, sizeof line, wait.what, wait.id, wait.detail);
  return line;
}

std::string waitsOf(const Warp& warp) {
  std::map<std::string, uint32_t> lanes;
  for (uint32_t rest = warp.live; rest; rest &= rest - 1) {
    const int lane = __builtin_ctz(rest);
    lanes[text(warp.lanes[lane].wait)] |= 1u << lane;
  }
  std::string all;
  for (const auto& [what, mask] : lanes) {
    if (!all.empty()) all += ", ";
    all += lanes.size() == 1 && mask == ~0u ? what : lanesIn(mask) + ": " + what;
  }
  return all;
}

}  // namespace

std::string placeOf(const Block& block) { return "block " + triple(block.index); }
std::string placeOf(const Thread& thread) { return placeOf(*thread.block) + ", thread " + triple(thread.index); }

std::string lanesIn(uint32_t mask) {
  std::string list = mask & (mask - 1) ? "lanes " : "lane ";
  for (int lane = 0; lane < 32; lane++) {
    if (!(mask >> lane & 1)) continue;
    int last = lane;
    while (last < 31 && (mask >> (last + 1) & 1)) last++;
    if (list.back() != ' ') list += ", ";
    list += std::to_string(lane);
    if (last > lane) list += "-" + std::to_string(last);
    lane = last;
  }
  return list;
}

std::string describeDeadlock(const Group& group) {
  std::string report = "deadlock:";
  for (const Block& block : group.blocks) {
    if (block.live == 0) continue;
    report += (report.back() == ':' ? " " : "; ") + placeOf(block);
    for (size_t w = 0; w < block.warps.size(); w++) {
      if (!block.warps[w].live) continue;
      const std::string waits = waitsOf(block.warps[w]);
      size_t last = w;
      while (last + 1 < block.warps.size() && block.warps[last + 1].live && waitsOf(block.warps[last + 1]) == waits)
        last++;
      report += last > w ? ", warps " + std::to_string(w) + "-" + std::to_string(last) + " wait for "
                         : ", warp " + std::to_string(w) + " waits for ";
      report += waits;
      w = last;
    }
  }
  return report;
}

}  // namespace simt
