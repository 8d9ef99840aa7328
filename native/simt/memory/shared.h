// Shared memory of a block: its bytes as threads see them, what the asynchronous units see of them, and who touched
// which four bytes last.
//
// Addresses start at 1024, so that 0 is never valid. Bytes start as 0xff, which is NaN in every floating-point format.
// Around them lie red zones, looked at when the block has ended.
#pragma once
#include <cstdint>
#include <string>
#include <vector>
#include "../blocks/block.h"

namespace simt {

class Shared {
 public:
  static constexpr uint32_t first = 1024, redZone = 1024;

  Shared() = default;
  Shared(const Shared&) = delete;
  ~Shared() { release(); }
  void prepare(size_t size, size_t warps);

  char* bytes() const { return bytes_; }
  size_t size() const { return size_; }
  uint32_t addressOf(const void* p) const;
  // The bytes behind an address, checked for bounds and alignment; faults name `operation`.
  char* at(const char* operation, uint32_t address, uint32_t count, uint32_t alignment) const;
  // "" or what was written outside.
  std::string damage() const;

  // The asynchronous units see what threads wrote only after fence.proxy.async. A fence takes effect at the next barrier
  // (or warp operation) that its thread's writes reach others by.
  void fence() { fences_ = true; }
  void publish(Block& block);
  // An asynchronous unit wrote here.
  void written(char* to, uint32_t count);
  // Bytes that an asynchronous unit reads; reports bytes that it could not see.
  const char* readAsynchronously(const char* operation, const char* from, uint32_t count);

  // Records an access of the current thread's warp and reports another warp's that no barrier separates from it.
  void track(const char* operation, const char* at, uint32_t count, bool writes);
  // The same for a plain load or store, wherever it goes. What is narrower than four bytes is left out: two warps may
  // write neighbours.
  void trackPlain(const void* at, uint32_t count, bool writes) {
    const size_t offset = size_t(static_cast<const char*>(at) - bytes_);
    if (offset < size_ && count >= granule) track("a plain access", static_cast<const char*>(at), count, writes);
  }

 private:
  static constexpr size_t granule = 4;
  struct Access {
    uint32_t place = 0, tick = 0;  // of the last write
    uint32_t readers = 0;          // places, modulo 32, that have read since
  };
  void release();
  void view();
  char* asynchronousView(const char* generic) const { return view_ + (generic - bytes_); }

  char* map_ = nullptr;  // red zone, bytes, red zone
  size_t room_ = 0;
  char* bytes_ = nullptr;
  char* view_ = nullptr;  // what the asynchronous units see
  size_t size_ = 0, warps_ = 0;
  bool viewed_ = false, fences_ = false;
  std::vector<Access> accesses_;  // by granule
  std::vector<uint32_t> reads_;   // by granule and warp: the tick of its last read
};

}  // namespace simt
