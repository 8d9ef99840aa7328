// PTX instructions of sm_90a as functions: mbarriers, TMA, clusters and wgmma. Kernels that use them guard their bodies
// with HOPPER, which is also set on the software GPU.
#pragma once
#include <cuda.h>
#include "ptx.cuh"

#if defined(HELVETIA_SIMT) || defined(__CUDA_ARCH_FEAT_SM90_ALL)
#define HOPPER
#endif

namespace ptx {

// Registers of a thread where one warpgroup of three loads for the others: as nvcc gives them to a block of 384 threads, and
// as setmaxnreg shares them out then. A launch checks the first (startsWith).
constexpr int registersAtStart = 168, registersToLoad = 40, registersToMultiply = 232;
static_assert(3 * registersAtStart == registersToLoad + 2 * registersToMultiply);

}  // namespace ptx

#ifdef HELVETIA_SIMT
#include "../../simt/hopper.h"
#elif defined(HOPPER)

namespace ptx {

#define PTX __device__ __forceinline__

// --- mbarrier: counts arrivals and bytes; a phase ends when both are complete. Phases have parities 0, 1, 0, … ---

PTX void initBarrier(uint32_t barrier, int arrivals) {
  asm volatile("mbarrier.init.shared::cta.b64 [%0], %1;" ::"r"(barrier), "r"(arrivals) : "memory");
}
// After initBarrier and before the block's (or cluster's) barrier that lets others use it.
PTX void publishBarriers() { asm volatile("fence.mbarrier_init.release.cluster;" ::: "memory"); }
PTX void arrive(uint32_t barrier) {
  asm volatile("mbarrier.arrive.shared::cta.b64 _, [%0];" ::"r"(barrier) : "memory");
}
// Arrives at the barrier of the same offset in block `rank` of the cluster. It orders no writes for the other block: spelled
// `.release.cluster` it would be a fence of the whole GPU.
PTX void arriveAt(uint32_t barrier, uint32_t rank) {
  asm volatile(
      "{\n.reg .b32 remote;\nmapa.shared::cluster.u32 remote, %0, %1;\n"
      "mbarrier.arrive.shared::cluster.b64 _, [remote];\n}" ::"r"(barrier),
      "r"(rank)
      : "memory");
}
// Arrives, and makes the phase wait for `bytes` more bytes of asynchronous copies.
PTX void arriveExpecting(uint32_t barrier, uint32_t bytes) {
  asm volatile("mbarrier.arrive.expect_tx.shared::cta.b64 _, [%0], %1;" ::"r"(barrier), "r"(bytes) : "memory");
}
// Returns when the phase of that parity is complete; on a fresh barrier parity 1 passes at once.
PTX void wait(uint32_t barrier, uint32_t parity) {
  asm volatile(
      "{\n.reg .pred done;\nagain:\nmbarrier.try_wait.parity.shared::cta.b64 done, [%0], %1;\n"
      "@!done bra again;\n}" ::"r"(barrier),
      "r"(parity)
      : "memory");
}

// --- TMA ---

PTX void prefetchMap(const CUtensorMap* map) { asm volatile("prefetch.tensormap [%0];" ::"l"(map) : "memory"); }
// Loads the box whose first element is (x, y[, z]), x the contiguous axis; arrives with its bytes at `barrier`.
PTX void loadBox(uint32_t to, const CUtensorMap* map, int x, int y, uint32_t barrier) {
  asm volatile(
      "cp.async.bulk.tensor.2d.shared::cluster.global.tile.mbarrier::complete_tx::bytes [%0], [%1, {%2, %3}], [%4];" ::
          "r"(to),
      "l"(map), "r"(x), "r"(y), "r"(barrier)
      : "memory");
}
PTX void loadBox(uint32_t to, const CUtensorMap* map, int x, int y, int z, uint32_t barrier) {
  asm volatile(
      "cp.async.bulk.tensor.3d.shared::cluster.global.tile.mbarrier::complete_tx::bytes [%0], [%1, {%2, %3, %4}], "
      "[%5];" ::"r"(to),
      "l"(map), "r"(x), "r"(y), "r"(z), "r"(barrier)
      : "memory");
}
// The same into each block of the cluster whose bit in `blocks` is set, at the same offsets of data and barrier.
PTX void loadBoxMulticast(uint32_t to, const CUtensorMap* map, int x, int y, int z, uint32_t barrier, uint16_t blocks) {
  asm volatile(
      "cp.async.bulk.tensor.3d.shared::cluster.global.tile.mbarrier::complete_tx::bytes.multicast::cluster"
      " [%0], [%1, {%2, %3, %4}], [%5], %6;" ::"r"(to),
      "l"(map), "r"(x), "r"(y), "r"(z), "r"(barrier), "h"(blocks)
      : "memory");
}
// Stores read shared memory behind the writers' backs: every writing thread fences, then a barrier, then one thread stores.
PTX void fenceAsyncProxy() { asm volatile("fence.proxy.async.shared::cta;" ::: "memory"); }
PTX void storeBox(const CUtensorMap* map, uint32_t from, int x, int y, int z) {
  asm volatile("cp.async.bulk.tensor.3d.global.shared::cta.tile.bulk_group [%0, {%1, %2, %3}], [%4];" ::"l"(map),
               "r"(x), "r"(y), "r"(z), "r"(from)
               : "memory");
}
PTX void addBox(const CUtensorMap* map, uint32_t from, int x, int y, int z) {
  asm volatile(
      "cp.reduce.async.bulk.tensor.3d.global.shared::cta.add.tile.bulk_group [%0, {%1, %2, %3}], [%4];" ::"l"(map),
      "r"(x), "r"(y), "r"(z), "r"(from)
      : "memory");
}
PTX void commitStores() { asm volatile("cp.async.bulk.commit_group;" ::: "memory"); }
// Waits until shared memory of all but the `N` newest groups may be written again; waitStores: until they are done.
template <int N>
PTX void waitStoresRead() {
  asm volatile("cp.async.bulk.wait_group.read %0;" ::"n"(N) : "memory");
}
template <int N>
PTX void waitStores() {
  asm volatile("cp.async.bulk.wait_group %0;" ::"n"(N) : "memory");
}

// --- clusters, registers ---

PTX uint32_t clusterRank() {
  uint32_t rank;
  asm volatile("mov.u32 %0, %%cluster_ctarank;" : "=r"(rank));
  return rank;
}
PTX void clusterSync() {
  asm volatile("barrier.cluster.arrive.release.aligned;\nbarrier.cluster.wait.acquire.aligned;" ::: "memory");
}
template <int N>
PTX void giveRegisters() {
  asm volatile("setmaxnreg.dec.sync.aligned.u32 %0;" ::"n"(N));
}
template <int N>
PTX void takeRegisters() {
  asm volatile("setmaxnreg.inc.sync.aligned.u32 %0;" ::"n"(N));
}

// --- stmatrix: the inverse of loadMatrices ---

PTX void storeMatrices(uint32_t address, const uint32_t (&r)[4]) {
  asm volatile("stmatrix.sync.aligned.m8n8.x4.shared.b16 [%0], {%1,%2,%3,%4};" ::"r"(address), "r"(r[0]), "r"(r[1]),
               "r"(r[2]), "r"(r[3])
               : "memory");
}
PTX void storeMatricesTransposed(uint32_t address, const uint32_t (&r)[4]) {
  asm volatile("stmatrix.sync.aligned.m8n8.x4.trans.shared.b16 [%0], {%1,%2,%3,%4};" ::"r"(address), "r"(r[0]),
               "r"(r[1]), "r"(r[2]), "r"(r[3])
               : "memory");
}

// --- wgmma: see wgmma.cuh for the products themselves ---

PTX void wgmmaFence() { asm volatile("wgmma.fence.sync.aligned;" ::: "memory"); }
PTX void wgmmaCommit() { asm volatile("wgmma.commit_group.sync.aligned;" ::: "memory"); }
// Keeps arithmetic before the next wgmmaWait: ptxas hoists waits over what does not need the product, but not over a store
// of `value`. The thread has four bytes of shared memory of its own at `address`.
PTX void settle(uint32_t address, float value) {
  asm volatile("st.volatile.shared.f32 [%0], %1;" ::"r"(address), "f"(value) : "memory");
}
template <int N>
PTX void wgmmaWait() {
  asm volatile("wgmma.wait_group.sync.aligned %0;" ::"n"(N) : "memory");
}

#undef PTX

}  // namespace ptx
#endif
