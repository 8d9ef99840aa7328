// The GPUs as the rest of the addon sees them: memory, transfers, waiting, recordings. No CUDA type appears here, so a
// build without CUDA needs no header of it (absent.cc).
//
// A GPU has one stream for the whole process. Work is queued on it by the queues of the Node environments, in order.
#pragma once
#include <cstddef>
#include <functional>
#include <memory>
#include <string>
#include <vector>
#include "../../pool.h"
#include "../../queue.h"
#include "../../storage.h"

namespace cuda {

struct Device;

struct GpuInfo {
  std::string name;
  int capability = 0;  // major · 10 + minor
  int processors = 0;
  size_t bytes = 0, freeBytes = 0;
  int64_t graphLaunches = 0;  // replays that ran as a CUDA graph
  int64_t peerCopies = 0;     // to other GPUs
};

// "" where a kernel ran on some GPU, else one sentence that says why not.
std::string absence();
// GPUs that can be used: index 0 is the first on which a kernel ran. 0 where absence() says something.
int count();
// Why GPUs of this machine have no index: they are too old, or the first kernel failed. "" where all have one.
std::string passedOver();
GpuInfo info(int index);

Pool& pool(int index);
void trimPinned(int index);  // frees the host memory in which results land

// The state with which one Node environment's queue launches. HELVETIA_PROCESSORS=4 plans for at most 4 processors, so
// that tests reach the plans of large shapes with small ones. HELVETIA_OVERLAP=off starts every kernel when the one
// before has ended. @throws std::runtime_error where that GPU cannot be used.
std::shared_ptr<Device> open(int index);

// Before anything below, once per thread.
void use(Device& device);

// The rest is called on a queue's thread, and throws std::runtime_error.

// Copies from host memory, which may be changed or freed when this returns.
void upload(Device& device, void* to, const void* from, size_t bytes);
// Copies to host memory; `done` is called on another thread when the bytes are there, or with the reason why not.
void download(Device& device, void* to, const void* from, size_t bytes, std::function<void(Failure)> done);
// Copies to another GPU, behind what `from` has queued, without a way through the host where the two can; `done` as above.
// Nothing that `to` has queued may still use the bytes that are written.
void copyAcross(Device& from, const Device& to, void* target, const void* source, size_t bytes,
                std::function<void(Failure)> done);
// Calls `done` on another thread when everything queued so far has run.
void whenDone(Device& device, std::function<void(Failure)> done);
// The same for the addon's own waits: faults in data are left for the next await.
void whenReached(Device& device, std::function<void(Failure)> done);
// With HELVETIA_SYNC=1 waits for each kernel, so that an error names its kernel.
void afterKernel(Device& device);
// Runs recorded jobs as a CUDA graph, captured at the first call. False where they are to be run one by one.
bool replay(Device& device, Recorded& recorded);

}  // namespace cuda
