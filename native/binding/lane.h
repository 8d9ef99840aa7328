// The lanes of a Node environment. By N-API's C functions alone, so that the sources that bind kernels compile fast.
#pragma once
#include <node_api.h>
#include "../cpu/device.h"
#include "../cpu/table.h"
#include "../lane.h"
#include "../storage.h"

Lane& laneOf(napi_env env, Place place);  // @throws std::runtime_error where that device cannot be used
const cpu::Table& cpuTableOf(napi_env env);
