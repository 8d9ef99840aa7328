// The OS threads that run blocks, and the settings that say how.
#include "grid.h"
#include <atomic>
#include <condition_variable>
#include <cstdlib>
#include <cstring>
#include <exception>
#include <mutex>
#include <thread>
#include "../memory/asynchronous.h"
#include "../memory/shared.h"

namespace simt {
namespace {

struct Work {
  const Launch* launch = nullptr;
  uint64_t groups = 0;
  std::atomic<uint64_t> next = 0;
  std::mutex mutex;
  std::string failure;

  void run() {
    static thread_local Group group;
    for (uint64_t i; (i = next++) < groups;) {
      std::string problem;
      try {
        problem = group.run(*launch, i * launch->cluster);
      } catch (const std::exception& error) {  // no memory for stacks or shared memory
        problem = error.what();
      }
      if (problem.empty()) continue;
      next = groups;
      std::lock_guard lock(mutex);
      if (failure.empty()) failure = problem;
    }
  }
};

// OS threads that live as long as the process and take part in one launch at a time.
class Crew {
 public:
  explicit Crew(unsigned threads) {
    for (unsigned i = 0; i < threads; i++) std::thread([this] { serve(); }).detach();
  }
  void run(Work& work) {
    {
      std::lock_guard lock(mutex_);
      work_ = &work;
    }
    wake_.notify_all();
    work.run();
    std::unique_lock lock(mutex_);
    work_ = nullptr;
    idle_.wait(lock, [this] { return busy_ == 0; });
  }

 private:
  void serve() {
    std::unique_lock lock(mutex_);
    for (;;) {
      wake_.wait(lock, [this] { return work_ && work_->next < work_->groups; });
      Work& work = *work_;
      busy_++;
      lock.unlock();
      work.run();
      lock.lock();
      if (--busy_ == 0) idle_.notify_all();
    }
  }
  std::mutex mutex_;
  std::condition_variable wake_, idle_;
  Work* work_ = nullptr;
  unsigned busy_ = 0;
};

uint64_t number(const char* name, uint64_t otherwise) {
  const char* value = std::getenv(name);
  return value && *value ? std::strtoull(value, nullptr, 10) : otherwise;
}

Settings fromEnvironment() {
  Settings own;
  if (const char* policy = std::getenv("HELVETIA_SIMT_POLICY")) {
    if (!std::strcmp(policy, "greedy")) own.policy = Policy::greedy;
    if (!std::strcmp(policy, "random")) own.policy = Policy::random;
  }
  own.seed = uint32_t(number("HELVETIA_SIMT_SEED", 0));
  own.capability = int(number("HELVETIA_SIMT_ARCH", 90));
  own.devices = int(number("HELVETIA_SIMT_DEVICES", 1));
  own.memory = size_t(number("HELVETIA_SIMT_MEMORY", 0));
  own.registers = int(number("HELVETIA_SIMT_REGISTERS", 0));
  return own;
}

}  // namespace

Settings& settings() {
  static Settings own = fromEnvironment();
  return own;
}

std::string runGrid(const Launch& launch) {
  constexpr uint64_t fewGroups = 2;  // not worth waking another OS thread
  Work work;
  work.launch = &launch;
  work.groups = uint64_t(launch.blocks.x) * launch.blocks.y * launch.blocks.z / launch.cluster;
  const unsigned processors = std::thread::hardware_concurrency();
  if (work.groups <= fewGroups || processors < 2) {
    work.run();
  } else {
    static Crew* crew = new Crew(std::min(processors, 16u) - 1);  // outlives the process's static objects
    crew->run(work);
  }
  return work.failure;
}

}  // namespace simt
