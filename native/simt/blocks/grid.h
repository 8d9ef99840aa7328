// Runs a kernel's blocks on the OS threads of this machine.
#pragma once
#include <functional>
#include <string>
#include "block.h"

namespace simt {

// Returns what went wrong, or "". Clusters are runs of `cluster` blocks along x.
std::string runGrid(const Launch& launch);

}  // namespace simt
