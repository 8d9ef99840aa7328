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
#include "mapped.h"

struct Place {
  enum Kind : uint8_t { cpu, cuda } kind = cpu;
  uint8_t index = 0;
  bool operator==(const Place&) const = default;
};

// A sentence that says what failed, or null.
using Failure = std::shared_ptr<const std::string>;

class Pool;
Pool& cpuPool();
Pool& poolOf(Place place);

class Storage {
 public:
  Storage(Place place, size_t size) : place(place), size(size) {}
  // Bytes of a mapped file, which stays mapped as long.
  Storage(Place place, size_t size, void* bytes, std::shared_ptr<const MappedFile> file)
      : place(place), size(size), bytes_(bytes), file_(std::move(file)) {}
  Storage(const Storage&) = delete;
  ~Storage();

  void* bytes();  // takes them from the pool at the first call
  bool mapped() const { return file_ != nullptr; }

  const Place place;
  const size_t size;

  // The failure of the call that should have written the bytes. A call that reads a failed Storage is skipped and
  // passes the failure on. Read and written by the queue's thread only.
  Failure failure;
  // That failure, or the mapped file's: asked before the bytes are read, and again after.
  Failure failed() const;

 private:
  void* bytes_ = nullptr;
  std::shared_ptr<const MappedFile> file_;
};
