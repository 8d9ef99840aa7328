// Device memory as pools use it, and what is noticed of writes outside of it.
#pragma once
#include <string>
#include "../api.h"

namespace simt {

// From this place in the stream on, `bytes` of the allocation at `block` may be written, and none if it is 0. What could
// be written before is poisoned; a write to the rest makes the stream fail.
void lend(cudaStream_t stream, void* block, size_t bytes);

bool isDeviceMemory(const void* bytes);

// "" or what was written outside of the device's and the pinned allocations, reported once, at the end of a launch.
std::string damage(int device);

}  // namespace simt
