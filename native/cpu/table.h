// The CPU's kernels of one instruction set, as a table by family: the binding calls through the table that was chosen at
// load. A family's part is a struct of its own (kernel.h), so that this header does not change with a kernel.
#pragma once
#include "../families.h"

namespace cpu {

#define FAMILY(name) struct Table_##name;
FAMILIES(FAMILY)
#undef FAMILY

struct Table {
#define FAMILY(name) const Table_##name* name;
  FAMILIES(FAMILY)
#undef FAMILY
};

}  // namespace cpu
