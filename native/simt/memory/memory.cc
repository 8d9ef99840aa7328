// Device and pinned memory, copies and fills.
//
// Device memory is this process's own, and fresh bytes are 0xff (NaN). Red zones around each allocation, and the bytes of
// it that are not lent, are examined after each launch and when it is freed. A copy from pinned host memory reads it when the copy runs; pageable memory is read at the call, as CUDA does.
#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <map>
#include "../blocks/block.h"
#include "../runtime/stream.h"
#include "memory.h"

namespace {

using namespace simt;

constexpr size_t redZone = 256;  // also keeps allocations aligned to 256 bytes

struct Allocation {
  size_t size;
  int device;  // -1 for pinned host memory
  bool owned;  // not merely registered
  // Bytes that may be written: ranges by their first byte, with their lengths. The whole at first.
  std::map<size_t, size_t> lent;
};

std::map<const char*, Allocation>& allocations() {
  static auto* all = new std::map<const char*, Allocation>;
  return *all;
}

// The allocation that holds these bytes, or null. Call with the state locked.
const Allocation* holder(const void* bytes, size_t size) {
  const char* first = static_cast<const char*>(bytes);
  auto next = allocations().upper_bound(first);
  if (next == allocations().begin()) return nullptr;
  const auto& [start, allocation] = *--next;
  return first + size <= start + allocation.size ? &allocation : nullptr;
}

size_t used(int device) {
  size_t total = 0;
  for (const auto& [start, allocation] : allocations())
    if (allocation.device == device) total += allocation.size;
  return total;
}

size_t capacity() { return settings().memory ? settings().memory : size_t(16) << 30; }

cudaError_t allocate(void** bytes, size_t size, int device) {
  if (size == 0) {
    *bytes = nullptr;
    return cudaSuccess;
  }
  const size_t room = (size + 2 * redZone + 255) / 256 * 256;
  std::lock_guard lock(stateMutex());
  char* start =
      device >= 0 && used(device) + size > capacity() ? nullptr : static_cast<char*>(std::aligned_alloc(256, room));
  if (!start) return result(cudaErrorMemoryAllocation);
  std::memset(start, 0xff, device >= 0 ? room : redZone);
  std::memset(start + redZone + size, 0xff, redZone);
  *bytes = start + redZone;
  allocations()[start + redZone] = {size, device, true, {{0, size}}};
  return cudaSuccess;
}

bool isPoison(const char* from, size_t count) {
  return count == 0 || (*from == char(0xff) && std::memcmp(from, from + 1, count - 1) == 0);
}

// "" or that something wrote to bytes that are not lent, which are poison again after that. They lie `where` of a range
// of `lent` bytes.
std::string examine(char* from, size_t count, const char* where, size_t lent) {
  if (isPoison(from, count)) return "";
  std::memset(from, 0xff, count);
  return std::string("something wrote ") + where + " of " + std::to_string(lent) + " bytes of memory";
}

using Range = std::map<size_t, size_t>::const_iterator;

// The same for the next `reach` bytes behind a range, as far as the next one.
std::string examineBehind(char* start, const Allocation& allocation, Range range, size_t reach) {
  const size_t end = range->first + range->second;
  const Range next = std::next(range);
  const size_t until = next == allocation.lent.end() ? allocation.size + redZone : next->first;
  return examine(start + end, std::min(until - end, reach), "past the end", range->second);
}

// The same around an allocation and behind each of its ranges.
std::string damageOf(char* start, const Allocation& allocation, size_t reach) {
  const auto& lent = allocation.lent;
  const Range first = lent.begin();
  const bool isWhole = first != lent.end() && first->first == 0;
  std::string damage = examine(start - redZone, redZone, "before the beginning", isWhole ? first->second : 0);
  const auto add = [&](std::string more) {
    if (damage.empty()) damage = std::move(more);
  };
  if (!isWhole) {
    const size_t until = first == lent.end() ? allocation.size + redZone : first->first;
    add(examine(start, std::min(until, reach), "past the end", 0));
  }
  for (Range range = first; range != lent.end(); range++) add(examineBehind(start, allocation, range, reach));
  return damage;
}

cudaError_t release(void* bytes, bool host) {
  if (!bytes) return cudaSuccess;
  char* start = static_cast<char*>(bytes);
  int device = -1;
  {
    std::lock_guard lock(stateMutex());
    const auto found = allocations().find(start);
    if (found == allocations().end() || !found->second.owned || (found->second.device < 0) != host)
      return result(cudaErrorInvalidValue);
    device = host ? currentDevice() : found->second.device;
  }
  runAll(device);
  std::lock_guard lock(stateMutex());
  const std::string outside = damageOf(start, allocations().at(start), ~size_t(0));
  allocations().erase(start);
  std::free(start - redZone);
  if (outside.empty()) return cudaSuccess;
  leaveFailure(device, outside);  // who frees may not look
  return failed(outside);
}

}  // namespace

bool simt::isDeviceMemory(const void* bytes) {
  std::lock_guard lock(stateMutex());
  const Allocation* found = holder(bytes, 1);
  return found && found->device >= 0;
}

std::string simt::damage(int device) {
  constexpr size_t reach = 1024;  // more is examined when bytes come back, the whole when it is freed
  std::lock_guard lock(stateMutex());
  std::string first;
  for (const auto& [start, allocation] : allocations()) {
    if (!allocation.owned || (allocation.device >= 0 && allocation.device != device)) continue;
    const std::string outside = damageOf(const_cast<char*>(start), allocation, reach);
    if (first.empty()) first = outside;
  }
  return first;
}

void simt::lend(cudaStream_t stream, void* block, size_t bytes) {
  constexpr size_t reach = 4096;  // what lies farther behind is examined when it is lent or freed
  enqueue(stream, [at = static_cast<char*>(block), bytes]() -> std::string {
    std::lock_guard lock(stateMutex());
    auto found = allocations().upper_bound(at);
    if (found == allocations().begin()) return "";
    auto& [key, allocation] = *--found;
    char* const start = const_cast<char*>(key);
    const size_t offset = size_t(at - start);
    if (offset >= allocation.size) return "";
    std::string damage;
    if (const auto range = allocation.lent.find(offset); range != allocation.lent.end()) {
      damage = examineBehind(start, allocation, range, reach);
      std::memset(at, 0xff, range->second);
      allocation.lent.erase(range);
    } else {
      damage = examine(at, bytes, "past the end", 0);
    }
    if (bytes > 0) allocation.lent[offset] = bytes;
    return damage;
  });
}

cudaError_t cudaMalloc(void** bytes, size_t size) { return allocate(bytes, size, currentDevice()); }
cudaError_t cudaFree(void* bytes) { return release(bytes, false); }
cudaError_t cudaMallocHost(void** bytes, size_t size, unsigned) { return allocate(bytes, size, -1); }
cudaError_t cudaHostAlloc(void** bytes, size_t size, unsigned) { return allocate(bytes, size, -1); }
cudaError_t cudaFreeHost(void* bytes) { return release(bytes, true); }

cudaError_t cudaHostRegister(void* bytes, size_t size, unsigned) {
  std::lock_guard lock(stateMutex());
  if (holder(bytes, 1)) return result(cudaErrorHostMemoryAlreadyRegistered);
  allocations()[static_cast<char*>(bytes)] = {size, -1, false, {{0, size}}};
  return cudaSuccess;
}

cudaError_t cudaHostUnregister(void* bytes) {
  runAll(currentDevice());
  std::lock_guard lock(stateMutex());
  const auto found = allocations().find(static_cast<char*>(bytes));
  if (found == allocations().end() || found->second.owned) return result(cudaErrorHostMemoryNotRegistered);
  allocations().erase(found);
  return cudaSuccess;
}

cudaError_t cudaMemGetInfo(size_t* free, size_t* total) {
  std::lock_guard lock(stateMutex());
  *total = capacity();
  *free = *total - std::min(*total, used(currentDevice()));
  return cudaSuccess;
}

cudaError_t cudaMemcpyAsync(void* to, const void* from, size_t size, cudaMemcpyKind kind, cudaStream_t stream) {
  if (size == 0) return cudaSuccess;
  bool toDevice, fromDevice, toPageable, fromPageable;
  {
    std::lock_guard lock(stateMutex());
    const Allocation *target = holder(to, size), *source = holder(from, size);
    toDevice = target && target->device >= 0;
    fromDevice = source && source->device >= 0;
    toPageable = !target;
    fromPageable = !source;
    if ((toPageable && holder(to, 1)) || (fromPageable && holder(from, 1))) return result(cudaErrorInvalidValue);
  }
  if (kind != cudaMemcpyDefault) {
    const bool wantsTo = kind == cudaMemcpyHostToDevice || kind == cudaMemcpyDeviceToDevice;
    const bool wantsFrom = kind == cudaMemcpyDeviceToHost || kind == cudaMemcpyDeviceToDevice;
    if (wantsTo != toDevice || wantsFrom != fromDevice) return result(cudaErrorInvalidValue);
  }
  const auto copy = [=] {
    std::memmove(to, from, size);
    return std::string();
  };
  if (isCapturing(stream)) return enqueue(stream, copy);
  if (fromPageable && toDevice) {
    auto bytes =
        std::make_shared<std::vector<char>>(static_cast<const char*>(from), static_cast<const char*>(from) + size);
    return enqueue(stream, [=] {
      std::memcpy(to, bytes->data(), size);
      return std::string();
    });
  }
  if (cudaError_t error = enqueue(stream, copy)) return error;
  return toPageable ? finish(stream) : cudaSuccess;
}

cudaError_t cudaMemcpyPeerAsync(void* to, int toDevice, const void* from, int fromDevice, size_t size,
                                cudaStream_t stream) {
  if (size == 0) return cudaSuccess;
  {
    std::lock_guard lock(stateMutex());
    const Allocation *target = holder(to, size), *source = holder(from, size);
    if (!target || target->device != toDevice || !source || source->device != fromDevice)
      return result(cudaErrorInvalidValue);
  }
  return enqueue(stream, [=] {
    std::memcpy(to, from, size);
    return std::string();
  });
}

cudaError_t cudaMemcpy(void* to, const void* from, size_t size, cudaMemcpyKind kind) {
  if (cudaError_t error = cudaMemcpyAsync(to, from, size, kind, nullptr)) return error;
  return finish(nullptr);
}

cudaError_t cudaMemsetAsync(void* to, int value, size_t size, cudaStream_t stream) {
  {
    std::lock_guard lock(stateMutex());
    const Allocation* target = holder(to, size);
    if (size > 0 && (!target || target->device < 0)) return result(cudaErrorInvalidValue);
  }
  return enqueue(stream, [=] {
    if (size > 0) std::memset(to, value, size);
    return std::string();
  });
}
cudaError_t cudaMemset(void* to, int value, size_t size) { return cudaMemsetAsync(to, value, size, nullptr); }
