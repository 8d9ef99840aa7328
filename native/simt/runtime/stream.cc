// Streams and events.
#include "stream.h"
#include <algorithm>

namespace simt {
namespace {

std::vector<cudaStream_t>& streams() {
  static auto* all = new std::vector<cudaStream_t>;
  return *all;
}

// The default stream of a device. Call with the state locked.
cudaStream_t defaultStream(int device) {
  static auto* all = new std::vector<cudaStream_t>;
  while (int(all->size()) <= device) {
    auto* stream = new CUstream_st;
    stream->device = int(all->size());
    all->push_back(stream);
    streams().push_back(stream);
  }
  return (*all)[size_t(device)];
}

cudaStream_t resolve(cudaStream_t stream) { return stream ? stream : defaultStream(currentDevice()); }

// Runs the oldest piece of work. Returns false if there is none. Call with the run mutex held and the state unlocked.
bool step(CUstream_st& stream) {
  Item item;
  bool skip;
  {
    std::lock_guard lock(stateMutex());
    if (stream.items.empty()) return false;
    item = std::move(stream.items.front());
    stream.items.pop_front();
    skip = !stream.failure.empty();
  }
  std::string failure;
  if (item.work && !skip) failure = item.work();
  std::lock_guard lock(stateMutex());
  if (stream.failure.empty()) stream.failure = failure;
  if (item.mark) {
    item.mark->done = true;
    item.mark->failure = stream.failure;
    item.mark->time = std::chrono::steady_clock::now();
  }
  return true;
}

bool isDone(const Mark& mark) {
  std::lock_guard lock(stateMutex());
  return mark.done;
}

void runUntil(const Mark& mark) {
  std::lock_guard running(runMutex());
  while (!isDone(mark) && step(*mark.stream)) {}
}

std::shared_ptr<Mark> record(CUstream_st& stream) {
  auto mark = std::make_shared<Mark>(Mark{&stream});
  stream.items.push_back({nullptr, mark});
  return mark;
}

void waitFor(CUstream_st& stream, std::shared_ptr<Mark> mark) {
  if (mark->done && mark->failure.empty()) return;
  stream.items.push_back({[mark] {
                            runUntil(*mark);
                            return mark->failure;
                          },
                          nullptr});
}

// Work of the default stream comes after that of all blocking streams, and theirs after its.
void orderWithDefault(CUstream_st& stream) {
  CUstream_st* first = defaultStream(stream.device);
  for (CUstream_st* other : streams()) {
    if (other == &stream || other->device != stream.device || other->items.empty() || !other->blocking) continue;
    if (&stream == first || (other == first && stream.blocking)) waitFor(stream, record(*other));
  }
}

// Hands a failure out, once.
cudaError_t take(std::string& failure) {
  if (failure.empty()) return cudaSuccess;
  const std::string what = std::move(failure);
  failure.clear();
  return failed(what);
}

}  // namespace

std::mutex& stateMutex() {
  static auto* mutex = new std::mutex;
  return *mutex;
}
std::recursive_mutex& runMutex() {
  static auto* mutex = new std::recursive_mutex;
  return *mutex;
}

bool isCapturing(cudaStream_t stream) {
  std::lock_guard lock(stateMutex());
  return resolve(stream)->graph != nullptr;
}

cudaError_t enqueue(cudaStream_t handle, Work work) {
  std::lock_guard lock(stateMutex());
  CUstream_st& stream = *resolve(handle);
  if (stream.graph) {
    stream.graph->work.push_back(std::move(work));
    return cudaSuccess;
  }
  orderWithDefault(stream);
  stream.items.push_back({std::move(work), nullptr});
  return cudaSuccess;
}

cudaError_t finish(cudaStream_t handle) {
  CUstream_st* stream;
  {
    std::lock_guard lock(stateMutex());
    stream = resolve(handle);
    if (stream->graph) return result(cudaErrorStreamCaptureUnsupported);
  }
  std::lock_guard running(runMutex());
  while (step(*stream)) {}
  std::lock_guard lock(stateMutex());
  return take(stream->failure);
}

void runAll(int device) {
  std::lock_guard running(runMutex());
  std::vector<cudaStream_t> all;
  {
    std::lock_guard lock(stateMutex());
    all = streams();
  }
  for (CUstream_st* stream : all)
    if (stream->device == device)
      while (step(*stream)) {}
}

void leaveFailure(int device, const std::string& what) {
  for (CUstream_st* stream : streams())
    if (stream->device == device && stream->failure.empty()) stream->failure = what;
}

cudaError_t finishDevice(int device) {
  runAll(device);
  std::lock_guard lock(stateMutex());
  cudaError_t first = cudaSuccess;
  for (CUstream_st* stream : streams())
    if (stream->device == device && first == cudaSuccess) first = take(stream->failure);
  return first;
}

}  // namespace simt

using namespace simt;

cudaError_t cudaStreamCreateWithFlags(cudaStream_t* stream, unsigned flags) {
  std::lock_guard lock(stateMutex());
  *stream = new CUstream_st;
  (*stream)->device = currentDevice();
  (*stream)->blocking = flags != cudaStreamNonBlocking;
  streams().push_back(*stream);
  return cudaSuccess;
}
cudaError_t cudaStreamCreate(cudaStream_t* stream) { return cudaStreamCreateWithFlags(stream, cudaStreamDefault); }

cudaError_t cudaStreamDestroy(cudaStream_t stream) {
  if (!stream) return result(cudaErrorInvalidResourceHandle);
  std::lock_guard running(runMutex());
  while (step(*stream)) {}
  std::lock_guard lock(stateMutex());
  std::erase(streams(), stream);
  delete stream;
  return cudaSuccess;
}

cudaError_t cudaStreamSynchronize(cudaStream_t stream) { return finish(stream); }

cudaError_t cudaStreamQuery(cudaStream_t handle) {
  CUstream_st* stream;
  {
    std::lock_guard lock(stateMutex());
    stream = resolve(handle);
  }
  std::lock_guard running(runMutex());
  step(*stream);
  std::lock_guard lock(stateMutex());
  return stream->items.empty() ? take(stream->failure) : cudaErrorNotReady;
}

cudaError_t cudaStreamWaitEvent(cudaStream_t handle, cudaEvent_t event, unsigned) {
  std::lock_guard lock(stateMutex());
  CUstream_st& stream = *resolve(handle);
  if (event->captured) stream.graph = event->captured;  // joins the capture; the order of calls is the graph's order
  else if (event->mark && !stream.graph) waitFor(stream, event->mark);
  return cudaSuccess;
}

cudaError_t cudaLaunchHostFunc(cudaStream_t stream, cudaHostFn_t function, void* data) {
  return enqueue(stream, [function, data] {
    function(data);
    return std::string();
  });
}

cudaError_t cudaEventCreateWithFlags(cudaEvent_t* event, unsigned) {
  *event = new CUevent_st;
  return cudaSuccess;
}
cudaError_t cudaEventCreate(cudaEvent_t* event) { return cudaEventCreateWithFlags(event, cudaEventDefault); }

cudaError_t cudaEventDestroy(cudaEvent_t event) {
  delete event;
  return cudaSuccess;
}

cudaError_t cudaEventRecord(cudaEvent_t event, cudaStream_t handle) {
  std::lock_guard lock(stateMutex());
  CUstream_st& stream = *resolve(handle);
  event->captured = stream.graph;
  if (!stream.graph) event->mark = record(stream);
  return cudaSuccess;
}

cudaError_t cudaEventSynchronize(cudaEvent_t event) {
  if (event->captured) return result(cudaErrorStreamCaptureUnsupported);
  if (!event->mark) return cudaSuccess;
  runUntil(*event->mark);
  std::lock_guard lock(stateMutex());
  if (event->mark->failure == event->mark->stream->failure) event->mark->stream->failure.clear();
  return take(event->mark->failure);
}

cudaError_t cudaEventQuery(cudaEvent_t event) {
  if (event->captured) return result(cudaErrorStreamCaptureUnsupported);
  if (!event->mark) return cudaSuccess;
  {
    std::lock_guard running(runMutex());
    if (!isDone(*event->mark)) step(*event->mark->stream);
  }
  return isDone(*event->mark) ? cudaEventSynchronize(event) : cudaErrorNotReady;
}

cudaError_t cudaEventElapsedTime(float* milliseconds, cudaEvent_t start, cudaEvent_t end) {
  if (!start->mark || !end->mark) return result(cudaErrorInvalidResourceHandle);
  if (!isDone(*start->mark) || !isDone(*end->mark)) return result(cudaErrorNotReady);
  *milliseconds = std::chrono::duration<float, std::milli>(end->mark->time - start->mark->time).count();
  return cudaSuccess;
}

cudaError_t cudaStreamBeginCapture(cudaStream_t stream, cudaStreamCaptureMode) {
  if (!stream) return result(cudaErrorStreamCaptureUnsupported);
  std::lock_guard lock(stateMutex());
  if (stream->graph) return result(cudaErrorStreamCaptureInvalidated);
  stream->graph = new CUgraph_st;
  return cudaSuccess;
}

cudaError_t cudaStreamEndCapture(cudaStream_t stream, cudaGraph_t* graph) {
  std::lock_guard lock(stateMutex());
  *graph = stream->graph;
  if (!*graph) return result(cudaErrorInvalidValue);
  for (CUstream_st* other : streams())
    if (other->graph == *graph) other->graph = nullptr;
  return cudaSuccess;
}

cudaError_t cudaStreamIsCapturing(cudaStream_t stream, cudaStreamCaptureStatus* status) {
  *status = isCapturing(stream) ? cudaStreamCaptureStatusActive : cudaStreamCaptureStatusNone;
  return cudaSuccess;
}

cudaError_t cudaGraphInstantiate(cudaGraphExec_t* exec, cudaGraph_t graph, unsigned long long) {
  *exec = new CUgraphExec_st{std::make_shared<const std::vector<Work>>(graph->work)};
  return cudaSuccess;
}

cudaError_t cudaGraphLaunch(cudaGraphExec_t exec, cudaStream_t stream) {
  return enqueue(stream, [work = exec->work] {
    std::string failure;
    for (size_t i = 0; i < work->size() && failure.empty(); i++) failure = (*work)[i]();
    return failure;
  });
}

cudaError_t cudaGraphDestroy(cudaGraph_t graph) {
  delete graph;
  return cudaSuccess;
}
cudaError_t cudaGraphExecDestroy(cudaGraphExec_t exec) {
  delete exec;
  return cudaSuccess;
}
