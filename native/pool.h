// Pool: blocks of memory of one device, kept for reuse by size.
//
// Blocks are rounded up to a size class. A GPU has one stream, so the kernels of a block's next user run after those of
// the one before. Safe on any thread.
#pragma once
#include <array>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <mutex>
#include <vector>

// What a device holds: bytes in live storages, the highest that figure has been, and freed bytes kept for reuse.
struct MemoryUse {
  int64_t used = 0, peak = 0, pooled = 0;
};

class Pool {
 public:
  using Allocate = std::function<void*(size_t bytes)>;  // nullptr where there is no memory
  using Free = std::function<void(void* block)>;
  // Called with the bytes of a block that are in use from now on: the size asked for, then 0 when it comes back.
  using Watch = std::function<void(void* block, size_t bytes)>;
  static constexpr size_t alignment = 64;

  Pool(Allocate allocate, Free free, Watch watch = {})
      : allocate_(std::move(allocate)), free_(std::move(free)), watch_(std::move(watch)) {}
  Pool(const Pool&) = delete;

  void* take(size_t bytes);  // throws std::runtime_error that names the sizes when there is no memory
  void give(void* block, size_t bytes);
  void trim();  // frees the blocks kept for reuse
  MemoryUse memory();
  void resetPeak();

 private:
  void freeAll();

  const Allocate allocate_;
  const Free free_;
  const Watch watch_;
  std::mutex mutex_;
  std::array<std::vector<void*>, 4 * 65> blocks_;
  MemoryUse use_;
};
