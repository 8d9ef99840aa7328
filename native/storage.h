// Storage: bytes on one device, and the pool that they return to.
//
// The bytes of a Storage are taken from the pool when the first queued call touches it, and go back when the last
// reference is gone. Both happen in the order of the queue, so a step never holds more than its own order needs,
// however far JavaScript runs ahead.
#pragma once
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include "pool.h"

struct Place {
  enum Kind : uint8_t { cpu, cuda } kind = cpu;
  uint8_t index = 0;
  bool operator==(const Place&) const = default;
};

Pool& cpuPool();
Pool& poolOf(Place place);

class Storage {
 public:
  Storage(Place place, size_t size) : place(place), size(size) {}
  // Bytes of a mapped file, which `owner` keeps alive.
  Storage(Place place, size_t size, void* bytes, std::shared_ptr<void> owner)
      : place(place), size(size), bytes_(bytes), owner_(std::move(owner)) {}
  Storage(const Storage&) = delete;
  ~Storage();

  void* bytes();  // takes them from the pool at the first call
  bool mapped() const { return owner_ != nullptr; }

  const Place place;
  const size_t size;

  // The failure of the call that should have written the bytes. A call that reads a failed Storage is skipped and
  // passes the failure on. Read and written by the queue's thread only.
  std::shared_ptr<const std::string> failure;

 private:
  void* bytes_ = nullptr;
  std::shared_ptr<void> owner_;
};

// A file mapped read-only into memory.
class MappedFile {
 public:
  explicit MappedFile(const std::string& path);  // throws std::runtime_error with the system's reason
  ~MappedFile();
  MappedFile(const MappedFile&) = delete;
  const uint8_t* data() const { return data_; }
  size_t size() const { return size_; }

 private:
  const uint8_t* data_ = nullptr;
  size_t size_ = 0;
};
