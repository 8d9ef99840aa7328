// Finding the GPUs, waiting for them, and what their kernels start with. The runtime is linked statically, so this also
// works where there is no driver.
#include "gpu.cuh"
#include <algorithm>
#include <chrono>
#include <cstdlib>
#include <unordered_map>
#include <unordered_set>
#include "../tools/hopper.cuh"
#include "launch.h"
#ifdef HELVETIA_SIMT
#include "../../simt/memory/memory.h"
#endif

namespace cuda {
namespace {

// The code that this build has for a GPU: sm_80's, later ones', with sm_90a's instructions.
constexpr int plainCode = 1, laterCode = 2, hopperCode = 3;

__global__ void answer(int* out) {
#if defined(HOPPER)
  *out = hopperCode;
#elif __CUDA_ARCH__ >= 900
  *out = laterCode;
#else
  *out = plainCode;
#endif
}

std::string because(const std::string& reason) { return "CUDA cannot be used here: " + reason; }
std::string because(cudaError_t error) { return because(cudaGetErrorString(error)); }

int attribute(cudaDeviceAttr which, int index) {
  int value = 0;
  check(cudaDeviceGetAttribute(&value, which, index));
  return value;
}

struct Found {
  int ordinal, code = 0;
};

// Runs a kernel on a GPU. @throws std::runtime_error that says why it cannot be used.
Found probe(int ordinal) {
  const int major = attribute(cudaDevAttrComputeCapabilityMajor, ordinal),
            minor = attribute(cudaDevAttrComputeCapabilityMinor, ordinal);
  if (major < 8)
    throw std::runtime_error("compute capability " + std::to_string(major) + "." + std::to_string(minor) +
                             ", and 8.0 is the least");
  int value = 0, *onDevice = nullptr;
  check(cudaSetDevice(ordinal));
  check(cudaMalloc(reinterpret_cast<void**>(&onDevice), sizeof value));
  const std::unique_ptr<int, cudaError_t (*)(void*)> freed(onDevice, [](void* p) { return cudaFree(p); });
  Device device;
  device.ordinal = ordinal;
  launch(device, answer, {.blocks = 1, .threads = 1}, onDevice);
  check(cudaMemcpy(&value, onDevice, sizeof value, cudaMemcpyDeviceToHost));
  if (value < plainCode || value > hopperCode) throw std::runtime_error("a kernel ran and left no result");
  return {ordinal, value};
}

// The machine's GPUs. Those after the first that works are probed when they are opened, since a probe takes memory.
struct Search {
  std::vector<Found> found;
  std::string absence, passedOver;

  Search() {
    int driver = 0, devices = 0;
    if (cudaDriverGetVersion(&driver) == cudaSuccess && driver == 0)
      absence = because("this machine has no NVIDIA driver");
    else if (cudaError_t error = cudaGetDeviceCount(&devices)) absence = because(error);
    else if (devices == 0) absence = because("no GPU was found");
    for (int ordinal = 0; ordinal < devices; ordinal++) {
      try {
        if (found.empty()) found.push_back(probe(ordinal));
        else if (attribute(cudaDevAttrComputeCapabilityMajor, ordinal) >= 8) found.push_back({ordinal});
        else throw std::runtime_error("older than compute capability 8.0");
      } catch (const std::exception& e) {
        cudaGetLastError();
        passedOver +=
            (passedOver.empty() ? "GPU " : "; GPU ") + std::to_string(ordinal) + nameOf(ordinal) + ": " + e.what();
      }
    }
    if (found.empty() && absence.empty()) absence = because(passedOver);
  }

  static std::string nameOf(int ordinal) {
    cudaDeviceProp properties;
    return cudaGetDeviceProperties(&properties, ordinal) == cudaSuccess ? std::string(" (") + properties.name + ")"
                                                                        : "";
  }
};

const Search& search() {
  static const Search& once = *new Search;
  return once;
}

// The pool reports out-of-memory; other errors are sticky.
void* unlessFull(cudaError_t error, void* block) {
  if (error == cudaErrorMemoryAllocation) return cudaGetLastError(), nullptr;
  check(error);
  return block;
}

void* allocateOn(int ordinal, size_t bytes) {
  void* block = nullptr;
  check(cudaSetDevice(ordinal));
  const cudaError_t error = cudaMalloc(&block, bytes);
  return unlessFull(error, block);
}

void freeOn(int ordinal, void* segment) {
  cudaSetDevice(ordinal);
  cudaFree(segment);  // waits for the device, so no kernel uses its blocks any more
}

// The GPU in software detects writes outside of the bytes in use, and poisons returned blocks.
Pool::Watch watchFor(const cudaStream_t& stream) {
#ifdef HELVETIA_SIMT
  return [&stream](void* block, size_t, size_t inUse) { simt::lend(stream, block, inUse); };
#else
  return {};
#endif
}
#ifdef HELVETIA_SIMT
constexpr size_t gap = 256;
#else
constexpr size_t gap = 0;
#endif

void* allocatePinned(size_t bytes) {
  void* block = nullptr;
  const cudaError_t error = cudaMallocHost(&block, bytes);
  return unlessFull(error, block);
}

}  // namespace

std::string absence() { return search().absence; }
std::string passedOver() { return search().passedOver; }
int count() { return int(search().found.size()); }

Gpu::Gpu(int index, int ordinal, int code)
    : index(index),
      ordinal(ordinal),
      pool([ordinal](size_t bytes) { return allocateOn(ordinal, bytes); },
           [ordinal](void* segment, size_t) { freeOn(ordinal, segment); }, watchFor(stream), gap),
      pinned(allocatePinned, [](void* segment, size_t) { cudaFreeHost(segment); }) {
  check(cudaSetDevice(ordinal));
  check(cudaStreamCreateWithFlags(&stream, cudaStreamNonBlocking));
  check(cudaHostAlloc(reinterpret_cast<void**>(&faults), sizeof *faults, cudaHostAllocDefault));
  *faults = Faults{};
  cudaDeviceProp properties;
  check(cudaGetDeviceProperties(&properties, ordinal));
  info.name = properties.name;
  info.capability = attribute(cudaDevAttrComputeCapabilityMajor, ordinal) * 10 +
                    attribute(cudaDevAttrComputeCapabilityMinor, ordinal);
  hopper = info.capability == 90 && code == hopperCode;
  overlaps = info.capability >= 90 && code >= laterCode;
  info.processors = attribute(cudaDevAttrMultiProcessorCount, ordinal);
  sharedPerBlock = size_t(attribute(cudaDevAttrMaxSharedMemoryPerBlockOptin, ordinal));
  cacheBytes = size_t(attribute(cudaDevAttrL2CacheSize, ordinal));
  // Clocks in kHz, the bus in bits, two transfers per clock; long copies reach nine tenths of that.
  const double bytes =
      2.0 * attribute(cudaDevAttrMemoryClockRate, ordinal) * attribute(cudaDevAttrGlobalMemoryBusWidth, ordinal) / 8;
  if (bytes > 0) memoryRate = 0.9 * bytes / attribute(cudaDevAttrClockRate, ordinal) / info.processors;
  waiter.start(*this);  // last: a constructor that throws leaves no thread behind
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
  if (!gpus[index]) {
    Found found = search().found[index];
    try {
      if (index > 0) found = probe(found.ordinal);
    } catch (const std::exception& e) {
      throw std::runtime_error(because(e.what()));
    }
    gpus[index] = std::make_unique<Gpu>(index, found.ordinal, found.code);
  }
  return *gpus[index];
}

GpuInfo info(int index) {
  GpuInfo info = gpu(index).info;
  check(cudaSetDevice(gpu(index).ordinal));
  check(cudaMemGetInfo(&info.freeBytes, &info.bytes));
  info.graphLaunches = gpu(index).graphLaunches;
  info.peerCopies = gpu(index).peerCopies;
  return info;
}

Pool& pool(int index) { return gpu(index).pool; }
void trimPinned(int index) { gpu(index).pinned.trim(); }

std::shared_ptr<Device> open(int index) {
  Gpu& g = gpu(index);
  auto device = std::make_shared<Device>();
  device->place = {Place::cuda, uint8_t(index)};
  device->ordinal = g.ordinal;
  device->stream = g.stream;
  device->capability = g.info.capability;
  device->hopper = g.hopper;
  const char* overlap = std::getenv("HELVETIA_OVERLAP");
  device->overlaps = g.overlaps && !(overlap && std::string(overlap) == "off");
  device->processors = g.info.processors;
  if (const char* most = std::getenv("HELVETIA_PROCESSORS"); most && std::atoi(most) > 0)
    device->processors = std::min(device->processors, std::atoi(most));
  device->memoryRate = g.memoryRate;
  device->sharedPerBlock = g.sharedPerBlock;
  device->cacheBytes = g.cacheBytes;
  device->faults = g.faults;
  return device;
}

void use(Device& device) { check(cudaSetDevice(device.ordinal)); }

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
  Gpu& g = gpu(device.place.index);
  g.waiter.push(recordEvent(device.stream),
                [&g, done = std::move(done)](Failure failure) { g.copier.behind([done, failure] { done(failure); }); });
}

void whenReached(Device& device, std::function<void(Failure)> done) {
  gpu(device.place.index).waiter.push(recordEvent(device.stream), std::move(done), false);
}

void Copier::push(std::function<void()> copy) {
  {
    std::lock_guard lock(mutex_);
    copies_.push_back(std::move(copy));
    // Never joined: it sleeps until the process ends.
    if (!std::exchange(started_, true)) std::thread([this] { loop(); }).detach();
  }
  wake_.notify_one();
}

void Copier::behind(std::function<void()> task) {
  {
    std::lock_guard lock(mutex_);
    if (!copies_.empty()) return copies_.push_back(std::move(task));
  }
  task();
}

void Copier::loop() {
  std::unique_lock lock(mutex_);
  for (;;) {
    wake_.wait(lock, [this] { return !copies_.empty(); });
    {
      const std::function<void()> copy = std::move(copies_.front());
      lock.unlock();
      copy();
    }
    lock.lock();
    copies_.pop_front();
  }
}

// The thread is never joined: it sleeps until the process ends.
void Waiter::start(Gpu& gpu) {
  std::thread([this, &gpu] { loop(gpu); }).detach();
}

void Waiter::push(cudaEvent_t event, std::function<void(Failure)> done, bool takesFaults) {
  {
    std::lock_guard lock(mutex_);
    waits_.push_back({event, std::move(done), takesFaults});
  }
  wake_.notify_one();
}

void Waiter::loop(Gpu& gpu) {
  cudaSetDevice(gpu.ordinal);
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
    if (wait.takesFaults)
      if (std::string fault = takeFault(*gpu.faults); !fault.empty())
        failure = std::make_shared<std::string>(std::move(fault));
    if (error) failure = std::make_shared<std::string>(std::string("CUDA: ") + cudaGetErrorString(error));
    cudaEventDestroy(wait.event);
    wait.done(failure);
  }
}

bool startsWith(const void* kernel, int registers) {
  static std::mutex mutex;
  static std::unordered_map<const void*, int> known;
  std::lock_guard lock(mutex);
  const auto [at, isNew] = known.try_emplace(kernel, 0);
  if (isNew) {
    cudaFuncAttributes attributes;
    check(cudaFuncGetAttributes(&attributes, kernel));
    at->second = attributes.numRegs;
  }
  return at->second == registers;
}

#ifndef HELVETIA_SIMT
void allowShared(const void* kernel, int device, size_t bytes) {
  static std::mutex mutex;
  static std::unordered_set<const void*> allowed[256];
  if (bytes <= 48 * 1024) return;
  std::lock_guard lock(mutex);
  if (!allowed[device].insert(kernel).second) return;
  int most = 0;
  check(cudaDeviceGetAttribute(&most, cudaDevAttrMaxSharedMemoryPerBlockOptin, device));
  cudaFuncAttributes attributes;
  check(cudaFuncGetAttributes(&attributes, kernel));
  check(cudaFuncSetAttribute(kernel, cudaFuncAttributeMaxDynamicSharedMemorySize,
                             most - int(attributes.sharedSizeBytes)));
}
#endif

}  // namespace cuda
