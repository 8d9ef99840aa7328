// Bytes between the host and a GPU.
#include <algorithm>
#include <cstring>
#include "gpu.cuh"

namespace cuda {

// Copied in some 0.1 ms, a part of the time of a decoded token.
constexpr size_t longBytes = size_t(1) << 20;

// Uploads go through pinned slots. From pageable memory, or a mapped file, the runtime may wait for the stream to
// drain, and launches would no longer run ahead of the GPU.
void upload(Device& device, void* to, const void* from, size_t bytes) {
  Gpu& g = gpu(device.place.index);
  Staging& staging = bytes <= g.small.slotBytes ? g.small : g.large;
  std::lock_guard lock(staging.mutex);
  for (size_t at = 0; at < bytes; at += staging.slotBytes) {
    const size_t part = std::min(staging.slotBytes, bytes - at);
    Staging::Slot& slot = staging.slots[staging.next++ % staging.slots.size()];
    if (!slot.free) {
      check(cudaMallocHost(reinterpret_cast<void**>(&slot.bytes), staging.slotBytes));
      check(cudaEventCreateWithFlags(&slot.free, cudaEventDisableTiming | cudaEventBlockingSync));
    } else {
      check(cudaEventSynchronize(slot.free));
    }
    std::memcpy(slot.bytes, static_cast<const char*>(from) + at, part);
    check(cudaMemcpyAsync(static_cast<char*>(to) + at, slot.bytes, part, cudaMemcpyHostToDevice, device.stream));
    check(cudaEventRecord(slot.free, device.stream));
  }
}

void download(Device& device, void* to, const void* from, size_t bytes, std::function<void(Failure)> done) {
  Gpu& g = gpu(device.place.index);
  Pool& pinned = g.pinned;
  std::shared_ptr<void> landing(pinned.take(bytes), [&pinned, bytes](void* block) { pinned.give(block, bytes); });
  check(cudaMemcpyAsync(landing.get(), from, bytes, cudaMemcpyDeviceToHost, device.stream));
  const auto land = [to, landing, bytes, done = std::move(done)](Failure failure) {
    if (!failure) std::memcpy(to, landing.get(), bytes);
    done(std::move(failure));
  };
  g.waiter.push(recordEvent(device.stream), [&g, land, bytes](Failure failure) {
    if (bytes < longBytes) land(failure);
    else g.copier.push([land, failure] { land(failure); });
  });
}

}  // namespace cuda
