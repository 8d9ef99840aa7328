// Devices, errors and launches.
#include <cstdio>
#include <cstring>
#include <mutex>
#include <set>
#include "../blocks/grid.h"
#include "../cuda_runtime.h"
#include "../memory/memory.h"
#include "../memory/tensor-map.h"
#include "stream.h"

namespace simt {
namespace {

// Few, so that persistent kernels have more tiles than blocks.
constexpr int processors = 4;
constexpr int cacheBytes = 4 << 20;

thread_local int device = 0;
thread_local cudaError_t lastError = cudaSuccess;
thread_local std::string report;

// What a block may ask for: 227 KB on data centres' GPUs from Hopper on, 163 KB on A100 and Orin, 99 KB on all others.
int sharedOptin() {
  const int capability = settings().capability;
  if (capability == 80 || capability == 87) return 166912;
  return capability < 90 || capability >= 120 ? 101376 : 232448;
}

bool isLaunchable(const Shape& shape) {
  const dim3 b = shape.blocks, t = shape.threads;
  if (t.x * t.y * t.z == 0 || uint64_t(t.x) * t.y * t.z > 1024 || t.z > 64) return false;
  if (uint64_t(b.x) * b.y * b.z == 0 || b.x > 0x7fffffff || b.y > 65535 || b.z > 65535) return false;
  if (shape.shared > size_t(sharedOptin())) return false;
  if (shape.cluster == 0 || shape.cluster > 8 || b.x % shape.cluster) return false;
  return shape.cluster == 1 || settings().capability >= 90;
}

}  // namespace

int currentDevice() { return device; }

cudaError_t result(cudaError_t error) {
  if (error) lastError = error;
  return error;
}

cudaError_t failed(const std::string& what) {
  report = what;
  return result(cudaErrorLaunchFailure);
}

cudaError_t launch(cudaStream_t stream, const Shape& shape, std::function<void()> body) {
  if (!isLaunchable(shape)) return result(cudaErrorInvalidConfiguration);
  return enqueue(stream, [shape, body = std::move(body), device = device] {
    const std::string failure =
        runGrid({shape.blocks, shape.threads, shape.shared, shape.cluster, shape.overlaps, &body});
    const std::string outside = damage(device);
    return failure.empty() ? outside : failure;
  });
}

}  // namespace simt

using namespace simt;

cudaError_t cudaGetDeviceCount(int* count) {
  *count = settings().devices;
  return *count > 0 ? cudaSuccess : result(cudaErrorNoDevice);
}
cudaError_t cudaSetDevice(int index) {
  if (index < 0 || index >= settings().devices) return result(cudaErrorInvalidDevice);
  device = index;
  return cudaSuccess;
}
cudaError_t cudaGetDevice(int* index) {
  *index = device;
  return cudaSuccess;
}

cudaError_t cudaDeviceGetAttribute(int* value, cudaDeviceAttr attribute, int index) {
  if (index < 0 || index >= settings().devices) return result(cudaErrorInvalidDevice);
  switch (attribute) {
    case cudaDevAttrMaxThreadsPerBlock: *value = 1024; break;
    case cudaDevAttrMaxSharedMemoryPerBlock: *value = 49152; break;
    case cudaDevAttrWarpSize: *value = 32; break;
    case cudaDevAttrMaxRegistersPerBlock:
    case cudaDevAttrMaxRegistersPerMultiprocessor: *value = 65536; break;
    case cudaDevAttrClockRate: *value = 1000000; break;
    case cudaDevAttrMemoryClockRate: *value = 1000000; break;  // with the next, 14 bytes a cycle for each processor
    case cudaDevAttrGlobalMemoryBusWidth: *value = 256; break;
    case cudaDevAttrMultiProcessorCount: *value = processors; break;
    case cudaDevAttrIntegrated: *value = 0; break;
    case cudaDevAttrL2CacheSize: *value = cacheBytes; break;
    case cudaDevAttrMaxThreadsPerMultiProcessor: *value = 2048; break;
    case cudaDevAttrUnifiedAddressing: *value = 1; break;
    case cudaDevAttrComputeCapabilityMajor: *value = settings().capability / 10; break;
    case cudaDevAttrComputeCapabilityMinor: *value = settings().capability % 10; break;
    case cudaDevAttrMaxSharedMemoryPerMultiprocessor: *value = sharedOptin() + 1024; break;
    case cudaDevAttrMaxSharedMemoryPerBlockOptin: *value = sharedOptin(); break;
    case cudaDevAttrReservedSharedMemoryPerBlock: *value = 1024; break;
    case cudaDevAttrMemoryPoolsSupported: *value = 0; break;
    case cudaDevAttrClusterLaunch: *value = settings().capability >= 90; break;
    default: return result(cudaErrorInvalidValue);
  }
  return cudaSuccess;
}

// nvcc gives a kernel for one block of 384 threads 168 registers.
cudaError_t cudaFuncGetAttributes(cudaFuncAttributes* attributes, const void*) {
  attributes->numRegs = settings().registers ? settings().registers : 168;
  return cudaSuccess;
}

cudaError_t cudaGetDeviceProperties(cudaDeviceProp* properties, int index) {
  if (index < 0 || index >= settings().devices) return result(cudaErrorInvalidDevice);
  *properties = {};
  std::snprintf(properties->name, sizeof properties->name, "Helvetia software GPU (sm_%d)", settings().capability);
  properties->uuid.bytes[0] = char(index);
  const int before = device;
  device = index;
  size_t free;
  cudaMemGetInfo(&free, &properties->totalGlobalMem);
  device = before;
  properties->sharedMemPerBlock = 49152;
  properties->sharedMemPerBlockOptin = size_t(sharedOptin());
  properties->major = settings().capability / 10;
  properties->minor = settings().capability % 10;
  properties->multiProcessorCount = processors;
  properties->l2CacheSize = cacheBytes;
  properties->warpSize = 32;
  properties->maxThreadsPerBlock = 1024;
  return cudaSuccess;
}

cudaError_t cudaDeviceSynchronize() { return finishDevice(device); }

cudaError_t cudaDeviceCanAccessPeer(int* possible, int one, int other) {
  if (one < 0 || one >= settings().devices || other < 0 || other >= settings().devices)
    return result(cudaErrorInvalidDevice);
  *possible = one != other;
  return cudaSuccess;
}
cudaError_t cudaDeviceEnablePeerAccess(int peer, unsigned) {
  static std::mutex mutex;
  static auto* enabled = new std::set<std::pair<int, int>>;
  if (peer < 0 || peer >= settings().devices || peer == device) return result(cudaErrorInvalidDevice);
  std::lock_guard lock(mutex);
  return enabled->insert({device, peer}).second ? cudaSuccess : result(cudaErrorPeerAccessAlreadyEnabled);
}

cudaError_t cudaRuntimeGetVersion(int* version) {
  *version = 13000;
  return cudaSuccess;
}
cudaError_t cudaDriverGetVersion(int* version) { return cudaRuntimeGetVersion(version); }

cudaError_t cudaGetDriverEntryPointByVersion(const char* symbol, void** function, unsigned, unsigned long long,
                                             cudaDriverEntryPointQueryResult* status) {
  const bool known = !std::strcmp(symbol, "cuTensorMapEncodeTiled");
  *function = known ? tensorMapEncoder() : nullptr;
  if (status) *status = known ? cudaDriverEntryPointSuccess : cudaDriverEntryPointSymbolNotFound;
  return cudaSuccess;
}

cudaError_t cudaGetLastError() {
  const cudaError_t error = lastError;
  lastError = cudaSuccess;
  return error;
}
cudaError_t cudaPeekAtLastError() { return lastError; }

const char* cudaGetErrorString(cudaError_t error) {
  switch (error) {
    case cudaSuccess: return "no error";
    case cudaErrorInvalidValue: return "invalid argument";
    case cudaErrorMemoryAllocation: return "out of memory";
    case cudaErrorInvalidConfiguration: return "invalid configuration argument";
    case cudaErrorInvalidMemcpyDirection: return "invalid copy direction for memcpy";
    case cudaErrorNoDevice: return "no CUDA-capable device is detected";
    case cudaErrorInvalidDevice: return "invalid device ordinal";
    case cudaErrorInvalidResourceHandle: return "invalid resource handle";
    case cudaErrorNotReady: return "device not ready";
    case cudaErrorPeerAccessAlreadyEnabled: return "peer access is already enabled";
    case cudaErrorHostMemoryAlreadyRegistered: return "part or all of the requested memory range is already mapped";
    case cudaErrorHostMemoryNotRegistered: return "pointer does not correspond to a registered memory region";
    case cudaErrorLaunchFailure: return report.empty() ? "unspecified launch failure" : report.c_str();
    case cudaErrorNotSupported: return "operation not supported";
    case cudaErrorStreamCaptureUnsupported: return "operation not permitted when stream is capturing";
    case cudaErrorStreamCaptureInvalidated: return "operation failed due to a previous error during capture";
  }
  return "unrecognized error code";
}

const char* cudaGetErrorName(cudaError_t error) {
  switch (error) {
    case cudaSuccess: return "cudaSuccess";
    case cudaErrorInvalidValue: return "cudaErrorInvalidValue";
    case cudaErrorMemoryAllocation: return "cudaErrorMemoryAllocation";
    case cudaErrorInvalidConfiguration: return "cudaErrorInvalidConfiguration";
    case cudaErrorInvalidMemcpyDirection: return "cudaErrorInvalidMemcpyDirection";
    case cudaErrorNoDevice: return "cudaErrorNoDevice";
    case cudaErrorInvalidDevice: return "cudaErrorInvalidDevice";
    case cudaErrorInvalidResourceHandle: return "cudaErrorInvalidResourceHandle";
    case cudaErrorNotReady: return "cudaErrorNotReady";
    case cudaErrorPeerAccessAlreadyEnabled: return "cudaErrorPeerAccessAlreadyEnabled";
    case cudaErrorHostMemoryAlreadyRegistered: return "cudaErrorHostMemoryAlreadyRegistered";
    case cudaErrorHostMemoryNotRegistered: return "cudaErrorHostMemoryNotRegistered";
    case cudaErrorLaunchFailure: return "cudaErrorLaunchFailure";
    case cudaErrorNotSupported: return "cudaErrorNotSupported";
    case cudaErrorStreamCaptureUnsupported: return "cudaErrorStreamCaptureUnsupported";
    case cudaErrorStreamCaptureInvalidated: return "cudaErrorStreamCaptureInvalidated";
  }
  return "unrecognized error code";
}
