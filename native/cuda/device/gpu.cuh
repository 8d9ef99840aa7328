// One GPU's state, shared by all Node environments of the process.
#pragma once
#include <atomic>
#include <condition_variable>
#include <deque>
#include <mutex>
#include <thread>
#include "device.h"
#include "fault.cuh"
#include "gpu.h"

namespace cuda {

struct Gpu;

// Waits for events on a thread of its own, so that neither a queue nor the event loop does.
class Waiter {
 public:
  void start(Gpu& gpu);
  void push(cudaEvent_t event, std::function<void(Failure)> done, bool takesFaults = true);

 private:
  struct Wait {
    cudaEvent_t event;
    std::function<void(Failure)> done;
    bool takesFaults;
  };
  void loop(Gpu& gpu);

  std::mutex mutex_;
  std::condition_variable wake_;
  std::deque<Wait> waits_;
};

// Copies long downloads to their place, on a thread of its own, so that the Waiter's next event does not stand behind them.
class Copier {
 public:
  void push(std::function<void()> copy);
  // Runs `task` behind all copies so far: at once where none is left.
  void behind(std::function<void()> task);

 private:
  void loop();

  std::mutex mutex_;
  std::condition_variable wake_;
  std::deque<std::function<void()>> copies_;  // the front one runs
  bool started_ = false;
};

// Pinned memory through which uploads go, a slot at a time.
struct Staging {
  struct Slot {
    char* bytes = nullptr;
    cudaEvent_t free = nullptr;
  };
  Staging(size_t slotBytes, size_t slots) : slotBytes(slotBytes), slots(slots) {}
  const size_t slotBytes;
  std::mutex mutex;
  std::vector<Slot> slots;
  size_t next = 0;
};

struct Gpu {
  Gpu(int index, int ordinal, int code);

  const int index, ordinal;
  cudaStream_t stream = nullptr;
  GpuInfo info;
  bool hopper = false, overlaps = false;
  size_t sharedPerBlock = 0, cacheBytes = 0;
  double memoryRate = 13;               // an H100's, where the driver gives none
  Faults* faults = nullptr;             // pinned
  Pool pool;                            // device memory
  Pool pinned;                          // host memory that downloads land in
  Staging small{size_t(64) << 10, 64};  // a step's ids and tables, while earlier steps still run
  Staging large{size_t(8) << 20, 4};    // long enough for full speed over PCIe
  Copier copier;
  Waiter waiter;
  std::atomic<int64_t> graphLaunches = 0, peerCopies = 0;
};

// @throws std::runtime_error where that GPU cannot be used.
Gpu& gpu(int index);

// An event recorded on the stream now.
cudaEvent_t recordEvent(cudaStream_t stream);

}  // namespace cuda
