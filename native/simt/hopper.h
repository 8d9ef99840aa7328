// The instructions of native/cuda/tools/{hopper,wgmma}.cuh on the software GPU.
#pragma once
#include <cuda.h>
#include <type_traits>
#include "ptx.h"

namespace simt {

void initPhases(uint32_t barrier, int arrivals);
void publishPhases();
void arriveAtPhase(uint32_t barrier, uint32_t rank, uint32_t bytes);
void waitForPhase(uint32_t barrier, uint32_t parity);

// Loads a box of `rank` axes at `at` into the blocks of the cluster whose bits are set.
void loadBox(uint32_t to, const CUtensorMap* map, int rank, const int (&at)[3], uint32_t barrier, uint32_t blocks);
void storeBox(const CUtensorMap* map, uint32_t from, const int (&at)[3], bool adds);
void commitStores();
void waitStores(unsigned newest, bool written);
void fenceAsyncProxy();
void setRegisters(unsigned count, bool takes);

struct ProductShape {
  int n;
  bool half, transposeA, transposeB;
};
void issueProduct(const ProductShape& shape, float* d, uint64_t a, const uint32_t* registers, uint64_t b,
                  bool accumulate);
void fenceProducts();
void commitProducts();
void waitProducts(unsigned newest);

}  // namespace simt

namespace ptx {

// --- mbarrier ---

inline void initBarrier(uint32_t barrier, int arrivals) { simt::initPhases(barrier, arrivals); }
inline void publishBarriers() { simt::publishPhases(); }
inline void arrive(uint32_t barrier) { simt::arriveAtPhase(barrier, simt::current->block->rank, 0); }
inline void arriveAt(uint32_t barrier, uint32_t rank) { simt::arriveAtPhase(barrier, rank, 0); }
inline void arriveExpecting(uint32_t barrier, uint32_t bytes) {
  simt::arriveAtPhase(barrier, simt::current->block->rank, bytes);
}
inline void wait(uint32_t barrier, uint32_t parity) { simt::waitForPhase(barrier, parity); }

// --- TMA ---

inline void prefetchMap(const CUtensorMap*) {}
inline void loadBox(uint32_t to, const CUtensorMap* map, int x, int y, uint32_t barrier) {
  simt::loadBox(to, map, 2, {x, y, 0}, barrier, 1u << simt::current->block->rank);
}
inline void loadBox(uint32_t to, const CUtensorMap* map, int x, int y, int z, uint32_t barrier) {
  simt::loadBox(to, map, 3, {x, y, z}, barrier, 1u << simt::current->block->rank);
}
inline void loadBoxMulticast(uint32_t to, const CUtensorMap* map, int x, int y, int z, uint32_t barrier,
                             uint16_t blocks) {
  simt::loadBox(to, map, 3, {x, y, z}, barrier, blocks);
}
inline void fenceAsyncProxy() { simt::fenceAsyncProxy(); }
inline void storeBox(const CUtensorMap* map, uint32_t from, int x, int y, int z) {
  simt::storeBox(map, from, {x, y, z}, false);
}
inline void addBox(const CUtensorMap* map, uint32_t from, int x, int y, int z) {
  simt::storeBox(map, from, {x, y, z}, true);
}
inline void commitStores() { simt::commitStores(); }
template <int N>
void waitStoresRead() {
  simt::waitStores(N, false);
}
template <int N>
void waitStores() {
  simt::waitStores(N, true);
}

// --- clusters, registers, dependent launches ---

inline uint32_t clusterRank() { return simt::current->block->rank; }
inline void clusterSync() { simt::clusterWait(); }
template <int N>
void giveRegisters() {
  static_assert(N % 8 == 0 && N >= 24 && N <= 256);
  simt::setRegisters(N, false);
}
template <int N>
void takeRegisters() {
  static_assert(N % 8 == 0 && N >= 24 && N <= 256);
  simt::setRegisters(N, true);
}

// --- stmatrix ---

inline void storeMatrices(uint32_t address, const uint32_t (&r)[4]) { simt::storeMatrices(r, address, false); }
inline void storeMatricesTransposed(uint32_t address, const uint32_t (&r)[4]) { simt::storeMatrices(r, address, true); }

// --- wgmma ---

enum class Swizzle { none = 0, b128 = 1, b64 = 2, b32 = 3 };

inline uint64_t matrixDescriptor(uint32_t address, uint32_t leadingBytes, uint32_t strideBytes, Swizzle swizzle) {
  return uint64_t(address & 0x3ffff) >> 4 | uint64_t(leadingBytes & 0x3ffff) >> 4 << 16 |
         uint64_t(strideBytes & 0x3ffff) >> 4 << 32 | uint64_t(swizzle) << 62;
}

inline void wgmmaFence() { simt::fenceProducts(); }
inline void wgmmaCommit() { simt::commitProducts(); }
inline void settle(uint32_t address, float value) {
  simt::Shared& shared = *simt::current->block->shared;
  char* to = shared.at("settle", address, sizeof value, sizeof value);
  shared.track("settle", to, sizeof value, true);
  std::memcpy(to, &value, sizeof value);
}
template <int N>
void wgmmaWait() {
  simt::waitProducts(N);
}

template <class T, int N, bool transposeA, bool transposeB>
void wgmma(float (&d)[N / 2], uint64_t a, uint64_t b, bool accumulate) {
  static_assert(N % 8 == 0 && N >= 8 && N <= 256);
  simt::issueProduct({N, std::is_same_v<T, f16>, transposeA, transposeB}, d, a, nullptr, b, accumulate);
}
template <class T, int N, bool transposeB>
void wgmma(float (&d)[N / 2], const uint32_t (&a)[4], uint64_t b, bool accumulate) {
  static_assert(N % 8 == 0 && N >= 8 && N <= 256);
  simt::issueProduct({N, std::is_same_v<T, f16>, false, transposeB}, d, 0, a, b, accumulate);
}

}  // namespace ptx
