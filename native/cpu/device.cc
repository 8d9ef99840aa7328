// The thread pool behind parallelFor: chunks are claimed dynamically, and threads spin before they park.
#include "device.h"
#include <algorithm>
#include <atomic>
#include <cmath>
#include <cstdlib>
#include <fstream>
#include <mutex>
#include <stdexcept>
#include <string>
#include <thread>
#ifdef __linux__
#include <sched.h>
#endif
#ifdef __x86_64__
#include <immintrin.h>
#endif
#include "../pool.h"
#include "../storage.h"

namespace cpu {
namespace {

void pause() {
#ifdef __x86_64__
  _mm_pause();
#elif defined(__aarch64__)
  asm volatile("yield");
#endif
}

#ifdef __linux__
// The processors' worth of time that the container's quota allows, rounded up; 0 for no limit. Version 2 of control
// groups gives "quota period" or "max period" in one file, version 1 has a file for each.
int quota() {
  double microseconds = 0, period = 0;
  if (std::ifstream file{"/sys/fs/cgroup/cpu.max"}) {
    file >> microseconds >> period;
  } else {
    std::ifstream{"/sys/fs/cgroup/cpu/cpu.cfs_quota_us"} >> microseconds;
    std::ifstream{"/sys/fs/cgroup/cpu/cpu.cfs_period_us"} >> period;
  }
  return microseconds > 0 && period > 0 ? int(std::ceil(microseconds / period)) : 0;
}
#endif

int processors() {
#ifdef __linux__
  cpu_set_t set;
  if (sched_getaffinity(0, sizeof set, &set) == 0) {
    const int allowed = CPU_COUNT(&set), most = quota();
    return most > 0 ? std::min(allowed, most) : allowed;
  }
#endif
  const unsigned n = std::thread::hardware_concurrency();
  return n ? int(n) : 1;
}

int defaultThreads() {
  const char* wanted = std::getenv("HELVETIA_THREADS");
  if (!wanted || !*wanted) return processors();
  char* end = nullptr;
  const long n = std::strtol(wanted, &end, 10);
  if (*end || n < 1 || n > 1024)
    throw std::runtime_error("HELVETIA_THREADS is '" + std::string(wanted) + "': expected a number from 1 to 1024");
  return int(n);
}

// Iterations of a spin before a thread parks: some 30 µs, as the next loop of a forward pass comes within microseconds.
constexpr int spins = 2000;

// Spins until `ready`. False where the thread is to park.
template <class Ready>
bool spin(Ready ready) {
  for (int i = 0; i < spins; i++) {
    if (ready()) return true;
    pause();
  }
  return false;
}

// A round is one loop. Threads claim its chunks one by one, and it ends with its last chunk: a worker that the system
// has descheduled delays a round only by a chunk that it has claimed.
class Workers {
 public:
  explicit Workers(int count) {
    for (int i = 1; i <= count; i++) std::thread([this, i] { work(i); }).detach();
  }

  void run(int64_t count, void (*body)(void*, int64_t, int), void* state) {
    std::lock_guard turn(turn_);
    body_ = body;
    state_ = state;
    count_ = count;
    unfinished_.store(count, std::memory_order_relaxed);
    unclaimed_.store(count, std::memory_order_release);
    round_.fetch_add(1);
    round_.notify_all();
    drain(0);
    if (spin([&] { return unfinished_.load(std::memory_order_acquire) == 0; })) return;
    for (int64_t left; (left = unfinished_.load(std::memory_order_acquire)) > 0;) unfinished_.wait(left);
  }

 private:
  // The round's fields are read after a claim: until that chunk is finished, no other round writes them.
  void drain(int thread) {
    int64_t finished = 0;
    for (int64_t left = unclaimed_.load(std::memory_order_acquire); left > 0;) {
      if (!unclaimed_.compare_exchange_weak(left, left - 1, std::memory_order_acq_rel, std::memory_order_acquire))
        continue;
      body_(state_, count_ - left, thread);
      finished++;
      left = unclaimed_.load(std::memory_order_acquire);
    }
    if (finished && unfinished_.fetch_sub(finished) == finished) unfinished_.notify_one();
  }

  void work(int thread) {
    for (;;) {
      const uint32_t seen = round_.load(std::memory_order_acquire);
      drain(thread);
      if (!spin([&] { return round_.load(std::memory_order_acquire) != seen; })) round_.wait(seen);
    }
  }

  std::mutex turn_;
  void (*body_)(void*, int64_t, int) = nullptr;
  void* state_ = nullptr;
  int64_t count_ = 0;
  // A cache line each: workers spin on the first while others claim and finish.
  alignas(64) std::atomic<uint32_t> round_{0};
  alignas(64) std::atomic<int64_t> unclaimed_{0};
  alignas(64) std::atomic<int64_t> unfinished_{0};
};

// Never destroyed: the workers wait in it until the process ends.
Workers& workers() {
  static Workers* instance = new Workers(device().threads - 1);
  return *instance;
}

}  // namespace

void Device::run(int64_t count, void (*body)(void*, int64_t, int), void* state) const {
  if (count <= 1 || threads == 1) {
    for (int64_t i = 0; i < count; i++) body(state, i, 0);
    return;
  }
  workers().run(count, body, state);
}

Device& device() {
  static Device instance{defaultThreads()};
  return instance;
}

void* takeScratch(size_t bytes) { return cpuPool().take(bytes); }
void giveScratch(void* bytes, size_t size) { cpuPool().give(bytes, size); }

}  // namespace cpu
