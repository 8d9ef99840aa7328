// Finding the GPUs, and waiting for them. The runtime is linked statically, so this also works where there is no driver.
#include "gpu.cuh"
#include <chrono>
#include <cstdlib>
#include "launch.h"

namespace cuda {
namespace {

__global__ void writeOne(int* out) { *out = 1; }

std::string because(const std::string& reason) { return "CUDA cannot be used here: " + reason; }
std::string because(cudaError_t error) { return because(std::string(cudaGetErrorString(error))); }

std::string probe() {
  int driver = 0, devices = 0;
  if (cudaDriverGetVersion(&driver) == cudaSuccess && driver == 0) return because(std::string("this machine has no NVIDIA driver"));
  if (cudaError_t error = cudaGetDeviceCount(&devices)) return because(error);
  if (devices == 0) return because(std::string("no GPU was found"));
  int major = 0, minor = 0;
  if (cudaError_t error = cudaDeviceGetAttribute(&major, cudaDevAttrComputeCapabilityMajor, 0)) return because(error);
  if (cudaError_t error = cudaDeviceGetAttribute(&minor, cudaDevAttrComputeCapabilityMinor, 0)) return because(error);
  if (major < 8)
    return because("GPU 0 has compute capability " + std::to_string(major) + "." + std::to_string(minor) +
                   ", and 8.0 is the least");
  int *onDevice = nullptr, value = 0;
  if (cudaError_t error = cudaMalloc(reinterpret_cast<void**>(&onDevice), sizeof value)) return because(error);
  cudaError_t error = cudaSuccess;
  try {
    Device device;
    launch(device, writeOne, {.blocks = 1, .threads = 1}, onDevice);
    error = cudaMemcpy(&value, onDevice, sizeof value, cudaMemcpyDeviceToHost);
  } catch (const std::exception& e) {
    cudaFree(onDevice);
    return because(std::string(e.what()));
  }
  cudaFree(onDevice);
  if (error) return because(error);
  if (value != 1) return because(std::string("a kernel ran and left no result"));
  return "";
}

int attribute(cudaDeviceAttr which, int index) {
  int value = 0;
  check(cudaDeviceGetAttribute(&value, which, index));
  return value;
}

void* allocateOn(int index, size_t bytes) {
  void* block = nullptr;
  if (cudaSetDevice(index) == cudaSuccess && cudaMalloc(&block, bytes) == cudaSuccess) return block;
  cudaGetLastError();  // out of memory is told by the pool, and is over with that
  return nullptr;
}

void freeOn(int index, void* block) {
  cudaSetDevice(index);
  cudaFree(block);  // waits for the device, so no kernel uses the block any more
}

void* allocatePinned(size_t bytes) {
  void* block = nullptr;
  if (cudaMallocHost(&block, bytes) == cudaSuccess) return block;
  cudaGetLastError();
  return nullptr;
}

}  // namespace

std::string absence() {
  static const std::string reason = probe();
  return reason;
}

int count() {
  int devices = 0;
  if (!absence().empty() || cudaGetDeviceCount(&devices) != cudaSuccess) return 0;
  return devices;
}

Gpu::Gpu(int index)
    : index(index),
      pool([index](size_t bytes) { return allocateOn(index, bytes); }, [index](void* block) { freeOn(index, block); }),
      pinned(allocatePinned, [](void* block) { cudaFreeHost(block); }),
      waiter(*this) {
  check(cudaSetDevice(index));
  check(cudaStreamCreateWithFlags(&stream, cudaStreamNonBlocking));
  check(cudaHostAlloc(reinterpret_cast<void**>(&faults), sizeof *faults, cudaHostAllocDefault));
  *faults = Faults{};
  cudaDeviceProp properties;
  check(cudaGetDeviceProperties(&properties, index));
  info.name = properties.name;
  info.capability = attribute(cudaDevAttrComputeCapabilityMajor, index) * 10 +
                    attribute(cudaDevAttrComputeCapabilityMinor, index);
  info.processors = attribute(cudaDevAttrMultiProcessorCount, index);
  sharedPerBlock = size_t(attribute(cudaDevAttrMaxSharedMemoryPerBlockOptin, index));
  cacheBytes = size_t(attribute(cudaDevAttrL2CacheSize, index));
}

Gpu& gpu(int index) {
  static std::mutex mutex;
  static std::vector<std::unique_ptr<Gpu>>& gpus = *new std::vector<std::unique_ptr<Gpu>>;  // outlives all storages
  std::lock_guard lock(mutex);
  if (const std::string reason = absence(); !reason.empty()) throw std::runtime_error(reason);
  if (index < 0 || index >= count())
    throw std::runtime_error("there is no cuda:" + std::to_string(index) + ": this machine has " +
                             std::to_string(count()) + " GPU" + (count() == 1 ? "" : "s"));
  if (gpus.size() <= size_t(index)) gpus.resize(index + 1);
  if (!gpus[index]) gpus[index] = std::make_unique<Gpu>(index);
  return *gpus[index];
}

GpuInfo info(int index) {
  GpuInfo info = gpu(index).info;
  check(cudaSetDevice(index));
  check(cudaMemGetInfo(&info.freeBytes, &info.bytes));
  return info;
}

Pool& pool(int index) { return gpu(index).pool; }

std::shared_ptr<Device> open(int index) {
  Gpu& g = gpu(index);
  auto device = std::make_shared<Device>();
  device->place = {Place::cuda, uint8_t(index)};
  device->stream = g.stream;
  device->capability = g.info.capability;
  device->processors = g.info.processors;
  device->sharedPerBlock = g.sharedPerBlock;
  device->cacheBytes = g.cacheBytes;
  device->faults = g.faults;
  return device;
}

void use(Device& device) { check(cudaSetDevice(device.place.index)); }

std::shared_ptr<void> scratchBytes(Device& device, size_t bytes) {
  Pool& from = pool(device.place.index);
  std::shared_ptr<void> block(from.take(bytes), [&from, bytes](void* block) { from.give(block, bytes); });
  if (device.retained) device.retained->push_back(block);
  return block;
}

void afterKernel(Device& device) {
  static const bool synchronous = std::getenv("HELVETIA_SYNC") != nullptr;
  if (synchronous && !device.retained) check(cudaStreamSynchronize(device.stream));
}

cudaEvent_t recordEvent(cudaStream_t stream) {
  cudaEvent_t event;
  check(cudaEventCreateWithFlags(&event, cudaEventDisableTiming | cudaEventBlockingSync));
  check(cudaEventRecord(event, stream));
  return event;
}

void whenDone(Device& device, std::function<void(Failure)> done) {
  gpu(device.place.index).waiter.push(recordEvent(device.stream), std::move(done));
}

// The thread is never joined: it sleeps until the process ends.
Waiter::Waiter(Gpu& gpu) { std::thread([this, &gpu] { loop(gpu); }).detach(); }

void Waiter::push(cudaEvent_t event, std::function<void(Failure)> done) {
  {
    std::lock_guard lock(mutex_);
    waits_.push_back({event, std::move(done)});
  }
  wake_.notify_one();
}

void Waiter::loop(Gpu& gpu) {
  cudaSetDevice(gpu.index);
  for (;;) {
    Wait wait;
    {
      std::unique_lock lock(mutex_);
      wake_.wait(lock, [this] { return !waits_.empty(); });
      wait = std::move(waits_.front());
      waits_.pop_front();
    }
    // Sleeping costs some 50 µs, which a decoding step would feel; a training step lasts much longer.
    const auto soon = std::chrono::steady_clock::now() + std::chrono::microseconds(200);
    cudaError_t error;
    while ((error = cudaEventQuery(wait.event)) == cudaErrorNotReady && std::chrono::steady_clock::now() < soon)
      std::this_thread::yield();
    if (error == cudaErrorNotReady) error = cudaEventSynchronize(wait.event);
    Failure failure;
    if (std::string fault = takeFault(*gpu.faults); !fault.empty()) failure = std::make_shared<std::string>(std::move(fault));
    if (error) failure = std::make_shared<std::string>(std::string("CUDA: ") + cudaGetErrorString(error));
    cudaEventDestroy(wait.event);
    wait.done(failure);
  }
}

}  // namespace cuda
