// ldmatrix, stmatrix and mma against their closed formulas.
#include "../../cuda/tools/tf32.cuh"
#include "check.h"

namespace selftest {
namespace {

// Element (row, column) of matrix m holds m · 64 + row · 8 + column; `swap` writes through the plain layout and reads
// through the other.
std::string loads(bool transposed) {
  Buffer<uint32_t> out(128);
  const std::string problem = runKernel({1, 32, 4 * 128}, [to = out.get(), transposed] {
    const uint32_t lane = threadIdx.x, base = ptx::sharedAddress(ptx::sharedMemory());
    auto* elements = reinterpret_cast<uint16_t*>(ptx::sharedMemory());
    for (uint32_t i = lane; i < 256; i += 32) elements[i] = uint16_t(i);
    __syncwarp();
    uint32_t r[4];
    if (transposed) ptx::loadMatricesTransposed(r, base + lane * 16);
    else ptx::loadMatrices(r, base + lane * 16);
    for (int m = 0; m < 4; m++) to[lane * 4 + m] = r[m];
  });
  if (!problem.empty()) return problem;
  const auto got = out.values();
  for (uint32_t lane = 0; lane < 32; lane++)
    for (uint32_t m = 0; m < 4; m++) {
      const uint32_t g = lane / 4, q = lane % 4;
      const uint32_t low = transposed ? m * 64 + 2 * q * 8 + g : m * 64 + g * 8 + 2 * q,
                     high = low + (transposed ? 8 : 1);
      if (got[lane * 4 + m] != (high << 16 | low))
        return "lane " + std::to_string(lane) + " matrix " + std::to_string(m) + " holds " +
               std::to_string(got[lane * 4 + m]);
    }
  return "";
}

std::string storesInvert(bool transposed) {
  Buffer<uint16_t> out(256);
  const std::string problem = runKernel({1, 32, 1024}, [to = out.get(), transposed] {
    const uint32_t lane = threadIdx.x, base = ptx::sharedAddress(ptx::sharedMemory());
    auto* elements = reinterpret_cast<uint16_t*>(ptx::sharedMemory());
    for (uint32_t i = lane; i < 256; i += 32) elements[i] = uint16_t(i);
    __syncwarp();
    uint32_t r[4];
    if (transposed) {
      ptx::loadMatricesTransposed(r, base + lane * 16);
      ptx::storeMatricesTransposed(base + 512 + lane * 16, r);
    } else {
      ptx::loadMatrices(r, base + lane * 16);
      ptx::storeMatrices(base + 512 + lane * 16, r);
    }
    __syncwarp();
    for (uint32_t i = lane; i < 256; i += 32) to[i] = elements[256 + i];
  });
  if (!problem.empty()) return problem;
  const auto got = out.values();
  for (uint32_t i = 0; i < 256; i++)
    if (got[i] != i) return "element " + std::to_string(i) + " became " + std::to_string(got[i]);
  return "";
}

// A one-hot A against a ramp B shows every element's place: row m of A has a 1 at k = (m + shift) % 16.
template <class T>
std::string products(uint32_t shift) {
  Buffer<float> out(16 * 8);
  const std::string problem = runKernel({1, 32}, [to = out.get(), shift] {
    const uint32_t lane = threadIdx.x, g = lane / 4, q = lane % 4;
    const auto one = [=](uint32_t row, uint32_t k) { return k == (row + shift) % 16 ? 1.0f : 0.0f; };
    const auto ramp = [](uint32_t k, uint32_t n) { return float(k * 8 + n); };
    const auto pack = [](float low, float high) { return uint32_t(T(high).bits) << 16 | T(low).bits; };
    uint32_t a[4], b[2];
    for (uint32_t i = 0; i < 4; i++) {
      const uint32_t row = g + 8 * (i & 1), k = 2 * q + 8 * (i >> 1);
      a[i] = pack(one(row, k), one(row, k + 1));
    }
    for (uint32_t i = 0; i < 2; i++) b[i] = pack(ramp(2 * q + 8 * i, g), ramp(2 * q + 8 * i + 1, g));
    float d[4] = {1000, 1000, 1000, 1000};
    ptx::mma<T>(d, a, b);
    for (uint32_t i = 0; i < 4; i++) to[(g + 8 * (i >> 1)) * 8 + 2 * q + (i & 1)] = d[i];
  });
  if (!problem.empty()) return problem;
  std::vector<float> expected(128);
  for (uint32_t m = 0; m < 16; m++)
    for (uint32_t n = 0; n < 8; n++) expected[m * 8 + n] = 1000 + float((m + shift) % 16 * 8 + n);
  return compare(out.values(), expected, 0);
}

// The same of tf32. What is added to the ramp is beyond tf32's bits, but for the halves that round up.
std::string tf32Products(uint32_t shift) {
  Buffer<float> out(16 * 8);
  const std::string problem = runKernel({1, 32}, [to = out.get(), shift] {
    const uint32_t lane = threadIdx.x, g = lane / 4, q = lane % 4;
    uint32_t a[4], b[2];
    for (uint32_t i = 0; i < 4; i++) a[i] = ptx::tf32(q + 4 * (i >> 1) == (g + 8 * (i & 1) + shift) % 8 ? -1.0f : 0.0f);
    for (uint32_t i = 0; i < 2; i++) {
      const float ramp = float((q + 4 * i) * 8 + g) + 64, beyond = ramp * 0x1p-12f, half = 0x1p-5f;
      b[i] = ptx::tf32(ramp + (lane % 2 ? half : beyond));
    }
    float d[4] = {1000, 1000, 1000, 1000};
    ptx::mmaTf32(d, a, b);
    for (uint32_t i = 0; i < 4; i++) to[(g + 8 * (i >> 1)) * 8 + 2 * q + (i & 1)] = d[i];
  });
  if (!problem.empty()) return problem;
  std::vector<float> expected(128);
  for (uint32_t m = 0; m < 16; m++)
    for (uint32_t n = 0; n < 8; n++) {
      const uint32_t k = (m + shift) % 8;
      expected[m * 8 + n] = 1000 - float(k * 8 + n + 64) - (k % 2 ? 0x1p-4f : 0);
    }
  return compare(out.values(), expected, 0);
}

std::string copies() {
  std::vector<uint32_t> ramp(64);
  for (uint32_t i = 0; i < 64; i++) ramp[i] = i + 1;
  Buffer<uint32_t> in(ramp), out(64);
  const std::string problem = runKernel({1, 16, 256}, [from = in.get(), to = out.get()] {
    const uint32_t t = threadIdx.x;
    ptx::copyAsync(ptx::sharedAddress(ptx::sharedMemory()) + t * 16, from + t * 4, int(t));
    ptx::commitCopies();
    ptx::waitCopies<0>();
    for (uint32_t i = 0; i < 4; i++) to[t * 4 + i] = reinterpret_cast<uint32_t*>(ptx::sharedMemory())[t * 4 + i];
  });
  if (!problem.empty()) return problem;
  const auto got = out.values();
  for (uint32_t byte = 0; byte < 256; byte++) {
    const uint8_t value = reinterpret_cast<const uint8_t*>(got.data())[byte];
    const uint8_t source = reinterpret_cast<const uint8_t*>(ramp.data())[byte];
    if (value != (byte % 16 < byte / 16 ? source : 0)) return "byte " + std::to_string(byte) + " is wrong";
  }
  return "";
}

}  // namespace

std::vector<Check> fragmentChecks() {
  std::vector<Check> all = {
      {"fragment ldmatrix", [] { return loads(false); }},
      {"fragment ldmatrix.trans", [] { return loads(true); }},
      {"fragment stmatrix", [] { return storesInvert(false); }},
      {"fragment stmatrix.trans", [] { return storesInvert(true); }},
      {"fragment cp.async fills with zeros", copies},
  };
  for (uint32_t shift : {0u, 1u, 8u, 13u}) {
    all.push_back({"fragment mma bf16 " + std::to_string(shift), [=] { return products<bf16>(shift); }});
    all.push_back({"fragment mma f16 " + std::to_string(shift), [=] { return products<f16>(shift); }});
    all.push_back({"fragment mma tf32 " + std::to_string(shift), [=] { return tf32Products(shift); }});
  }
  return all;
}

}  // namespace selftest
