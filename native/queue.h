// Queue: one thread that runs jobs in the order they came.
//
// A job that fails does not stop the queue: it marks what it should have written (see Storage::failure), so the failure
// travels along the data and reaches whoever waits for it. The queue remembers the first for whoever waits for idleness.
#pragma once
#include <condition_variable>
#include <deque>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <utility>
#include <vector>

using Failure = std::shared_ptr<const std::string>;

struct Job {
  virtual ~Job() = default;
  virtual Failure run() = 0;            // never throws
  virtual Failure blocked() const = 0;  // why it cannot run: something that it reads was never written
  virtual void forgive() = 0;           // takes back what a run that failed marked
};

// Jobs kept to be run again, and what a device makes of them for that (a CUDA graph).
struct Recorded {
  std::vector<std::shared_ptr<Job>> jobs;
  std::shared_ptr<void> compiled;
};

// Lowers the calling thread's priority below that of the event loop, which must answer while all cores compute.
void yieldToEventLoop();

class Queue {
 public:
  // `replays` runs recorded jobs its own way; it answers false where they are to be run one by one.
  using Replay = std::function<bool(Recorded&)>;
  explicit Queue(Replay replays = nullptr);
  ~Queue();  // waits for the running job, drops the rest

  void push(std::shared_ptr<Job> job);
  void push(std::function<void()> task);  // must not throw

  // The first failure since the last such call. On the queue's thread only.
  Failure takeFailure() { return std::exchange(failure_, nullptr); }

  // Between the two calls every pushed job is also kept. `replay` runs kept jobs again, in order.
  void startRecording();
  std::vector<std::shared_ptr<Job>> stopRecording();
  void replay(std::shared_ptr<Recorded> recorded);

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
  const Replay replays_;
  std::thread thread_;
};
