// Queue: one thread that runs tasks in order, except tasks that wait for a storage.
//
// A failed job does not stop the queue: it marks its outputs (see Storage::failure), so that the failure travels along
// the data to the await of a result. The queue also remembers the first failure, for idle().
//
// A task may hold a storage for work that ends elsewhere, such as a copy from another device. Later tasks that use the
// storage, and tasks that depend on these, are parked until the hold ends; all others go on. Tasks that use the same
// storage always run in order.
#pragma once
#include <condition_variable>
#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <unordered_map>
#include <utility>
#include <vector>
#include "storage.h"

// What a task does with a storage.
struct Use {
  const Storage* storage;
  bool writes;
};
using Uses = std::vector<Use>;

struct Job {
  virtual ~Job() = default;
  virtual Failure run() = 0;            // never throws
  virtual Failure blocked() const = 0;  // the failure of an input, if one failed
  virtual void forgive() = 0;           // removes the marks of a failed run
  virtual void addUses(Uses& to) const = 0;
};

// Jobs kept to be run again, and what a device makes of them for that (a CUDA graph).
struct Recorded {
  std::vector<std::shared_ptr<Job>> jobs;
  std::shared_ptr<void> compiled;
};

class Queue {
 public:
  // A Replay runs recorded jobs in its own way. It returns false where they must run one by one.
  using Replay = std::function<bool(Recorded&)>;
  explicit Queue(Replay replays = nullptr);
  ~Queue();
  void stop();  // waits for the running task. The others never run; they are dropped with the queue

  void push(std::shared_ptr<Job> job);
  void push(std::function<void()> task, Uses uses = {});  // must not throw
  void pushLast(std::function<void()> task);              // the same, behind every earlier task and hold
  // Runs `step` on the queue's thread as soon as the running task ends. From any thread; must not throw.
  void interrupt(std::function<void()> step);

  // On the queue's thread only. hold() is for the running task, which has the storage among its uses; where it `writes`,
  // all other uses wait, else only those that write. Each hold is ended by one release(), in a step of interrupt().
  void hold(const Storage* storage, bool writes);
  void release(const Storage* storage);
  Failure takeFailure() { return std::exchange(failure_, nullptr); }  // the first since the last such call

  // Between the two calls every pushed job is also kept. `replay` runs kept jobs again, in order.
  void startRecording();
  std::vector<std::shared_ptr<Job>> stopRecording();
  void replay(std::shared_ptr<Recorded> recorded);

 private:
  struct Task {
    std::function<void()> run;
    std::shared_ptr<Job> job;
    std::shared_ptr<Recorded> recorded;
    Uses uses;
    bool last = false;
    uint64_t number = 0;
  };
  struct Hold {
    Use use;
    uint64_t number;  // of the task that took it
  };

  void push(Task task);
  void loop();
  void runOrPark(Task& task);
  void run(Task& task);
  void runJob(Job& job);
  void runParked();
  void take(const Use& use) { taken_[use.storage] |= use.writes; }
  bool mustWait(const Task& task, const Uses& uses) const;

  std::mutex mutex_;
  std::condition_variable wake_;
  std::deque<Task> tasks_;
  std::deque<std::function<void()>> steps_;
  bool waiting_ = false, stopping_ = false;
  bool recording_ = false;
  std::vector<std::shared_ptr<Job>> recorded_;

  // The queue's thread only.
  Failure failure_;
  uint64_t number_ = 0;  // of the task that runs
  uint64_t count_ = 0;   // tasks so far
  std::vector<Hold> holds_;
  std::deque<Task> parked_;
  std::unordered_map<const Storage*, bool> taken_;  // what holds and parked tasks use, and whether one writes it

  const Replay replays_;
  std::thread thread_;
};
