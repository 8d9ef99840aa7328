// A build without CUDA: every kernel and every GPU function says that it is not there.
#include <stdexcept>
#include "../../kernels.h"
#include "gpu.h"

namespace cuda {
namespace {

constexpr const char* why = "this build has no CUDA: nvcc was not there when it was built";
[[noreturn]] void missing() { throw std::runtime_error(why); }

}  // namespace

#define MISSING(name, ...) \
  void name(Device&, __VA_ARGS__) { missing(); }
#define FAMILY(name) KERNELS_##name(MISSING)
FAMILIES(FAMILY)
#undef FAMILY
#undef MISSING

std::string absence() { return why; }
int count() { return 0; }
std::string passedOver() { return ""; }
GpuInfo info(int) { missing(); }
Pool& pool(int) { missing(); }
void trimPinned(int) { missing(); }
std::shared_ptr<Device> open(int) { missing(); }
void use(Device&) { missing(); }
void upload(Device&, void*, const void*, size_t) { missing(); }
void download(Device&, void*, const void*, size_t, std::function<void(Failure)>) { missing(); }
void copyAcross(Device&, const Device&, void*, const void*, size_t, std::function<void(Failure)>) { missing(); }
void whenDone(Device&, std::function<void(Failure)>) { missing(); }
void whenReached(Device&, std::function<void(Failure)>) { missing(); }
void afterKernel(Device&) { missing(); }
bool replay(Device&, Recorded&) { missing(); }

}  // namespace cuda
