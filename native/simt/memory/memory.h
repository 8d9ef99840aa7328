// Device memory as pools use it, and what is noticed of writes outside of it.
#pragma once
#include <string>
#include "../api.h"

namespace simt {

// From this place in the stream on, `bytes` at `block`, which lies in an allocation, may be written, and none if it is 0.
// What could be written there before is poisoned; a write to bytes that are not lent makes the stream fail.
void lend(cudaStream_t stream, void* block, size_t bytes);

bool isDeviceMemory(const void* bytes);

// "" or what was written outside of the device's and the pinned allocations, reported once, at the end of a launch.
std::string damage(int device);

}  // namespace simt
