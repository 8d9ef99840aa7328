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
      else if (ptx::clusterRank() == 0)
        ptx::loadBoxMulticast(base, &map, x, y, z, barrier, uint16_t((1 << cluster) - 1));
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
    for (int i = 0; i < count; i++)
      expected.push_back(element(x + i % columns, y + i / columns % 8, z + i / columns / 8));
  return compare(out.values(), expected, 0);
}

// Stores a box of ones over the tensor's edge, once or twice.
std::string store(bool adds) {
  Buffer<float> out(std::vector<float>(wide * high, 3));
  const CUtensorMap map =
      encodeBf16(out.get(), {wide, high, 1}, {16, 8, 1}, CU_TENSOR_MAP_SWIZZLE_NONE, CU_TENSOR_MAP_DATA_TYPE_FLOAT32);
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

// The encoder's arguments, right until a case spoils one.
struct Arguments {
  char* base;
  uint32_t rank = 2;
  uint64_t extent[6] = {64, 8, 1, 1, 1, 1}, strides[5] = {128, 1024, 1024, 1024, 1024};
  uint32_t box[6] = {64, 8, 1, 1, 1, 1}, steps[6] = {1, 1, 1, 1, 1, 1};
  int type = CU_TENSOR_MAP_DATA_TYPE_BFLOAT16, interleave = 0, swizzle = CU_TENSOR_MAP_SWIZZLE_128B, promotion = 0,
      fill = 0;
  size_t mapAt = 0;
};

std::string refusals() {
  void* function = nullptr;
  cudaGetDriverEntryPointByVersion("cuTensorMapEncodeTiled", &function, 12000, cudaEnableDefault);
  const auto encode = reinterpret_cast<PFN_cuTensorMapEncodeTiled_v12000>(function);
  alignas(16) static char bytes[64];
  alignas(64) static char maps[2 * sizeof(CUtensorMap)];
  struct Case {
    const char* what;
    void (*spoil)(Arguments&);
    bool refused = true;
  };
  const Case cases[] = {
      {"a good map", [](Arguments&) {}, false},
      {"five axes", [](Arguments& a) { a.rank = 5; }, false},
      {"an axis of 2^32", [](Arguments& a) { a.extent[1] = uint64_t(1) << 32; }, false},
      {"the longest stride", [](Arguments& a) { a.strides[0] = (uint64_t(1) << 40) - 16; }, false},
      {"a map at an odd address", [](Arguments& a) { a.mapAt = 32; }},
      {"no axes", [](Arguments& a) { a.rank = 0; }},
      {"six axes", [](Arguments& a) { a.rank = 6; }},
      {"an unknown element type", [](Arguments& a) { a.type = 99; }},
      {"no address", [](Arguments& a) { a.base = nullptr; }},
      {"an odd address", [](Arguments& a) { a.base += 2; }},
      {"an empty inner axis", [](Arguments& a) { a.extent[0] = 0; }},
      {"an empty outer axis", [](Arguments& a) { a.extent[1] = 0; }},
      {"an axis beyond 2^32", [](Arguments& a) { a.extent[1] = (uint64_t(1) << 32) + 1; }},
      {"a stride of 72 bytes", [](Arguments& a) { a.strides[0] = 72; }},
      {"a stride of 2^40 bytes", [](Arguments& a) { a.strides[0] = uint64_t(1) << 40; }},
      {"a box wider than the swizzle", [](Arguments& a) { a.swizzle = CU_TENSOR_MAP_SWIZZLE_64B; }},
      {"an unknown swizzle", [](Arguments& a) { a.swizzle = 7; }},
      {"an unknown promotion", [](Arguments& a) { a.promotion = 4; }},
      {"an interleaved layout", [](Arguments& a) { a.interleave = CU_TENSOR_MAP_INTERLEAVE_16B; }},
      {"a fill of NaN", [](Arguments& a) { a.fill = CU_TENSOR_MAP_FLOAT_OOB_FILL_NAN_REQUEST_ZERO_FMA; }},
      {"a box of no rows", [](Arguments& a) { a.box[1] = 0; }},
      {"a box of 257 rows", [](Arguments& a) { a.box[1] = 257; }},
      {"an inner box of 12 bytes", [](Arguments& a) { a.box[0] = 6, a.swizzle = CU_TENSOR_MAP_SWIZZLE_NONE; }},
      {"element strides of 2", [](Arguments& a) { a.steps[0] = 2; }},
  };
  for (const Case& one : cases) {
    Arguments a{bytes};
    one.spoil(a);
    const CUresult result =
        encode(reinterpret_cast<CUtensorMap*>(maps + a.mapAt), CUtensorMapDataType(a.type), a.rank, a.base, a.extent,
               a.strides, a.box, a.steps, CUtensorMapInterleave(a.interleave), CUtensorMapSwizzle(a.swizzle),
               CUtensorMapL2promotion(a.promotion), CUtensorMapFloatOOBfill(a.fill));
    if (result != (one.refused ? CUDA_ERROR_INVALID_VALUE : CUDA_SUCCESS))
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
