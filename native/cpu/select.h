// Chooses the CPU kernels of the best instruction set that this machine runs.
#pragma once
#include <string>
#include "table.h"

namespace cpu {

struct Path {
  const char* name;
  const Table* table;  // null where the build has none for this machine's architecture
  bool supported;
};

// Every path of this build, best first. The list ends with a null name.
const Path* paths();

// HELVETIA_CPU forces a path by name. Throws std::runtime_error when it is unknown or does not run here, and when no
// path runs here.
const Path& choosePath();

}  // namespace cpu
