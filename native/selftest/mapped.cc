// Mapped files that are shortened while they are mapped: reads go on with zeros, and the mapping says so.
#include "../mapped.h"
#include <csetjmp>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <thread>
#include "check.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

namespace selftest {
namespace {

constexpr size_t size = 1 << 20;

// A file of ones, which ends with the check.
struct File {
  File() {
    char name[] = "/tmp/helvetia-mapped-XXXXXX";
    descriptor = mkstemp(name);
    path = name;
    std::ofstream(path) << std::string(size, '\1');
  }
  ~File() {
    close(descriptor);
    unlink(path.c_str());
  }
  void shorten() const {
    if (ftruncate(descriptor, 1000) != 0) std::perror("ftruncate");
  }
  int descriptor;
  std::string path;
};

size_t sum(const uint8_t* bytes) {
  size_t total = 0;
  for (size_t i = 0; i < size; i++) total += static_cast<const volatile uint8_t*>(bytes)[i];
  return total;
}

std::string cut() {
  File file, other;
  const MappedFile mapped(file.path), whole(other.path);
  if (sum(mapped.data()) != size || mapped.isCut()) return "a whole file is not read as it is";
  file.shorten();
  // A thread of its own, as the pool's are.
  size_t total = 0;
  std::thread([&] { total = sum(mapped.data()); }).join();
  if (total != 1000) return "the bytes that are gone are not zeros";
  if (!mapped.isCut()) return "the mapping does not say that it was cut";
  if (whole.isCut() || sum(whole.data()) != size) return "another file's mapping is cut too";
  if (mapped.shortened() != file.path + ": the file was shortened while it was in use") return mapped.shortened();
  return "";
}

// The list's entries are used again, without the mark.
std::string mappedAgain() {
  for (int round = 0; round < 50; round++) {
    File file;
    const MappedFile mapped(file.path);
    if (mapped.isCut()) return "a new mapping is cut";
    if (round % 2) file.shorten();
    if (sum(mapped.data()) != (round % 2 ? 1000 : size) || mapped.isCut() != bool(round % 2))
      return "a mapping in the place of another is not read as it is";
  }
  return "";
}

sigjmp_buf faulted;

// The process's own handler, which was there first, gets the faults of all other addresses.
std::string chains() {
  File file;
  struct sigaction own {};
  own.sa_handler = [](int) { siglongjmp(faulted, 1); };
  sigaction(SIGBUS, &own, nullptr);
  const MappedFile mapped(file.path);
  File foreign;
  auto* bytes = static_cast<const volatile uint8_t*>(mmap(nullptr, size, PROT_READ, MAP_SHARED, foreign.descriptor, 0));
  foreign.shorten();
  if (sigsetjmp(faulted, 1) == 0) {
    (void)bytes[size - 1];
    return "a fault elsewhere was swallowed";
  }
  munmap(const_cast<uint8_t*>(bytes), size);
  file.shorten();
  if (sum(mapped.data()) != 1000 || !mapped.isCut()) return "a mapped file is no longer looked after";
  return "";
}

}  // namespace

// The handler that is there at the first mapping stays below the addon's: the check of it comes first.
std::vector<Check> mappedChecks() {
  return {
      {"mapped: passes the faults of other addresses on", chains},
      {"mapped: reads zeros where a file was shortened, and says so", cut},
      {"mapped: starts afresh with each mapping", mappedAgain},
  };
}

}  // namespace selftest
