// Copies from one GPU to another.
#include <set>
#include "gpu.cuh"

namespace cuda {
namespace {

// Lets `from` reach the memory of `to`. Where it cannot, the driver copies through the host.
void connect(int from, int to) {
  static std::mutex mutex;
  static std::set<std::pair<int, int>>& known = *new std::set<std::pair<int, int>>;
  std::lock_guard lock(mutex);
  if (!known.insert({from, to}).second) return;
  int possible = 0;
  if (cudaDeviceCanAccessPeer(&possible, from, to) != cudaSuccess || !possible ||
      cudaDeviceEnablePeerAccess(to, 0) != cudaSuccess)
    cudaGetLastError();
}

}  // namespace

void copyAcross(Device& from, const Device& to, void* target, const void* source, size_t bytes,
                std::function<void(Failure)> done) {
  connect(from.ordinal, to.ordinal);
  check(cudaMemcpyPeerAsync(target, to.ordinal, source, from.ordinal, bytes, from.stream));
  gpu(from.place.index).peerCopies++;
  whenDone(from, std::move(done));
}

}  // namespace cuda
