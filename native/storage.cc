// The CPU's pool, storages that take from it, and mapped files.
#include "storage.h"
#include <algorithm>
#include <array>
#include <bit>
#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <mutex>
#include <stdexcept>
#include <vector>
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

namespace pool {
namespace {

constexpr size_t alignment = 64;

// Four classes for each power of two: a block is at most a quarter larger than asked.
size_t roundUp(size_t bytes) {
  if (bytes <= 256) return (std::max<size_t>(bytes, 1) + alignment - 1) / alignment * alignment;
  const size_t step = std::bit_floor(bytes - 1) / 4;
  return (bytes + step - 1) / step * step;
}

size_t classOf(size_t rounded) {
  if (rounded <= 256) return rounded / alignment;
  const size_t power = std::bit_floor(rounded - 1);
  return 4 * std::bit_width(power) + (rounded - power) / (power / 4);
}

struct Pool {
  std::mutex mutex;
  std::array<std::vector<void*>, 4 * 65> free;
  MemoryUse use;

  void trim() {
    for (auto& blocks : free) {
      for (void* block : blocks) std::free(block);
      blocks.clear();
    }
    use.pooled = 0;
  }
};

// Never destroyed: storages may outlive the statics of other translation units.
Pool& pool() {
  static Pool* instance = new Pool;
  return *instance;
}

}  // namespace

void* take(size_t bytes) {
  const size_t rounded = roundUp(bytes);
  Pool& p = pool();
  std::lock_guard lock(p.mutex);
  auto& blocks = p.free[classOf(rounded)];
  void* block = nullptr;
  if (!blocks.empty()) {
    block = blocks.back();
    blocks.pop_back();
    p.use.pooled -= rounded;
  } else {
    if (rounded < size_t(1) << 46) block = std::aligned_alloc(alignment, rounded);
    if (!block && p.use.pooled > 0) {
      p.trim();
      block = std::aligned_alloc(alignment, rounded);
    }
    if (!block)
      throw std::runtime_error("out of memory: asked for " + std::to_string(bytes) + " bytes while " +
                               std::to_string(p.use.used) + " are in use");
  }
  p.use.used += rounded;
  p.use.peak = std::max(p.use.peak, p.use.used);
  return block;
}

void give(void* bytes, size_t size) {
  const size_t rounded = roundUp(size);
  Pool& p = pool();
  std::lock_guard lock(p.mutex);
  p.free[classOf(rounded)].push_back(bytes);
  p.use.used -= rounded;
  p.use.pooled += rounded;
}

void trim() {
  Pool& p = pool();
  std::lock_guard lock(p.mutex);
  p.trim();
}

MemoryUse memory() {
  Pool& p = pool();
  std::lock_guard lock(p.mutex);
  return p.use;
}

void resetPeak() {
  Pool& p = pool();
  std::lock_guard lock(p.mutex);
  p.use.peak = p.use.used;
}

}  // namespace pool

void* Storage::bytes() {
  if (!bytes_) bytes_ = pool::take(size);
  return bytes_;
}

Storage::~Storage() {
  if (bytes_ && !owner_) pool::give(bytes_, size);
}

MappedFile::MappedFile(const std::string& path) {
  const int file = open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (file < 0) throw std::runtime_error(path + ": " + std::strerror(errno));
  struct stat info {};
  if (fstat(file, &info) != 0 || !S_ISREG(info.st_mode)) {
    close(file);
    throw std::runtime_error(path + ": not a regular file");
  }
  size_ = size_t(info.st_size);
  void* data = size_ ? mmap(nullptr, size_, PROT_READ, MAP_SHARED, file, 0) : nullptr;
  const int reason = errno;
  close(file);
  if (data == MAP_FAILED) throw std::runtime_error(path + ": cannot be mapped: " + std::strerror(reason));
  data_ = static_cast<const uint8_t*>(data);
}

MappedFile::~MappedFile() {
  if (data_) munmap(const_cast<uint8_t*>(data_), size_);
}
