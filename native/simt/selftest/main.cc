// Runs the checks whose name begins with the argument and prints one line for each: name, tab, what went wrong or nothing.
// Policy and seed come from the environment.
#include <cmath>
#include <cstdio>
#include <cstring>
#include "../cudaTypedefs.h"
#include "check.h"

namespace selftest {

std::string runKernel(const simt::Shape& shape, std::function<void()> body) {
  cudaError_t error = simt::launch(nullptr, shape, std::move(body));
  if (!error) error = cudaDeviceSynchronize();
  return error ? cudaGetErrorString(error) : "";
}

std::string compare(const std::vector<float>& got, const std::vector<float>& expected, float bound) {
  for (size_t i = 0; i < expected.size(); i++)
    if (!(std::fabs(got[i] - expected[i]) <= bound))
      return "element " + std::to_string(i) + " is " + std::to_string(got[i]) + ", not " + std::to_string(expected[i]);
  return "";
}

CUtensorMap encodeBf16(const void* base, std::vector<uint64_t> extent, std::vector<uint32_t> box,
                       CUtensorMapSwizzle swizzle, CUtensorMapDataType type) {
  void* function = nullptr;
  cudaGetDriverEntryPointByVersion("cuTensorMapEncodeTiled", &function, 12000, cudaEnableDefault);
  const uint64_t size = type == CU_TENSOR_MAP_DATA_TYPE_FLOAT32 ? 4 : 2;
  std::vector<uint64_t> strides;
  uint64_t stride = size;
  for (uint64_t n : extent) strides.push_back(stride *= n);
  const std::vector<uint32_t> ones(extent.size(), 1);
  CUtensorMap map{};
  reinterpret_cast<PFN_cuTensorMapEncodeTiled_v12000>(function)(
      &map, type, uint32_t(extent.size()), const_cast<void*>(base), extent.data(), strides.data(), box.data(),
      ones.data(), CU_TENSOR_MAP_INTERLEAVE_NONE, swizzle, CU_TENSOR_MAP_L2_PROMOTION_NONE,
      CU_TENSOR_MAP_FLOAT_OOB_FILL_NONE);
  return map;
}

}  // namespace selftest

int main(int count, char** arguments) {
  using namespace selftest;
  const char* prefix = count > 1 ? arguments[1] : "";
  for (const auto& family :
       {warpChecks, runtimeChecks, fragmentChecks, productChecks, boxChecks, tileChecks, hopperChecks, planChecks})
    for (const Check& check : family())
      if (!std::strncmp(check.name.c_str(), prefix, std::strlen(prefix))) {
        std::printf("%s\t%s\n", check.name.c_str(), check.run().c_str());
        std::fflush(stdout);
      }
  return 0;
}
