// The rendezvous of a warp's lanes.
#include "warp.h"
#include <cstring>
#include "../memory/shared.h"
#include "report.h"

namespace simt {
namespace {

void complete(Warp& warp, size_t i) {
  const Meeting meeting = warp.meetings[i];
  warp.meetings.erase(warp.meetings.begin() + std::ptrdiff_t(i));
  void* arguments[32] = {};
  bool fenced = false;
  for (uint32_t rest = meeting.arrived; rest; rest &= rest - 1) {
    const int lane = __builtin_ctz(rest);
    arguments[lane] = warp.lanes[lane].argument;
    fenced |= warp.lanes[lane].fenced;
  }
  if (fenced) warp.block->shared->publish(*warp.block);
  meeting.complete(arguments, meeting.arrived);
  warp.ready |= meeting.arrived;
}

std::string masks(const Meeting& meeting, uint32_t mask) {
  char text[64];
  std::snprintf(text, sizeof text, "0x%08x, in %s it is 0x%08x", mask, meeting.operation, meeting.mask);
  return text;
}

// The meeting of these lanes, a new one if there is none. A lane can be in one meeting only, so masks may not overlap.
size_t find(Warp& warp, const char* operation, uint32_t mask, Complete complete) {
  for (size_t i = 0; i < warp.meetings.size(); i++) {
    const Meeting& open = warp.meetings[i];
    if (!(open.mask & mask)) continue;
    if (open.mask != mask && (open.mask & mask & warp.live))
      fault(std::string(operation) + ": the warp diverged: the mask is " + masks(open, mask) + ", where " +
            lanesIn(open.arrived) + " wait");
    if (open.mask != mask) continue;
    if (open.complete != complete || std::strcmp(open.operation, operation) != 0)
      fault(std::string(operation) + ": the warp diverged: " + lanesIn(open.arrived) + " wait in " + open.operation);
    return i;
  }
  warp.meetings.push_back({operation, mask, 0, complete});
  return warp.meetings.size() - 1;
}

}  // namespace

void meet(const char* operation, uint32_t mask, void* argument, Complete onComplete, bool aligned) {
  Thread& me = *current;
  Warp& warp = *me.warp;
  const uint32_t lane = 1u << me.lane;
  if (!(mask & lane)) fault(std::string(operation) + ": the lane that calls it is not in its mask");
  if (aligned && warp.live != ~0u)
    fault(std::string(operation) + ": all 32 lanes must take part, and only " + lanesIn(warp.live) + " can");
  const size_t i = find(warp, operation, mask, onComplete);
  me.argument = argument;
  warp.meetings[i].arrived |= lane;
  if ((warp.meetings[i].arrived & mask) == (mask & warp.live)) complete(warp, i);
  else sleep({operation});
}

void meetingsAfterReturn(Warp& warp) {
  for (size_t i = 0; i < warp.meetings.size(); i++) {
    const Meeting& open = warp.meetings[i];
    if ((open.mask & warp.live) != open.arrived) continue;
    complete(warp, i);
    i = size_t(-1);
  }
}

}  // namespace simt
