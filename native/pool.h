// Pool: memory of one device, in blocks that are split and joined.
//
// A take gets the smallest free block that fits (best fit), split to size; a block that comes back joins its free
// neighbours. Small blocks join late, when no free block fits: most are taken again at once in the same size. Blocks lie in
// segments, which the device allocates: large ones, so that unequal sizes share them, but small beside what is held. A GPU
// has one stream, so the kernels of a block's next user run after those of the one before. Safe on any thread.
#pragma once
#include <array>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>
#include <memory_resource>
#include <mutex>
#include <set>
#include <utility>
#include <vector>

// What a device holds: bytes in live storages, the highest that figure has been, freed bytes kept for reuse, and the
// highest that used and pooled have been together.
struct MemoryUse {
  int64_t used = 0, peak = 0, pooled = 0, peakHeld = 0;
};

class Pool {
 public:
  using Allocate = std::function<void*(size_t bytes)>;  // nullptr where there is no memory
  using Free = std::function<void(void* segment, size_t bytes)>;
  // Called with how many bytes of a block are in use from now on: those asked for, then 0 when it comes back; also with 0
  // for a new segment.
  using Watch = std::function<void(void* block, size_t bytes, size_t inUse)>;
  static constexpr size_t alignment = 256;  // of every block: a vector register, a cache line, a GPU's transaction

  // `gap` bytes at the end of each block stay unused, where `watch` may detect writes.
  Pool(Allocate allocate, Free free, Watch watch = {}, size_t gap = 0)
      : allocate_(std::move(allocate)), free_(std::move(free)), watch_(std::move(watch)), gap_(gap) {}
  Pool(const Pool&) = delete;

  void* take(size_t bytes);              // throws std::runtime_error that names the sizes when there is no memory
  void give(void* block, size_t bytes);  // as many as were taken
  void trim();                           // frees the segments without a block in use
  MemoryUse memory();
  void resetPeak();

 private:
  struct Block {
    size_t bytes;
    char* segment;
    size_t segmentBytes;
    bool isFree;
  };
  using Blocks = std::pmr::map<char*, Block>;

  size_t sizeOf(size_t bytes) const;          // of the block that a take of so many bytes gets
  std::vector<char*>* recentOf(size_t size);  // null for a large block
  char* takeRecent(size_t size);
  char* takeFit(size_t size, size_t asked);
  void join(Blocks::iterator block);
  void joinRecent();
  Blocks::iterator grow(size_t bytes, size_t asked);
  void freeSegments(int64_t untilHeld);
  void addFree(Blocks::iterator block) { sizes_.emplace(block->second.bytes, block->first); }
  void dropFree(Blocks::iterator block) { sizes_.erase({block->second.bytes, block->first}); }
  int64_t held() const { return use_.used + use_.pooled; }

  const Allocate allocate_;
  const Free free_;
  const Watch watch_;
  const size_t gap_;
  std::mutex mutex_;
  std::pmr::unsynchronized_pool_resource nodes_;
  Blocks blocks_{&nodes_};                                  // all, by address
  std::pmr::set<std::pair<size_t, char*>> sizes_{&nodes_};  // the free ones, by size and then by address
  std::array<std::vector<char*>, 256> recent_;  // small blocks that came back, by size in units of `alignment`
  MemoryUse use_;
};
