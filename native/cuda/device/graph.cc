// Recordings as CUDA graphs: hundreds of launches become one.
#include "gpu.cuh"

namespace cuda {
namespace {

struct Graph {
  cudaGraphExec_t executable = nullptr;
  std::vector<std::shared_ptr<void>> scratch;  // its kernels' temporaries
  bool unusable = false;
  ~Graph() {
    if (executable) cudaGraphExecDestroy(executable);
  }
};

// Sends what the device launches into a graph instead of the stream, while it lives.
class Capture {
 public:
  Capture(Device& device, Graph& graph) : device_(device), stream_(device.stream) {
    cudaStream_t own = nullptr;
    check(cudaStreamCreateWithFlags(&own, cudaStreamNonBlocking));
    device.stream = own;
    device.retained = &graph.scratch;
    if (cudaError_t error = cudaStreamBeginCapture(own, cudaStreamCaptureModeRelaxed)) {
      end();
      check(error);
    }
  }
  ~Capture() {
    if (device_.retained) {
      cudaGraph_t dropped = finish();
      if (dropped) cudaGraphDestroy(dropped);
    }
  }
  cudaGraph_t finish() {
    cudaGraph_t graph = nullptr;
    if (cudaStreamEndCapture(device_.stream, &graph) != cudaSuccess) cudaGetLastError();
    end();
    return graph;
  }

 private:
  void end() {
    cudaStreamDestroy(device_.stream);
    device_.stream = stream_;
    device_.retained = nullptr;
  }

  Device& device_;
  cudaStream_t stream_;
};

void capture(Device& device, const Recorded& recorded, Graph& graph) {
  Capture capture(device, graph);
  for (const auto& job : recorded.jobs)
    if (job->run()) {
      // A graph holds all its temporaries at once, which may not fit where the calls' one after the other do.
      job->forgive();
      graph.unusable = true;
      return;
    }
  cudaGraph_t captured = capture.finish();
  if (!captured || cudaGraphInstantiate(&graph.executable, captured, 0) != cudaSuccess) {
    cudaGetLastError();
    graph.unusable = true;
  }
  if (captured) cudaGraphDestroy(captured);
}

}  // namespace

bool replay(Device& device, Recorded& recorded) {
  // A graph cannot skip calls whose inputs failed, so these run one by one.
  for (const auto& job : recorded.jobs)
    if (job->blocked()) return false;
  if (!recorded.compiled) {
    auto graph = std::make_shared<Graph>();
    recorded.compiled = graph;
    try {
      capture(device, recorded, *graph);
    } catch (const std::exception&) {
      graph->unusable = true;  // the calls, run one by one, report the error
    }
    if (graph->unusable) graph->scratch.clear();
  }
  auto& graph = *static_cast<Graph*>(recorded.compiled.get());
  if (graph.unusable) return false;
  if (cudaGraphLaunch(graph.executable, device.stream) == cudaSuccess) {
    gpu(device.place.index).graphLaunches++;
    return true;
  }
  cudaGetLastError();
  graph.unusable = true;
  return false;
}

}  // namespace cuda
