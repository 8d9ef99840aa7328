// Sentences about what went wrong in a kernel.
#pragma once
#include <string>
#include "block.h"

namespace simt {

std::string placeOf(const Block& block);    // "block (1, 0, 0)"
std::string placeOf(const Thread& thread);  // "block (1, 0, 0), thread (33, 0, 0)"
std::string lanesIn(uint32_t mask);         // "lanes 0-3, 8"
// What each warp that has not ended waits for.
std::string describeDeadlock(const Group& group);

}  // namespace simt
