// Storages, which pool each takes from, and mapped files.
#include "storage.h"
#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <stdexcept>
#include "cuda/device/gpu.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

namespace {

// Aligned to 64 bytes: a vector register, and a cache line.
void* allocate(size_t bytes) { return bytes < size_t(1) << 46 ? std::aligned_alloc(Pool::alignment, bytes) : nullptr; }

}  // namespace

// Never destroyed: storages may outlive the statics of other translation units.
Pool& cpuPool() {
  static Pool* pool = new Pool(allocate, [](void* block) { std::free(block); });
  return *pool;
}

Pool& poolOf(Place place) { return place.kind == Place::cuda ? cuda::pool(place.index) : cpuPool(); }

void* Storage::bytes() {
  if (!bytes_) bytes_ = poolOf(place).take(size);
  return bytes_;
}

Storage::~Storage() {
  if (bytes_ && !owner_) poolOf(place).give(bytes_, size);
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
