// The queue's thread, and the recordings that it replays.
#include "queue.h"
#include <stdexcept>
#include <utility>
#ifdef __linux__
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>
#endif

void yieldToEventLoop() {
#ifdef __linux__
  // On Linux a thread has a priority of its own. Five steps give a waking event loop three times the share of a core.
  setpriority(PRIO_PROCESS, id_t(syscall(SYS_gettid)), 5);
#endif
}

Queue::Queue(Replay replays) : replays_(std::move(replays)), thread_([this] { loop(); }) {}

Queue::~Queue() {
  {
    std::lock_guard lock(mutex_);
    stopping_ = true;
  }
  wake_.notify_one();
  thread_.join();
}

void Queue::push(std::function<void()> task) {
  bool wake;
  {
    std::lock_guard lock(mutex_);
    tasks_.push_back(std::move(task));
    wake = waiting_;
  }
  if (wake) wake_.notify_one();
}

void Queue::push(std::shared_ptr<Job> job) {
  if (recording_) recorded_.push_back(job);
  push([this, job = std::move(job)] { runJob(*job); });
}

void Queue::startRecording() {
  if (recording_) throw std::runtime_error("record: another recording is open");
  recording_ = true;
}

std::vector<std::shared_ptr<Job>> Queue::stopRecording() {
  recording_ = false;
  return std::exchange(recorded_, {});
}

void Queue::replay(std::shared_ptr<Recorded> recorded) {
  push([this, recorded = std::move(recorded)] {
    if (replays_ && replays_(*recorded)) return;
    for (const auto& job : recorded->jobs) runJob(*job);
  });
}

void Queue::runJob(Job& job) {
  if (Failure failure = job.run(); failure && !failure_) failure_ = std::move(failure);
}

void Queue::loop() {
  yieldToEventLoop();
  for (;;) {
    std::function<void()> task;
    {
      std::unique_lock lock(mutex_);
      while (!stopping_ && tasks_.empty()) {
        waiting_ = true;
        wake_.wait(lock);
        waiting_ = false;
      }
      if (stopping_) return;
      task = std::move(tasks_.front());
      tasks_.pop_front();
    }
    task();
  }
}
