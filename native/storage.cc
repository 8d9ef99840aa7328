// Storages, and the pool that each takes from.
#include "storage.h"
#include "pool.h"
#include "cuda/device/gpu.h"

#include <sys/mman.h>
#ifdef __SANITIZE_ADDRESS__
#include <sanitizer/asan_interface.h>
#endif

namespace {

// Pages from the system, not from malloc, which would keep what is freed.
void* allocate(size_t bytes) {
  void* pages = mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  return pages == MAP_FAILED ? nullptr : pages;
}

#ifdef __SANITIZE_ADDRESS__
constexpr size_t gap = 64;
void watch(void* block, size_t bytes, size_t inUse) {
  __asan_poison_memory_region(block, bytes);
  __asan_unpoison_memory_region(block, inUse);
}
void release(void* pages, size_t bytes) {
  __asan_unpoison_memory_region(pages, bytes);
  munmap(pages, bytes);
}
#else
constexpr size_t gap = 0;
constexpr std::nullptr_t watch = nullptr;
void release(void* pages, size_t bytes) { munmap(pages, bytes); }
#endif

}  // namespace

// Never destroyed: storages may outlive the statics of other translation units.
Pool& cpuPool() {
  static Pool* pool = new Pool(allocate, release, watch, gap);
  return *pool;
}

Pool& poolOf(Place place) { return place.kind == Place::cuda ? cuda::pool(place.index) : cpuPool(); }

void* Storage::bytes() {
  if (!bytes_) bytes_ = poolOf(place).take(size);
  return bytes_;
}

Failure Storage::failed() const {
  if (failure || !file_ || !file_->isCut()) return failure;
  return std::make_shared<std::string>(file_->shortened());
}

Storage::~Storage() {
  if (bytes_ && !file_) poolOf(place).give(bytes_, size);
}
