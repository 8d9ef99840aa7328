// What a kernel's host side sees of its GPU: the stream, the limits that choose tiles, and scratch memory.
#pragma once
#include <cuda_runtime.h>
#include <memory>
#include <stdexcept>
#include <string>
#include <vector>
#include "../../storage.h"

namespace cuda {

// Throws std::runtime_error with CUDA's own sentence.
inline void check(cudaError_t error) {
  if (error != cudaSuccess) throw std::runtime_error(std::string("CUDA: ") + cudaGetErrorString(error));
}

struct Faults;

struct Device {
  Place place;
  int ordinal = 0;  // CUDA's own number of the GPU
  cudaStream_t stream = nullptr;
  int capability = 80;        // 80, 90, …: major · 10 + minor
  bool hopper = false;        // it runs sm_90a's instructions, and this build has the kernels that hold them
  bool overlaps = false;      // it and this build know dependent launches: see Grid::overlaps
  int processors = 1;         // streaming multiprocessors
  double memoryRate = 13;     // bytes per cycle and multiprocessor, of long copies
  size_t sharedPerBlock = 0;  // bytes of shared memory that a block may ask for
  size_t cacheBytes = 0;      // L2
  Faults* faults = nullptr;   // in pinned memory, see fault.cuh

  // While a graph is captured, scratch lives as long as the graph does.
  std::vector<std::shared_ptr<void>>* retained = nullptr;
};

// `count` elements of device memory for the kernels of one call. It goes back to the pool when the call has queued its
// kernels; the next user runs behind them on the same stream.
std::shared_ptr<void> scratchBytes(Device& device, size_t bytes);

template <class T>
class Scratch {
 public:
  Scratch(Device& device, int64_t count) : bytes_(scratchBytes(device, size_t(count) * sizeof(T))) {}
  operator T*() const { return static_cast<T*>(bytes_.get()); }

 private:
  std::shared_ptr<void> bytes_;
};

// Whether a multiprocessor has shared memory for two blocks with `bytes` each. It takes 1 KB more for every block.
inline bool fitsTwice(const Device& device, size_t bytes) { return 2 * (bytes + 1024) <= device.sharedPerBlock + 1024; }

constexpr int64_t ceilDiv(int64_t a, int64_t b) { return (a + b - 1) / b; }

}  // namespace cuda
