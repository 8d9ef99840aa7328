// How a family of kernels is declared. Each header in native/kernels/ names its kernels once, with their signatures, in
// a list KERNELS_<family>; DECLARE_KERNELS declares them on both devices, and the family's part of the CPU's table.
//
// The contract: a kernel writes its `Out`s completely, reads its `In`s, trusts what lib/ops checked, and allocates
// nothing but scratch from its device. Sums are f32 or better whatever the tensors' formats. Floating-point arguments
// may each have their own format unless a comment says otherwise. "contiguous" is the rule, strided the exception.
// An argument marked `?` may be left out.
#pragma once
#include "view.h"

namespace cpu {
struct Device;
}
namespace cuda {
struct Device;
}

#define DECLARE_KERNEL(name, ...) void name(Device&, __VA_ARGS__);
#define KERNEL_POINTER(name, ...) void (*name)(Device&, __VA_ARGS__);

// The CPU's kernels are compiled once per instruction set, each time in a namespace of that name.
#ifdef CPU_ISA
#define DECLARE_CPU_KERNELS(family) \
  namespace cpu::CPU_ISA {          \
  KERNELS_##family(DECLARE_KERNEL)  \
  }
#else
#define DECLARE_CPU_KERNELS(family)
#endif

#define DECLARE_KERNELS(family)      \
  DECLARE_CPU_KERNELS(family)        \
  namespace cpu {                    \
  struct Table_##family {            \
    KERNELS_##family(KERNEL_POINTER) \
  };                                 \
  }                                  \
  namespace cuda {                   \
  KERNELS_##family(DECLARE_KERNEL)   \
  }
