// The list of mappings that the handler of SIGBUS looks in, and the handler.
#include "mapped.h"
#include <atomic>
#include <cerrno>
#include <csignal>
#include <cstring>
#include <mutex>
#include <stdexcept>

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

// An entry of the list, which a handler reads while others write: entries are reused and never freed, and `version` is odd
// while one changes.
struct Mapping {
  std::atomic<uint32_t> version{0};
  std::atomic<uintptr_t> start{0}, end{0};
  std::atomic<bool> isCut{false};
  Mapping* next = nullptr;
};

namespace {

std::atomic<Mapping*> mappings{nullptr};
std::mutex writing;
struct sigaction before;
uintptr_t pageSize;

void set(Mapping& mapping, uintptr_t start, uintptr_t end) {
  mapping.version++;
  mapping.start = start;
  mapping.end = end;
  mapping.version++;
}

// The mapping that holds an address, with its end.
Mapping* find(uintptr_t address, uintptr_t& end) {
  for (Mapping* mapping = mappings; mapping; mapping = mapping->next) {
    const uint32_t version = mapping->version;
    const uintptr_t start = mapping->start;
    end = mapping->end;
    if (version % 2 == 0 && version == mapping->version && address >= start && address < end) return mapping;
  }
  return nullptr;
}

// Async-signal-safe: atomics and system calls only. Behind the faulting page every page of the file is gone too.
void onBus(int signal, siginfo_t* info, void* context) {
  const int reason = errno;
  const uintptr_t address = reinterpret_cast<uintptr_t>(info->si_addr), page = address / pageSize * pageSize;
  uintptr_t end = 0;
  if (Mapping* mapping = find(address, end)) {
    mapping->isCut = true;
    void* zeros =
        mmap(reinterpret_cast<void*>(page), end - page, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0);
    errno = reason;
    if (zeros != MAP_FAILED) return;
  }
  if (before.sa_flags & SA_SIGINFO) return before.sa_sigaction(signal, info, context);
  if (before.sa_handler != SIG_DFL && before.sa_handler != SIG_IGN) return before.sa_handler(signal);
  sigaction(signal, &before, nullptr);  // the access repeats, and ends the process as it would have
}

void install() {
  static const bool once = [] {
    pageSize = uintptr_t(sysconf(_SC_PAGESIZE));
    struct sigaction action {};
    action.sa_sigaction = onBus;
    action.sa_flags = SA_SIGINFO | SA_ONSTACK;
    sigemptyset(&action.sa_mask);
    sigaction(SIGBUS, &action, &before);
    return true;
  }();
  (void)once;
}

Mapping* enter(uintptr_t start, size_t size) {
  std::lock_guard lock(writing);
  install();
  Mapping* mapping = mappings;
  while (mapping && mapping->end != 0) mapping = mapping->next;
  if (!mapping) {
    mapping = new Mapping;
    mapping->next = mappings;
    mappings = mapping;
  }
  mapping->isCut = false;
  set(*mapping, start, start + (size + pageSize - 1) / pageSize * pageSize);
  return mapping;
}

}  // namespace

MappedFile::MappedFile(const std::string& path) : path_(path) {
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
  if (data_) mapping_ = enter(reinterpret_cast<uintptr_t>(data_), size_);
}

MappedFile::~MappedFile() {
  if (!mapping_) return;
  {
    std::lock_guard lock(writing);
    set(*mapping_, 0, 0);
  }
  munmap(const_cast<uint8_t*>(data_), size_);
}

bool MappedFile::isCut() const { return mapping_ && mapping_->isCut.load(std::memory_order_relaxed); }

std::string MappedFile::shortened() const { return path_ + ": the file was shortened while it was in use"; }
