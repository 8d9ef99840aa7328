// The thread pool behind parallelFor. Loops come within microseconds of each other, so workers poll before they sleep.
#include "device.h"
#include <algorithm>
#include <atomic>
#include <cmath>
#include <condition_variable>
#include <cstdlib>
#include <fstream>
#include <mutex>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>
#ifdef __linux__
#include <sched.h>
#endif
#ifdef __x86_64__
#include <immintrin.h>
#endif
#include "../queue.h"
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

// Workers poll for a moment before they sleep: the next loop of a model's forward pass comes within microseconds.
constexpr int polls = 2000;

class Workers {
 public:
  explicit Workers(int count) {
    for (int i = 1; i <= count; i++) threads_.emplace_back([this, i] { work(i); });
    for (auto& t : threads_) t.detach();
  }

  void run(int64_t count, void (*body)(void*, int64_t, int), void* state) {
    std::lock_guard turn(turn_);
    body_ = body;
    state_ = state;
    count_ = count;
    next_.store(0, std::memory_order_relaxed);
    running_.store(int(threads_.size()), std::memory_order_relaxed);
    {
      std::lock_guard lock(mutex_);
      round_.fetch_add(1, std::memory_order_release);
    }
    if (sleeping_.load(std::memory_order_seq_cst) > 0) wake_.notify_all();
    drain(0);
    for (int i = 0; running_.load(std::memory_order_acquire) > 0; i++) i < polls ? pause() : std::this_thread::yield();
  }

 private:
  void drain(int thread) {
    for (int64_t i; (i = next_.fetch_add(1, std::memory_order_relaxed)) < count_;) body_(state_, i, thread);
  }

  void work(int thread) {
    yieldToEventLoop();
    uint64_t seen = 0;
    for (;;) {
      for (int i = 0; i < polls && round_.load(std::memory_order_acquire) == seen; i++) pause();
      if (round_.load(std::memory_order_acquire) == seen) {
        std::unique_lock lock(mutex_);
        sleeping_.fetch_add(1, std::memory_order_seq_cst);
        wake_.wait(lock, [&] { return round_.load(std::memory_order_acquire) != seen; });
        sleeping_.fetch_sub(1, std::memory_order_relaxed);
      }
      seen++;  // a round ends only when every worker has taken part, so none is ever missed
      drain(thread);
      running_.fetch_sub(1, std::memory_order_release);
    }
  }

  std::mutex turn_, mutex_;
  std::condition_variable wake_;
  std::atomic<uint64_t> round_{0};
  std::atomic<int64_t> next_{0};
  std::atomic<int> running_{0}, sleeping_{0};
  int64_t count_ = 0;
  void (*body_)(void*, int64_t, int) = nullptr;
  void* state_ = nullptr;
  std::vector<std::thread> threads_;
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
