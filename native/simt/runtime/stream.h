// Streams, events and graphs: queues of work that runs at a wait.
#pragma once
#include <chrono>
#include <deque>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <vector>
#include "../api.h"

namespace simt {

using Work = std::function<std::string()>;  // returns what went wrong, or ""

// A place in a stream's queue that an event stands for.
struct Mark {
  CUstream_st* stream;
  bool done = false;
  std::string failure;  // of the work before it
  std::chrono::steady_clock::time_point time{};
};

struct Item {
  Work work;
  std::shared_ptr<Mark> mark;
};

// Guards all state of the runtime. Work runs with only the second one held, one piece at a time.
std::mutex& stateMutex();
std::recursive_mutex& runMutex();

int currentDevice();
// Remembers the error for cudaGetLastError and returns it.
cudaError_t result(cudaError_t error);
// Fails with this sentence as what cudaGetErrorString says on this OS thread.
cudaError_t failed(const std::string& what);

// Queues work, or adds it to the graph that the stream captures. Null is the current device's default stream.
cudaError_t enqueue(cudaStream_t stream, Work work);
cudaError_t finish(cudaStream_t stream);  // runs all of its work; cudaErrorLaunchFailure once after a failure
cudaError_t finishDevice(int device);     // the same for all streams of a device
void runAll(int device);                  // the same, leaving failures where they are
bool isCapturing(cudaStream_t stream);
void leaveFailure(int device,
                  const std::string& what);  // to the next waits on its streams. Call with the state locked.

}  // namespace simt

struct CUgraph_st {
  std::vector<simt::Work> work;
};
struct CUgraphExec_st {
  std::shared_ptr<const std::vector<simt::Work>> work;
};
struct CUevent_st {
  std::shared_ptr<simt::Mark> mark;
  CUgraph_st* captured = nullptr;  // recorded while this graph was captured
};
struct CUstream_st {
  int device = 0;
  bool blocking = true;  // ordered with the default stream
  std::deque<simt::Item> items;
  std::string failure;
  CUgraph_st* graph = nullptr;  // that it captures
};
