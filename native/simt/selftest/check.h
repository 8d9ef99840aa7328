// What the self-tests of the software GPU share: device buffers, launches, and results.
//
// A check returns "" or a sentence that says what went wrong; a kernel with a seeded bug must give one.
#pragma once
#include <cuda_runtime.h>
#include <functional>
#include <string>
#include <vector>
#include "../../cuda/tools/hopper.cuh"

namespace selftest {

template <class T>
class Buffer {
 public:
  explicit Buffer(const std::vector<T>& values) : Buffer(values.size()) {
    cudaMemcpy(bytes_, values.data(), values.size() * sizeof(T), cudaMemcpyHostToDevice);
  }
  explicit Buffer(size_t count) : count_(count) { cudaMalloc(&bytes_, count * sizeof(T)); }
  ~Buffer() { cudaFree(bytes_); }
  Buffer(const Buffer&) = delete;
  T* get() const { return bytes_; }
  std::vector<T> values() const {
    std::vector<T> all(count_);
    cudaMemcpy(all.data(), bytes_, count_ * sizeof(T), cudaMemcpyDeviceToHost);
    return all;
  }

 private:
  T* bytes_ = nullptr;
  size_t count_;
};

// Runs a kernel to its end: "" or why it failed.
std::string runKernel(const simt::Shape& shape, std::function<void()> body);

// A deterministic number in -1 … 1 that bf16 holds exactly.
inline float sample(uint32_t i) { return float(int((i * 2654435761u >> 24) & 255) - 128) / 128; }
inline bf16 sampleBf16(uint32_t i) { return bf16(sample(i)); }

// "" or the first element that differs from `expected` by more than `bound`; a NaN differs.
std::string compare(const std::vector<float>& got, const std::vector<float>& expected, float bound);

struct Check {
  std::string name;
  std::function<std::string()> run;
};
std::vector<Check> warpChecks();
std::vector<Check> runtimeChecks();
std::vector<Check> fragmentChecks();
std::vector<Check> productChecks();
std::vector<Check> boxChecks();
std::vector<Check> tileChecks();    // the sm_80 product, right and with seeded bugs
std::vector<Check> hopperChecks();  // the sm_90 product
std::vector<Check> planChecks();

CUtensorMap encodeBf16(const void* base, std::vector<uint64_t> extent, std::vector<uint32_t> box,
                       CUtensorMapSwizzle swizzle, CUtensorMapDataType type = CU_TENSOR_MAP_DATA_TYPE_BFLOAT16);

}  // namespace selftest
