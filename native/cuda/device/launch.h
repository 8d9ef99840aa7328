// launch(): the one way in which a kernel starts, on a GPU or on the GPU in software.
#pragma once
#include <utility>
#include "device.h"

namespace cuda {

struct Grid {
  dim3 blocks;
  dim3 threads;
  size_t shared = 0;      // bytes of dynamic shared memory
  unsigned cluster = 1;   // blocks along x that form a cluster (sm_90)
  bool overlaps = false;  // the kernel begins with ptx::takeTurn(): its blocks may come while the one before still runs
};

// Whether a thread of `kernel` starts with as many registers as its setmaxnreg counts on, which is up to nvcc. With fewer
// the kernel would wait for the rest for ever.
bool startsWith(const void* kernel, int registers);

#ifdef HELVETIA_SIMT

template <class... Parameters, class... Arguments>
void launch(Device& device, void (*kernel)(Parameters...), const Grid& grid, Arguments&&... arguments) {
  if (grid.blocks.x == 0 || grid.blocks.y == 0 || grid.blocks.z == 0) return;
  simt::noteLaunch(reinterpret_cast<const void*>(kernel), grid.shared);
  check(simt::launch(device.stream, {grid.blocks, grid.threads, grid.shared, grid.cluster, grid.overlaps},
                     [kernel, ... copies = Parameters(std::forward<Arguments>(arguments))] { kernel(copies...); }));
}

#else

// Opts a kernel in to more than 48 KB of shared memory, once per device.
void allowShared(const void* kernel, int device, size_t bytes);

template <class... Parameters, class... Arguments>
void launch(Device& device, void (*kernel)(Parameters...), const Grid& grid, Arguments&&... arguments) {
  if (grid.blocks.x == 0 || grid.blocks.y == 0 || grid.blocks.z == 0) return;
  allowShared(reinterpret_cast<const void*>(kernel), device.ordinal, grid.shared);
  cudaLaunchConfig_t config{};
  config.gridDim = grid.blocks;
  config.blockDim = grid.threads;
  config.dynamicSmemBytes = grid.shared;
  config.stream = device.stream;
  cudaLaunchAttribute attributes[2];
  if (grid.cluster > 1) {
    auto& attribute = attributes[config.numAttrs++];
    attribute.id = cudaLaunchAttributeClusterDimension;
    attribute.val.clusterDim = {grid.cluster, 1, 1};
  }
  if (grid.overlaps && device.overlaps) {
    auto& attribute = attributes[config.numAttrs++];
    attribute.id = cudaLaunchAttributeProgrammaticStreamSerialization;
    attribute.val.programmaticStreamSerializationAllowed = 1;
  }
  config.attrs = attributes;
  check(cudaLaunchKernelEx(&config, kernel, Parameters(std::forward<Arguments>(arguments))...));
}

#endif

}  // namespace cuda
