// Size classes, and the lists of free blocks.
#include "pool.h"
#include <algorithm>
#include <bit>
#include <stdexcept>
#include <string>

namespace {

// Four classes for each power of two: a block is at most a quarter larger than asked.
size_t roundUp(size_t bytes) {
  if (bytes <= 256) return (std::max<size_t>(bytes, 1) + Pool::alignment - 1) / Pool::alignment * Pool::alignment;
  const size_t step = std::bit_floor(bytes - 1) / 4;
  return (bytes + step - 1) / step * step;
}

size_t classOf(size_t rounded) {
  if (rounded <= 256) return rounded / Pool::alignment;
  const size_t power = std::bit_floor(rounded - 1);
  return 4 * std::bit_width(power) + (rounded - power) / (power / 4);
}

}  // namespace

void* Pool::take(size_t bytes) {
  const size_t rounded = roundUp(bytes);
  std::lock_guard lock(mutex_);
  auto& blocks = blocks_[classOf(rounded)];
  void* block = nullptr;
  if (!blocks.empty()) {
    block = blocks.back();
    blocks.pop_back();
    use_.pooled -= int64_t(rounded);
  } else {
    block = allocate_(rounded);
    if (!block && use_.pooled > 0) {
      freeAll();
      block = allocate_(rounded);
    }
    if (!block)
      throw std::runtime_error("out of memory: asked for " + std::to_string(bytes) + " bytes while " +
                               std::to_string(use_.used) + " are in use");
  }
  if (watch_) watch_(block, bytes);
  use_.used += int64_t(rounded);
  use_.peak = std::max(use_.peak, use_.used);
  return block;
}

void Pool::give(void* block, size_t bytes) {
  const size_t rounded = roundUp(bytes);
  std::lock_guard lock(mutex_);
  if (watch_) watch_(block, 0);
  blocks_[classOf(rounded)].push_back(block);
  use_.used -= int64_t(rounded);
  use_.pooled += int64_t(rounded);
}

void Pool::trim() {
  std::lock_guard lock(mutex_);
  freeAll();
}

void Pool::freeAll() {
  for (auto& blocks : blocks_) {
    for (void* block : blocks) free_(block);
    blocks.clear();
  }
  use_.pooled = 0;
}

MemoryUse Pool::memory() {
  std::lock_guard lock(mutex_);
  return use_;
}

void Pool::resetPeak() {
  std::lock_guard lock(mutex_);
  use_.peak = use_.used;
}
