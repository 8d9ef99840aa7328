// Files mapped read-only into memory.
//
// A file that is shortened in place while it is mapped takes its last pages away, and the system answers a read of them
// with SIGBUS, which ends the process. A handler puts pages of zeros there instead and marks the mapping as cut. A
// reader of a mapping asks afterwards whether it was cut, and fails with shortened().
#pragma once
#include <cstddef>
#include <cstdint>
#include <string>

struct Mapping;

class MappedFile {
 public:
  explicit MappedFile(const std::string& path);  // throws std::runtime_error with the system's reason
  ~MappedFile();
  MappedFile(const MappedFile&) = delete;
  const uint8_t* data() const { return data_; }
  size_t size() const { return size_; }
  bool isCut() const;             // true for good once a read found bytes gone
  std::string shortened() const;  // what to fail with where it is

 private:
  const std::string path_;
  const uint8_t* data_ = nullptr;
  size_t size_ = 0;
  Mapping* mapping_ = nullptr;
};
