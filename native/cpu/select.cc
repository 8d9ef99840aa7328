// Asks the processor what it runs, and picks the table of kernels.
#include "select.h"
#include <cstdlib>
#include <stdexcept>

#if defined(__x86_64__)
extern "C" const cpu::Table cpuTable_avx512, cpuTable_avx2;
#elif defined(__aarch64__)
extern "C" const cpu::Table cpuTable_neon;
#endif

namespace cpu {

const Path* paths() {
#if defined(__x86_64__)
  // x86-64-v4 and x86-64-v3: what the two sets are compiled for.
  static const bool v4 = __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
                         __builtin_cpu_supports("avx512cd") && __builtin_cpu_supports("avx512dq") &&
                         __builtin_cpu_supports("avx512vl");
  static const bool v3 = __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") &&
                         __builtin_cpu_supports("bmi2") && __builtin_cpu_supports("f16c");
  static const Path all[] = {
      {"avx512", &cpuTable_avx512, v4 && v3}, {"avx2", &cpuTable_avx2, v3}, {nullptr, nullptr, false}};
#elif defined(__aarch64__)
  static const Path all[] = {{"neon", &cpuTable_neon, true}, {nullptr, nullptr, false}};
#else
#error "No CPU kernels for this architecture: x86-64 and arm64 are supported"
#endif
  return all;
}

const Path& choosePath() {
  const char* wanted = std::getenv("HELVETIA_CPU");
  std::string known;
  for (const Path* path = paths(); path->name; path++) {
    if (!wanted || !*wanted) {
      if (path->supported) return *path;
    } else if (std::string(wanted) == path->name) {
      if (path->supported) return *path;
      throw std::runtime_error(std::string("HELVETIA_CPU=") + wanted + ": this machine's processor cannot run it");
    }
    known += std::string(known.empty() ? "" : ", ") + path->name;
  }
  if (wanted && *wanted) throw std::runtime_error(std::string("HELVETIA_CPU=") + wanted + " is not one of " + known);
  throw std::runtime_error("this machine's processor runs none of the CPU kernels of this build: " + known);
}

}  // namespace cpu
