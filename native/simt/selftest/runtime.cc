// Streams, events, graphs, copies and memory.
#include "../memory/memory.h"
#include "../runtime/stream.h"
#include "check.h"

namespace selftest {
namespace {

// Work runs at a wait, and pinned memory is read when the copy runs.
std::string lateCopies() {
  int *pinned, *device, result = 0, pageable = 5;
  cudaMallocHost(&pinned, sizeof(int));
  cudaMalloc(&device, 2 * sizeof(int));
  cudaStream_t stream;
  cudaStreamCreateWithFlags(&stream, cudaStreamNonBlocking);
  *pinned = 1;
  cudaMemcpyAsync(device, pinned, sizeof(int), cudaMemcpyHostToDevice, stream);
  cudaMemcpyAsync(device + 1, &pageable, sizeof(int), cudaMemcpyHostToDevice, stream);
  *pinned = 2;
  pageable = 6;
  std::string problem;
  if (cudaStreamQuery(stream) != cudaErrorNotReady) problem = "the copy was not queued";
  cudaStreamSynchronize(stream);
  cudaMemcpy(&result, device, sizeof(int), cudaMemcpyDeviceToHost);
  if (result != 2) problem = "pinned memory was read early";
  cudaMemcpy(&result, device + 1, sizeof(int), cudaMemcpyDeviceToHost);
  if (result != 5) problem = "pageable memory was read late";
  cudaStreamDestroy(stream);
  cudaFree(device);
  cudaFreeHost(pinned);
  return problem;
}

std::string eventsOrderStreams() {
  Buffer<int> value(std::vector<int>{0});
  cudaStream_t first, second;
  cudaStreamCreateWithFlags(&first, cudaStreamNonBlocking);
  cudaStreamCreateWithFlags(&second, cudaStreamNonBlocking);
  cudaEvent_t event;
  cudaEventCreate(&event);
  simt::launch(first, {1, 1}, [at = value.get()] { *at = 7; });
  cudaEventRecord(event, first);
  cudaStreamWaitEvent(second, event);
  simt::launch(second, {1, 1}, [at = value.get()] { *at *= 3; });
  cudaStreamSynchronize(second);
  const int got = value.values()[0];
  cudaEventDestroy(event);
  cudaStreamDestroy(first);
  cudaStreamDestroy(second);
  return got == 21 ? "" : "the second stream ran first";
}

std::string graphs() {
  Buffer<int> value(std::vector<int>{0});
  cudaStream_t stream;
  cudaStreamCreateWithFlags(&stream, cudaStreamNonBlocking);
  cudaGraph_t graph;
  cudaGraphExec_t exec;
  cudaStreamBeginCapture(stream, cudaStreamCaptureModeRelaxed);
  simt::launch(stream, {1, 1}, [at = value.get()] { *at += 2; });
  std::string problem;
  if (cudaStreamSynchronize(stream) != cudaErrorStreamCaptureUnsupported) problem = "a capturing stream was waited for";
  cudaStreamEndCapture(stream, &graph);
  cudaGraphInstantiate(&exec, graph);
  cudaGraphDestroy(graph);
  for (int i = 0; i < 3; i++) cudaGraphLaunch(exec, stream);
  cudaStreamSynchronize(stream);
  if (value.values()[0] != 6) problem = "the graph did not run three times";
  cudaGraphExecDestroy(exec);
  cudaStreamDestroy(stream);
  cudaGetLastError();
  return problem;
}

// The wait behind a failure reports it, once; the work between is skipped, and the device can be used again.
std::string failures() {
  Buffer<int> value(std::vector<int>{0});
  cudaStream_t stream;
  cudaStreamCreateWithFlags(&stream, cudaStreamNonBlocking);
  cudaEvent_t event;
  cudaEventCreate(&event);
  simt::launch(stream, {2, 64}, [] {
    if (blockIdx.x == 1 && threadIdx.x == 33) __trap();
  });
  simt::launch(stream, {1, 1}, [at = value.get()] { *at = 1; });
  cudaEventRecord(event, stream);
  std::string problem;
  if (cudaEventSynchronize(event) != cudaErrorLaunchFailure) problem = "the failure was not told";
  const std::string sentence = cudaGetErrorString(cudaErrorLaunchFailure);
  if (sentence != "__trap was called (block (1, 0, 0), thread (33, 0, 0))") problem = sentence;
  if (value.values()[0] != 0) problem = "work behind the failure ran";
  simt::launch(stream, {1, 1}, [at = value.get()] { *at = 4; });
  if (cudaStreamSynchronize(stream) != cudaSuccess || value.values()[0] != 4) problem = "the device stayed broken";
  cudaEventDestroy(event);
  cudaStreamDestroy(stream);
  return problem;
}

std::string memory() {
  const size_t before = simt::settings().memory;
  simt::settings().memory = 1 << 20;
  void *first = nullptr, *second = nullptr;
  std::string problem;
  if (cudaMalloc(&first, 600 << 10) != cudaSuccess) problem = "memory that is there was refused";
  if (cudaMalloc(&second, 600 << 10) != cudaErrorMemoryAllocation) problem = "more memory than there is was given";
  if (cudaMemcpy(static_cast<char*>(first) + (600 << 10) - 4, &problem, 8, cudaMemcpyHostToDevice) !=
      cudaErrorInvalidValue)
    problem = "a copy reaches past its allocation";
  simt::launch(nullptr, {1, 1}, [at = static_cast<char*>(first)] { at[600 << 10] = 0; });
  if (cudaDeviceSynchronize() != cudaErrorLaunchFailure) problem = "a write past an allocation was not told";
  static_cast<char*>(first)[-1] = 0;  // outside of any launch
  if (cudaFree(first) != cudaErrorLaunchFailure) problem = "a write before an allocation was not told at its end";
  if (cudaDeviceSynchronize() != cudaErrorLaunchFailure)
    problem = "a write before an allocation was not left to the next wait";
  simt::settings().memory = before;
  cudaGetLastError();
  return problem;
}

// A pool lends parts of blocks: what lies behind is out of bounds, and what came back is poisoned and may not be written.
std::string lending() {
  Buffer<char> block(size_t(1) << 12);
  char *at = block.get(), first = 0;
  const auto writes = [=](size_t i) { return runKernel({1, 1}, [=] { at[i] = 1; }); };
  simt::lend(nullptr, at, 1000);
  std::string problem;
  if (!writes(999).empty()) problem = "the last lent byte was refused";
  if (writes(1000) != "something wrote past the end of 1000 bytes of memory")
    problem = "the first byte behind was not told";
  simt::launch(nullptr, {1, 1}, [=] { at[3000] = 1; });
  simt::lend(nullptr, at, 0);
  if (cudaDeviceSynchronize() != cudaErrorLaunchFailure) problem = "a byte far behind was not told at the return";
  cudaMemcpy(&first, at + 999, 1, cudaMemcpyDeviceToHost);
  if (first != char(0xff)) problem = "what came back kept its numbers";
  if (writes(0).empty()) problem = "a write after the return was not told";
  simt::lend(nullptr, at, 4096);
  if (!writes(4095).empty()) problem = "a block that was lent again was refused";
  simt::lend(nullptr, at, 0);
  simt::lend(nullptr, at + 1024, 100);
  simt::lend(nullptr, at + 2048, 1000);
  if (!writes(1024).empty() || !writes(3047).empty()) problem = "a part in the middle was refused";
  if (writes(1124) != "something wrote past the end of 100 bytes of memory")
    problem = "a write between two parts was not told";
  simt::launch(nullptr, {1, 1}, [=] { at[2047] = 1; });
  cudaDeviceSynchronize();
  simt::lend(nullptr, at + 1536, 512);
  simt::lend(nullptr, at + 1024, 0);
  if (!writes(1600).empty()) problem = "a part beside one that came back was refused";
  return problem;
}

std::string launches() {
  const auto nothing = [] {};
  if (simt::launch(nullptr, {1, 1025}, nothing) != cudaErrorInvalidConfiguration) return "1025 threads were taken";
  if (simt::launch(nullptr, {1, 32, 300000}, nothing) != cudaErrorInvalidConfiguration)
    return "300000 bytes were taken";
  if (simt::launch(nullptr, {3, 32, 0, 2}, nothing) != cudaErrorInvalidConfiguration) return "half a cluster was taken";
  cudaGetLastError();
  return "";
}

}  // namespace

std::vector<Check> runtimeChecks() {
  return {
      {"runtime copies run late", lateCopies},
      {"runtime events order streams", eventsOrderStreams},
      {"runtime graphs", graphs},
      {"runtime failures", failures},
      {"runtime memory", memory},
      {"runtime launches", launches},
      {"runtime lending", lending},
  };
}

}  // namespace selftest
