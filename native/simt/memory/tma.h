// The end of a TMA store: into global memory.
#pragma once
#include "asynchronous.h"

namespace simt {

void writeBox(const Store& store);

}  // namespace simt
