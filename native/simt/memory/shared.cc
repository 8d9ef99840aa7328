// Shared memory: bounds, poison, red zones, the asynchronous units' view and the race shadow.
#include "shared.h"
#include <sys/mman.h>
#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <new>
#include "../blocks/report.h"

namespace simt {

namespace {
constexpr size_t guard = 64 * 1024;  // around the red zones: a wild access traps. The largest page size in use
}

void Shared::release() {
  if (map_) munmap(map_ - guard, room_ + 2 * guard);
  std::free(view_);
  map_ = view_ = nullptr;
  room_ = 0;
}

void Shared::prepare(size_t size, size_t warps) {
  size_ = size;
  warps_ = warps;
  const size_t room = (size + 2 * redZone + guard - 1) / guard * guard;
  if (room > room_) {
    release();
    void* map = mmap(nullptr, room + 2 * guard, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (map == MAP_FAILED) throw std::bad_alloc();
    map_ = static_cast<char*>(map) + guard;
    room_ = room;
    mprotect(map_, room, PROT_READ | PROT_WRITE);
  }
  bytes_ = map_ + redZone;
  std::memset(map_, 0xff, size + 2 * redZone);
  viewed_ = fences_ = false;
  accesses_.clear();
  reads_.clear();
}

uint32_t Shared::addressOf(const void* p) const {
  const char* at = static_cast<const char*>(p);
  if (at < bytes_ || at > bytes_ + size_) fault("sharedAddress: the pointer is not into the block's shared memory");
  return uint32_t(at - bytes_) + first;
}

char* Shared::at(const char* operation, uint32_t address, uint32_t count, uint32_t alignment) const {
  if (address < first || uint64_t(address) + count > first + size_)
    fault(std::string(operation) + ": bytes " + std::to_string(int64_t(address) - first) + " to " +
          std::to_string(int64_t(address) - first + count) + " are outside of the block's " + std::to_string(size_) +
          " bytes of shared memory");
  if (address % alignment)
    fault(std::string(operation) + ": byte " + std::to_string(address - first) +
          " of shared memory is not aligned to " + std::to_string(alignment));
  return bytes_ + (address - first);
}

std::string Shared::damage() const {
  const auto clean = [](const char* from, size_t count) {
    for (size_t i = 0; i < count; i++)
      if (from[i] != char(0xff)) return false;
    return true;
  };
  if (!clean(map_, redZone)) return "a thread wrote before the beginning of shared memory";
  if (!clean(bytes_ + size_, redZone))
    return "a thread wrote past the end of the block's " + std::to_string(size_) + " bytes of shared memory";
  return "";
}

void Shared::view() {
  if (viewed_) return;
  viewed_ = true;
  if (!view_) view_ = static_cast<char*>(std::aligned_alloc(1024, room_));
  if (!view_) throw std::bad_alloc();
  std::memset(view_, 0xff, size_);
}

void Shared::publish(Block& block) {
  if (!fences_) return;
  fences_ = false;
  for (Thread& thread : block.threads) thread.fenced = false;
  view();
  std::memcpy(view_, bytes_, size_);
}

void Shared::written(char* to, uint32_t count) {
  view();
  std::memcpy(asynchronousView(to), to, count);
}

const char* Shared::readAsynchronously(const char* operation, const char* from, uint32_t count) {
  view();
  if (std::memcmp(asynchronousView(from), from, count) != 0)
    fault(std::string(operation) + ": reads byte " + std::to_string(from - bytes_) +
          " of shared memory and those behind it, which threads wrote without fence.proxy.async before the barrier");
  return from;
}

void Shared::track(const char* operation, const char* at, uint32_t count, bool writes) {
  const Warp& me = *current->warp;
  if (accesses_.empty()) {
    accesses_.assign(size_ / granule + 1, {});
    reads_.assign((size_ / granule + 1) * warps_, 0);
  }
  const auto race = [&](uint32_t place, const char* did) {
    const Warp& other = *current->block->group->warps[place];
    fault("race: " + std::string(operation) + " of warp " + std::to_string(me.number) +
          (writes ? " writes" : " reads") + " byte " + std::to_string(at - bytes_) + " of shared memory, which warp " +
          std::to_string(other.number) + " " + did + " with no barrier between");
  };
  const uint32_t* known = me.clock.ticks.data();
  const size_t end = std::min(size_t(at - bytes_) + count, size_);
  for (size_t i = size_t(at - bytes_) / granule; i * granule < end; i++) {
    Access& last = accesses_[i];
    if (last.tick && last.place != me.place && last.tick > known[last.place]) race(last.place, "wrote");
    uint32_t* reads = &reads_[i * warps_];
    if (!writes) {
      reads[me.place] = known[me.place];
      last.readers |= 1u << me.place % 32;
      continue;
    }
    for (uint32_t rest = last.readers; rest; rest &= rest - 1)
      for (size_t place = size_t(__builtin_ctz(rest)); place < warps_; place += 32)
        if (place != me.place && reads[place] > known[place]) race(uint32_t(place), "reads");
    last = {me.place, known[me.place]};
  }
}

}  // namespace simt
