// A note of what was launched, for HELVETIA_SIMT_LAUNCHES=file.
#include <dlfcn.h>
#include <cstdio>
#include <cstdlib>
#include <map>
#include <mutex>
#include "../cuda_runtime.h"

namespace simt {

void noteLaunch(const void* kernel, size_t shared) {
  static const char* file = std::getenv("HELVETIA_SIMT_LAUNCHES");
  if (!file || !*file) return;
  static std::mutex mutex;
  static auto* largest = new std::map<const void*, size_t>;
  std::lock_guard lock(mutex);
  const auto [known, isNew] = largest->try_emplace(kernel, shared);
  if (!isNew && shared <= known->second) return;
  known->second = shared;
  Dl_info addon;
  if (!dladdr(kernel, &addon)) return;
  // Written at once and by appending: a test runner may end the process at any time.
  if (std::FILE* to = std::fopen(file, "a")) {
    const auto offset = size_t(static_cast<const char*>(kernel) - static_cast<const char*>(addon.dli_fbase));
    std::fprintf(to, "%d %zx %zu\n", settings().capability, offset, shared);
    std::fclose(to);
  }
}

}  // namespace simt
