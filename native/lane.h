// A lane: a queue for a device, with what its kernels need.
#pragma once
#include <memory>
#include "cuda/device/gpu.h"
#include "queue.h"

struct Lane {
  std::shared_ptr<cuda::Device> gpu;  // none for the CPU
  std::unique_ptr<Queue> queue;
};
