// Memory faults of kernels. A thread that touches memory that is not mapped, or 16 bytes at an odd address, raises a
// signal. The handler continues the thread at `land`, on another stack; the launch fails and the process goes on.
#pragma once
#include <string>

namespace simt {

void catchTraps(void (*land)());  // on the calling OS thread
std::string trapReason();         // of the last one on this OS thread

}  // namespace simt
