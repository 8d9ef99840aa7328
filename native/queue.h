// Queue: one thread that runs jobs in the order they came.
//
// A job that fails does not stop the queue: it marks what it should have written (see Storage::failure), so the failure
// travels along the data and reaches whoever waits for it. `idle` tells the first failure since it was last asked.
#pragma once
#include <condition_variable>
#include <deque>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

using Failure = std::shared_ptr<const std::string>;

struct Job {
  virtual ~Job() = default;
  virtual Failure run() = 0;  // never throws
};

// Lowers the calling thread's priority below that of the event loop, which must answer while all cores compute.
void yieldToEventLoop();

class Queue {
 public:
  Queue();
  ~Queue();  // waits for the running job, drops the rest

  void push(std::shared_ptr<Job> job);
  void push(std::function<void()> task);  // must not throw

  // Calls `done` on the queue's thread with the first failure since the last such call, once all earlier jobs have run.
  void whenIdle(std::function<void(Failure)> done);

  // Between the two calls every pushed job is also kept. `replay` runs kept jobs again, in order.
  void startRecording();
  std::vector<std::shared_ptr<Job>> stopRecording();
  void replay(std::shared_ptr<const std::vector<std::shared_ptr<Job>>> jobs);

 private:
  void loop();
  void runJob(Job& job);

  std::mutex mutex_;
  std::condition_variable wake_;
  std::deque<std::function<void()>> tasks_;
  bool waiting_ = false, stopping_ = false;
  bool recording_ = false;
  std::vector<std::shared_ptr<Job>> recorded_;
  Failure failure_;  // the queue's thread only
  std::thread thread_;
};
