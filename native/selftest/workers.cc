// Parallel loops beside workers that do not run: a stopped worker stands for one that the system has descheduled.
#include <pthread.h>
#include <atomic>
#include <csignal>
#include <vector>
#include "../cpu/device.h"
#include "check.h"

namespace selftest {
namespace {

// Stops threads where they are, by a signal's handler that waits for release().
class Stop {
 public:
  Stop() {
    struct sigaction action {};
    action.sa_handler = [](int) {
      stopped++;
      while (!released) sched_yield();
      stopped--;
    };
    sigaction(SIGUSR2, &action, &before_);
  }
  void stop(pthread_t thread) {
    const int others = stopped;
    pthread_kill(thread, SIGUSR2);
    while (stopped == others) sched_yield();
  }
  ~Stop() {
    released = true;
    while (stopped > 0) sched_yield();
    released = false;
    sigaction(SIGUSR2, &before_, nullptr);
  }

 private:
  static inline std::atomic<int> stopped{0};
  static inline std::atomic<bool> released{false};
  struct sigaction before_ {};
};

// All threads of the pool: each waits in its chunk until every other one has claimed one.
std::vector<pthread_t> poolThreads() {
  const int threads = cpu::device().threads;
  std::vector<pthread_t> found(size_t(threads), pthread_self());
  std::atomic<int> met{0};
  cpu::device().parallelFor(threads, [&](int64_t, int thread) {
    found[size_t(thread)] = pthread_self();
    met++;
    while (met < threads) sched_yield();
  });
  return found;
}

// The sum over loops of 1 to 200 chunks, and what it should be.
std::string sums(int rounds) {
  for (int round = 0; round < rounds; round++) {
    const int64_t count = 1 + round % 200;
    std::atomic<int64_t> sum{0};
    cpu::device().parallelFor(count, [&](int64_t i, int) { sum += i + 1; });
    if (sum != count * (count + 1) / 2) return "a loop of " + std::to_string(count) + " chunks lost or repeated one";
  }
  return "";
}

std::string everyChunkOnce() { return sums(20000); }

std::string stoppedWorkersDelayNothing() {
  const std::vector<pthread_t> threads = poolThreads();
  Stop stopping;
  for (const pthread_t thread : threads)
    if (!pthread_equal(thread, pthread_self())) stopping.stop(thread);
  return sums(2000);
}

// The caller waits in its chunk for all others, which the workers run meanwhile.
std::string restOfALoop() {
  if (cpu::device().threads < 2) return "needs HELVETIA_THREADS of at least 2";
  std::atomic<int64_t> left{199}, sum{0};
  cpu::device().parallelFor(200, [&](int64_t i, int thread) {
    sum += i + 1;
    if (thread > 0) left--;
    else
      while (left > 0) sched_yield();
  });
  return sum == 20100 ? "" : "the loop lost or repeated a chunk";
}

}  // namespace

std::vector<Check> workerChecks() {
  return {
      {"workers: run every chunk once", everyChunkOnce},
      {"workers: that are descheduled delay nothing that they have not claimed", stoppedWorkersDelayNothing},
      {"workers: run the rest while a chunk takes long", restOfALoop},
  };
}

}  // namespace selftest
