// Compiled once per instruction set; the only name of that set's objects that stays visible outside them.
#include "table.h"

#define JOIN(a, b) a##b
#define TABLE(isa) JOIN(cpuTable_, isa)

extern "C" const cpu::Table TABLE(CPU_ISA) = {
#define ENTRY(name, ...) cpu::CPU_ISA::name,
    KERNELS(ENTRY)
#undef ENTRY
};
