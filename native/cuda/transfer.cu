// Bytes between the host and a GPU.
#include <cstring>
#include "gpu.cuh"

namespace cuda {

// Up to 64 KB the runtime takes the bytes before it returns, wherever they lie. More goes through pinned slots: copying
// straight from ordinary memory (or a mapped file) would wait for the device each time.
void upload(Device& device, void* to, const void* from, size_t bytes) {
  constexpr size_t small = 64 * 1024;
  if (bytes <= small) {
    check(cudaMemcpyAsync(to, from, bytes, cudaMemcpyHostToDevice, device.stream));
    return;
  }
  Staging& staging = gpu(device.place.index).staging;
  std::lock_guard lock(staging.mutex);
  for (size_t at = 0; at < bytes; at += Staging::slotBytes) {
    const size_t part = std::min(Staging::slotBytes, bytes - at);
    Staging::Slot& slot = staging.slots[staging.next++ % std::size(staging.slots)];
    if (!slot.bytes) {
      check(cudaMallocHost(reinterpret_cast<void**>(&slot.bytes), Staging::slotBytes));
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
  Pool& pinned = gpu(device.place.index).pinned;
  std::shared_ptr<void> landing(pinned.take(bytes), [&pinned, bytes](void* block) { pinned.give(block, bytes); });
  check(cudaMemcpyAsync(landing.get(), from, bytes, cudaMemcpyDeviceToHost, device.stream));
  whenDone(device, [to, landing, bytes, done = std::move(done)](Failure failure) {
    if (!failure) std::memcpy(to, landing.get(), bytes);
    done(std::move(failure));
  });
}

}  // namespace cuda
