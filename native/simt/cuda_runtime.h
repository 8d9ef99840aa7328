// What <cuda_runtime.h> is on the software GPU: CUDA's qualifiers, built-in variables and functions, and the runtime API.
//
// Kernels start by simt::launch (see native/cuda/device/launch.h), never by <<<>>>, and have dynamic shared memory only, so
// __shared__ does not exist here.
#pragma once
#include <functional>
#include "api.h"
#include "blocks/block.h"
#include "blocks/warp.h"
#include "memory/atomics.h"
#include "numbers.h"
#include "vectors.h"

namespace simt {

struct Shape {
  dim3 blocks, threads;
  size_t shared = 0;      // bytes
  unsigned cluster = 1;   // blocks along x
  bool overlaps = false;  // a dependent launch: it may come while the kernel before still runs
};

// Queues a kernel. `body` is one thread of it and carries copies of its arguments.
cudaError_t launch(cudaStream_t stream, const Shape& shape, std::function<void()> body);

// With HELVETIA_SIMT_LAUNCHES=file: appends a line for each kernel, and again when it gets more shared memory than before:
// "capability offset bytes", the offset from the addon's beginning, in hexadecimal. The addon's symbols name it.
void noteLaunch(const void* kernel, size_t shared);

}  // namespace simt

inline void __nanosleep(unsigned) { simt::yield(); }
inline void __trap() { simt::fault("__trap was called"); }
