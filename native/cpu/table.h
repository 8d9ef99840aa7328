// The CPU's kernels of one instruction set, as a table: the binding calls through the table that was chosen at load.
#pragma once
#include "../kernels.h"

namespace cpu {

struct Table {
#define POINTER(name, ...) void (*name)(Device&, __VA_ARGS__);
  KERNELS(POINTER)
#undef POINTER
};

}  // namespace cpu
