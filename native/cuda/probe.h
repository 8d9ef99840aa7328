// Asks what stands between this process and a GPU.
#pragma once
#include <string>

namespace cuda {

// "" where a kernel ran on GPU 0, else one sentence that says why not.
std::string absence();

}  // namespace cuda
