// The table of one instruction set, compiled once for each. Its name alone stays visible outside the set's objects.
#include "../kernels.h"
#include "table.h"

namespace {

#define ENTRY(name, ...) cpu::CPU_ISA::name,
#define FAMILY(name) constexpr cpu::Table_##name table_##name = {KERNELS_##name(ENTRY)};
FAMILIES(FAMILY)
#undef FAMILY
#undef ENTRY

}  // namespace

#define JOIN(a, b) a##b
#define TABLE(isa) JOIN(cpuTable_, isa)

extern "C" const cpu::Table TABLE(CPU_ISA) = {
#define FAMILY(name) &table_##name,
    FAMILIES(FAMILY)
#undef FAMILY
};
