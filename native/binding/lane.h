// Lanes: a Node environment's queue for a device, with what its kernels need. By N-API's C functions alone, so that the
// sources that bind kernels compile fast.
#pragma once
#include <memory>
#include <node_api.h>
#include "../cpu/device.h"
#include "../cpu/table.h"
#include "../cuda/device/gpu.h"
#include "../queue.h"

struct Lane {
  std::shared_ptr<cuda::Device> gpu;  // none for the CPU
  std::unique_ptr<Queue> queue;
};

Lane& laneOf(napi_env env, Place place);  // @throws std::runtime_error where that device cannot be used
const cpu::Table& cpuTableOf(napi_env env);
