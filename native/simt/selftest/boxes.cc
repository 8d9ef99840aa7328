// TMA: boxes that reach over the tensor's edges, every swizzle, two and three axes, multicast, store and add; and what
// the encoder must refuse.
#include "../cudaTypedefs.h"
#include "check.h"

namespace selftest {
namespace {

constexpr int wide = 40, high = 12, deep = 3;  // the tensor; rows of 80 bytes

std::vector<bf16> tensor() {
  std::vector<bf16> all;
  for (int i = 0; i < wide * high * deep; i++) all.push_back(bf16(float(i % 251)));
  return all;
}
float element(int x, int y, int z) {
  if (x < 0 || x >= wide || y < 0 || y >= high || z < 0 || z >= deep) return 0;
  return float((z * high + y) * wide + x) - 251 * float(((z * high + y) * wide + x) / 251);
}

// Loads a box of `columns` × 8 × 2 and copies shared memory out, with the swizzle undone.
std::string load(CUtensorMapSwizzle swizzle, int columns, int x, int y, int z, unsigned cluster) {
  Buffer<bf16> in(tensor());
  const int count = columns * 8 * 2;
  Buffer<float> out(size_t(count) * cluster);
  const CUtensorMap map = encodeBf16(in.get(), {wide, high, deep}, {uint32_t(columns), 8, 2}, swizzle);
  const uint32_t span = swizzle == CU_TENSOR_MAP_SWIZZLE_NONE ? 16 : 16u << int(swizzle);
  const std::string problem = runKernel({cluster, 32, size_t(count) * 2 + 1024, cluster}, [=, to = out.get()] {
    const uint32_t base = ptx::sharedAddress(ptx::sharedMemory()), barrier = base + uint32_t(count) * 2;
    if (threadIdx.x == 0) {
      ptx::initBarrier(barrier, 1);
      ptx::publishBarriers();
    }
    ptx::clusterSync();
    if (threadIdx.x == 0) {
      ptx::arriveExpecting(barrier, uint32_t(count) * 2);
      if (cluster == 1) ptx::loadBox(base, &map, x, y, z, barrier);
      else if (ptx::clusterRank() == 0) ptx::loadBoxMulticast(base, &map, x, y, z, barrier, uint16_t((1 << cluster) - 1));
    }
    ptx::wait(barrier, 0);
    for (int i = int(threadIdx.x); i < count; i += 32) {
      const uint32_t at = uint32_t(i) * 2, mask = span / 16 - 1;
      const auto* from = reinterpret_cast<const bf16*>(ptx::sharedMemory() + (at ^ ((at >> 7 & mask) << 4)));
      to[blockIdx.x * unsigned(count) + unsigned(i)] = float(*from);
    }
    ptx::clusterSync();
  });
  if (!problem.empty()) return problem;
  std::vector<float> expected;
  for (unsigned block = 0; block < cluster; block++)
    for (int i = 0; i < count; i++) expected.push_back(element(x + i % columns, y + i / columns % 8, z + i / columns / 8));
  return compare(out.values(), expected, 0);
}

// Stores a box of ones over the tensor's edge, once or twice.
std::string store(bool adds) {
  Buffer<float> out(std::vector<float>(wide * high, 3));
  const CUtensorMap map = encodeBf16(out.get(), {wide, high, 1}, {16, 8, 1}, CU_TENSOR_MAP_SWIZZLE_NONE, CU_TENSOR_MAP_DATA_TYPE_FLOAT32);
  const std::string problem = runKernel({1, 32, 16 * 8 * 4}, [=] {
    for (unsigned i = threadIdx.x; i < 128; i += 32) reinterpret_cast<float*>(ptx::sharedMemory())[i] = float(i);
    ptx::fenceAsyncProxy();
    __syncwarp();
    if (threadIdx.x == 0) {
      const uint32_t from = ptx::sharedAddress(ptx::sharedMemory());
      if (adds) ptx::addBox(&map, from, 30, -2, 0);
      else ptx::storeBox(&map, from, 30, -2, 0);
      ptx::commitStores();
      ptx::waitStores<0>();
    }
  });
  if (!problem.empty()) return problem;
  std::vector<float> expected(wide * high, 3);
  for (int r = 0; r < 8; r++)
    for (int c = 0; c < 16; c++)
      if (r - 2 >= 0 && 30 + c < wide) {
        float& to = expected[size_t((r - 2) * wide + 30 + c)];
        to = float(r * 16 + c) + (adds ? to : 0);
      }
  return compare(out.values(), expected, 0);
}

std::string refusals() {
  void* function = nullptr;
  cudaGetDriverEntryPointByVersion("cuTensorMapEncodeTiled", &function, 12000, cudaEnableDefault);
  const auto encode = reinterpret_cast<PFN_cuTensorMapEncodeTiled_v12000>(function);
  alignas(16) static char bytes[64];
  struct Case {
    const char* what;
    char* base;
    uint64_t stride;
    uint32_t inner, outer, step;
    CUtensorMapSwizzle swizzle;
    CUresult expected;
  };
  const Case cases[] = {
      {"a good map", bytes, 128, 64, 8, 1, CU_TENSOR_MAP_SWIZZLE_128B, CUDA_SUCCESS},
      {"an odd address", bytes + 2, 128, 64, 8, 1, CU_TENSOR_MAP_SWIZZLE_128B, CUDA_ERROR_INVALID_VALUE},
      {"a stride of 72 bytes", bytes, 72, 64, 8, 1, CU_TENSOR_MAP_SWIZZLE_128B, CUDA_ERROR_INVALID_VALUE},
      {"a box wider than the swizzle", bytes, 128, 64, 8, 1, CU_TENSOR_MAP_SWIZZLE_64B, CUDA_ERROR_INVALID_VALUE},
      {"a box of 257 rows", bytes, 128, 64, 257, 1, CU_TENSOR_MAP_SWIZZLE_128B, CUDA_ERROR_INVALID_VALUE},
      {"an inner box of 12 bytes", bytes, 128, 6, 8, 1, CU_TENSOR_MAP_SWIZZLE_NONE, CUDA_ERROR_INVALID_VALUE},
      {"element strides of 2", bytes, 128, 64, 8, 2, CU_TENSOR_MAP_SWIZZLE_128B, CUDA_ERROR_INVALID_VALUE},
  };
  for (const Case& one : cases) {
    CUtensorMap map;
    const cuuint64_t extent[] = {64, 8}, strides[] = {one.stride};
    const cuuint32_t box[] = {one.inner, one.outer}, steps[] = {one.step, 1};
    if (encode(&map, CU_TENSOR_MAP_DATA_TYPE_BFLOAT16, 2, one.base, extent, strides, box, steps, CU_TENSOR_MAP_INTERLEAVE_NONE,
               one.swizzle, CU_TENSOR_MAP_L2_PROMOTION_NONE, CU_TENSOR_MAP_FLOAT_OOB_FILL_NONE) != one.expected)
      return std::string(one.what) + " is judged wrongly";
  }
  return "";
}

}  // namespace

std::vector<Check> boxChecks() {
  std::vector<Check> all = {
      {"box store over the edge", [] { return store(false); }},
      {"box add over the edge", [] { return store(true); }},
      {"box encoder's refusals", refusals},
      {"box multicast", [] { return load(CU_TENSOR_MAP_SWIZZLE_128B, 64, 0, 0, 0, 2); }},
  };
  const char* names[] = {"none", "32B", "64B", "128B"};
  for (int i = 0; i < 4; i++) {
    const auto swizzle = CUtensorMapSwizzle(i);
    const int columns = i == 0 ? 24 : 8 << i;
    const std::string name = std::string("box load ") + names[i];
    all.push_back({name + " inside", [=] { return load(swizzle, columns, 0, 1, 1, 1); }});
    all.push_back({name + " below zero", [=] { return load(swizzle, columns, -5, -3, -1, 1); }});
    all.push_back({name + " beyond the end", [=] { return load(swizzle, columns, 33, 9, 2, 1); }});
    all.push_back({name + " outside", [=] { return load(swizzle, columns, 100, 0, 0, 1); }});
  }
  return all;
}

}  // namespace selftest
