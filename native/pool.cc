// Best fit, splitting and joining, and how segments come and go.
#include "pool.h"
#include <algorithm>
#include <bit>
#include <iterator>
#include <stdexcept>
#include <string>

namespace {

constexpr size_t multipleOf(size_t unit, size_t bytes) { return (bytes + unit - 1) / unit * unit; }

// Shared segments are multiples of the least, which is a GPU's page and a large page of the CPU's.
constexpr size_t leastSegment = size_t(2) << 20, mostSegment = size_t(64) << 20;

// Small blocks share a segment of an eighth of what is held: the last one, which may be nearly empty, adds little. A large
// block gets one that is at most a sixteenth larger, so that several of about its size waste little too.
size_t segmentFor(size_t bytes, size_t held) {
  const size_t shared = multipleOf(leastSegment, std::clamp(held / 8, leastSegment, mostSegment));
  if (bytes <= shared / 2) return shared;
  return multipleOf(std::max(size_t(64) << 10, std::bit_floor(bytes) / 16), bytes);
}

// Small blocks of one size that wait to be taken again; more would scatter over the segments.
constexpr size_t mostRecent = 4;

// A pool that grows gives unused segments back first where it would hold more than this many times its highest use.
constexpr double mostHeld = 1.25;

}  // namespace

void* Pool::take(size_t bytes) {
  const size_t size = sizeOf(bytes);
  std::lock_guard lock(mutex_);
  char* block = takeRecent(size);
  if (!block) block = takeFit(size, bytes);
  if (watch_) watch_(block, size, bytes);
  use_.pooled -= int64_t(size);
  use_.used += int64_t(size);
  use_.peak = std::max(use_.peak, use_.used);
  return block;
}

void Pool::give(void* given, size_t bytes) {
  const size_t size = sizeOf(bytes);
  char* const block = static_cast<char*>(given);
  std::lock_guard lock(mutex_);
  if (watch_) watch_(block, size, 0);
  use_.used -= int64_t(size);
  use_.pooled += int64_t(size);
  if (auto* recent = recentOf(size); recent && recent->size() < mostRecent) recent->push_back(block);
  else join(blocks_.find(block));
}

// No device has as much as the bound, which keeps sums from overflowing.
size_t Pool::sizeOf(size_t bytes) const {
  return multipleOf(alignment, std::clamp<size_t>(bytes, 1, size_t(1) << 46) + gap_);
}

std::vector<char*>* Pool::recentOf(size_t size) {
  return size <= recent_.size() * alignment ? &recent_[size / alignment - 1] : nullptr;
}

char* Pool::takeRecent(size_t size) {
  auto* recent = recentOf(size);
  if (!recent || recent->empty()) return nullptr;
  char* const block = recent->back();
  recent->pop_back();
  return block;
}

char* Pool::takeFit(size_t size, size_t asked) {
  auto fit = sizes_.lower_bound({size, nullptr});
  if (fit == sizes_.end()) {
    joinRecent();
    fit = sizes_.lower_bound({size, nullptr});
  }
  const auto at = fit == sizes_.end() ? grow(size, asked) : blocks_.find(fit->second);
  if (fit != sizes_.end()) sizes_.erase(fit);
  Block& block = at->second;
  if (block.bytes > size) {
    Block rest = block;
    rest.bytes -= size;
    block.bytes = size;
    addFree(blocks_.emplace_hint(std::next(at), at->first + size, rest));
  }
  block.isFree = false;
  return at->first;
}

// Makes a block free, as one with the free blocks beside it.
void Pool::join(Blocks::iterator at) {
  at->second.isFree = true;
  const auto isJoined = [&](Blocks::iterator other) {
    return other->second.isFree && other->second.segment == at->second.segment;
  };
  if (const auto next = std::next(at); next != blocks_.end() && isJoined(next)) {
    dropFree(next);
    at->second.bytes += next->second.bytes;
    blocks_.erase(next);
  }
  if (at != blocks_.begin())
    if (const auto before = std::prev(at); isJoined(before)) {
      dropFree(before);
      before->second.bytes += at->second.bytes;
      blocks_.erase(at);
      at = before;
    }
  addFree(at);
}

void Pool::joinRecent() {
  for (auto& blocks : recent_) {
    for (char* block : blocks) join(blocks_.find(block));
    blocks.clear();
  }
}

// A new segment as one block, which is free and not yet among the free ones.
Pool::Blocks::iterator Pool::grow(size_t bytes, size_t asked) {
  size_t size = segmentFor(bytes, size_t(held()));
  const int64_t most = int64_t(mostHeld * double(std::max(use_.peak, use_.used + int64_t(bytes))));
  if (held() + int64_t(size) > most) freeSegments(most - int64_t(size));
  void* segment = allocate_(size);
  if (!segment && use_.pooled > 0) {
    freeSegments(0);
    segment = allocate_(size);
  }
  if (!segment) segment = allocate_(size = multipleOf(alignment, bytes));
  if (!segment)
    throw std::runtime_error("out of memory: asked for " + std::to_string(asked) + " bytes while " +
                             std::to_string(use_.used) + " are in use");
  if (watch_) watch_(segment, size, 0);
  use_.pooled += int64_t(size);
  use_.peakHeld = std::max(use_.peakHeld, held());
  char* const start = static_cast<char*>(segment);
  return blocks_.emplace(start, Block{size, start, size, true}).first;
}

// Frees segments without a block in use, the largest first, while more is held.
void Pool::freeSegments(int64_t untilHeld) {
  for (auto next = sizes_.end(); next != sizes_.begin() && held() > untilHeld;) {
    const auto [bytes, start] = *--next;
    const auto block = blocks_.find(start);
    if (bytes != block->second.segmentBytes) continue;
    free_(start, bytes);
    use_.pooled -= int64_t(bytes);
    blocks_.erase(block);
    next = sizes_.erase(next);
  }
}

void Pool::trim() {
  std::lock_guard lock(mutex_);
  joinRecent();
  freeSegments(0);
}

MemoryUse Pool::memory() {
  std::lock_guard lock(mutex_);
  return use_;
}

void Pool::resetPeak() {
  std::lock_guard lock(mutex_);
  use_.peak = use_.used;
  use_.peakHeld = held();
}
