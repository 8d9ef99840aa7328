// Runs one small kernel on GPU 0. The runtime is linked statically, so this also works where there is no driver.
#include "probe.h"
#include <cuda_runtime.h>

namespace cuda {
namespace {

__global__ void writeOne(int* out) { *out = 1; }

std::string reason(cudaError_t error) { return std::string("CUDA cannot be used here: ") + cudaGetErrorString(error); }

}  // namespace

std::string absence() {
  int count = 0;
  if (cudaError_t error = cudaGetDeviceCount(&count)) return reason(error);
  if (count == 0) return "CUDA cannot be used here: no GPU was found";
  int *onDevice = nullptr, value = 0;
  if (cudaError_t error = cudaMalloc((void**)&onDevice, sizeof value)) return reason(error);
  writeOne<<<1, 1>>>(onDevice);
  cudaError_t error = cudaMemcpy(&value, onDevice, sizeof value, cudaMemcpyDeviceToHost);
  cudaFree(onDevice);
  if (error) return reason(error);
  if (value != 1) return "CUDA cannot be used here: a kernel ran and left no result";
  return "this version has no CUDA kernels yet: a GPU was found, and the CPU is used";
}

}  // namespace cuda
