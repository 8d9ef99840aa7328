// The queue's thread, the tasks that it parks, and the recordings that it replays.
#include "queue.h"
#include <algorithm>
#include <stdexcept>
#include <utility>

Queue::Queue(Replay replays) : replays_(std::move(replays)), thread_([this] { loop(); }) {}

Queue::~Queue() { stop(); }

void Queue::stop() {
  {
    std::lock_guard lock(mutex_);
    stopping_ = true;
  }
  wake_.notify_one();
  if (thread_.joinable()) thread_.join();
}

void Queue::push(Task task) {
  bool wake;
  {
    std::lock_guard lock(mutex_);
    tasks_.push_back(std::move(task));
    wake = waiting_;
  }
  if (wake) wake_.notify_one();
}

void Queue::push(std::function<void()> task, Uses uses) { push(Task{.run = std::move(task), .uses = std::move(uses)}); }
void Queue::pushLast(std::function<void()> task) { push(Task{.run = std::move(task), .last = true}); }

void Queue::push(std::shared_ptr<Job> job) {
  if (recording_) recorded_.push_back(job);
  push(Task{.job = std::move(job)});
}

void Queue::interrupt(std::function<void()> step) {
  {
    std::lock_guard lock(mutex_);
    steps_.push_back(std::move(step));
  }
  wake_.notify_one();
}

void Queue::startRecording() {
  if (recording_) throw std::runtime_error("record: another recording is open");
  recording_ = true;
}

std::vector<std::shared_ptr<Job>> Queue::stopRecording() {
  recording_ = false;
  return std::exchange(recorded_, {});
}

void Queue::replay(std::shared_ptr<Recorded> recorded) { push(Task{.recorded = std::move(recorded)}); }

void Queue::hold(const Storage* storage, bool writes) {
  holds_.push_back({{storage, writes}, number_});
  take({storage, writes});
}

void Queue::release(const Storage* storage) {
  const auto held = std::find_if(holds_.begin(), holds_.end(), [&](const Hold& h) { return h.use.storage == storage; });
  if (held != holds_.end()) holds_.erase(held);
}

bool Queue::mustWait(const Task& task, const Uses& uses) const {
  if (task.last)
    return !parked_.empty() ||
           std::any_of(holds_.begin(), holds_.end(), [&](const Hold& h) { return h.number < task.number; });
  return std::any_of(uses.begin(), uses.end(), [&](const Use& use) {
    const auto found = taken_.find(use.storage);
    return found != taken_.end() && (use.writes || found->second);
  });
}

void Queue::runOrPark(Task& task) {
  if (!holds_.empty()) {
    Uses uses = task.uses;
    if (task.job) task.job->addUses(uses);
    if (task.recorded)
      for (const auto& job : task.recorded->jobs) job->addUses(uses);
    if (mustWait(task, uses)) {
      for (const Use& use : uses) take(use);
      parked_.push_back(std::move(task));
      return;
    }
  }
  run(task);
}

void Queue::run(Task& task) {
  number_ = task.number;
  if (task.job) return runJob(*task.job);
  if (task.run) return task.run();
  if (replays_ && replays_(*task.recorded)) return;
  for (const auto& job : task.recorded->jobs) runJob(*job);
}

void Queue::runJob(Job& job) {
  if (Failure failure = job.run(); failure && !failure_) failure_ = std::move(failure);
}

// Examines every parked task again, in order: tasks that depend on a parked task wait too.
void Queue::runParked() {
  taken_.clear();
  for (const Hold& hold : holds_) take(hold.use);
  for (std::deque<Task> again = std::exchange(parked_, {}); !again.empty();) {
    Task task = std::move(again.front());  // ends with its turn, which gives its tensors' bytes back
    again.pop_front();
    runOrPark(task);
  }
}

void Queue::loop() {
  for (;;) {
    Task task;
    std::function<void()> step;
    {
      std::unique_lock lock(mutex_);
      while (!stopping_ && tasks_.empty() && steps_.empty()) {
        waiting_ = true;
        wake_.wait(lock);
        waiting_ = false;
      }
      if (stopping_) return;
      if (!steps_.empty()) {
        step = std::move(steps_.front());
        steps_.pop_front();
      } else {
        task = std::move(tasks_.front());
        tasks_.pop_front();
        task.number = ++count_;
      }
    }
    if (step) {
      step();
      runParked();
    } else {
      runOrPark(task);
    }
  }
}
