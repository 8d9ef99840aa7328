// PTX instructions of sm_80 and later as functions. Kernels hold no asm of their own: built for the software GPU, the
// same names come from native/simt/ptx.h. Hopper's instructions are in hopper.cuh.
//
// Shared memory is addressed by 32-bit addresses (sharedAddress). Lane l of a warp has g = l / 4 and q = l % 4.
#pragma once
#include <cuda_runtime.h>
#include <cstdint>
#include "../../formats.h"

#ifdef HELVETIA_SIMT
#include "../../simt/ptx.h"
#else

namespace ptx {

#define PTX __device__ __forceinline__

// The block's dynamic shared memory, aligned to 1024 bytes.
PTX char* sharedMemory() {
  extern __shared__ __align__(1024) char bytes[];
  return bytes;
}
PTX uint32_t sharedAddress(const void* p) { return uint32_t(__cvta_generic_to_shared(p)); }

// The number of this thread's warpgroup, the same for all of a warp, so that what follows from it is kept in uniform
// registers.
PTX int warpgroup() { return __shfl_sync(0xffffffffu, int(threadIdx.x) / 128, 0); }

// --- numbers ---

PTX float exp2(float x) {
  float y;
  asm("ex2.approx.ftz.f32 %0, %1;" : "=f"(y) : "f"(x));
  return y;
}
PTX uint32_t packBf16(float low, float high) {
  uint32_t pair;
  asm("cvt.rn.bf16x2.f32 %0, %1, %2;" : "=r"(pair) : "f"(high), "f"(low));
  return pair;
}
PTX uint32_t packF16(float low, float high) {
  uint32_t pair;
  asm("cvt.rn.f16x2.f32 %0, %1, %2;" : "=r"(pair) : "f"(high), "f"(low));
  return pair;
}
PTX float floatOfF16(uint16_t bits) {
  float value;
  asm("cvt.f32.f16 %0, %1;" : "=f"(value) : "h"(bits));
  return value;
}

// --- global memory ---

// 16 bytes that are not read again soon, such as weights in a matrix-vector product. Not by `.nc`: a dependent launch's
// life begins while the kernel before it may still write them.
PTX uint4 loadStreaming(const void* from) {
  uint4 v;
  asm volatile("ld.global.L1::no_allocate.L2::128B.v4.u32 {%0,%1,%2,%3}, [%4];"
               : "=r"(v.x), "=r"(v.y), "=r"(v.z), "=r"(v.w)
               : "l"(from));
  return v;
}

// --- cp.async: 16 bytes from global to shared memory; the last 16 - `bytes` of them become zero ---

PTX void copyAsync(uint32_t to, const void* from, int bytes = 16) {
  asm volatile("cp.async.cg.shared.global.L2::128B [%0], [%1], 16, %2;" ::"r"(to), "l"(from), "r"(bytes) : "memory");
}
PTX void commitCopies() { asm volatile("cp.async.commit_group;" ::: "memory"); }
// Waits until at most the `N` newest groups of this thread are still under way.
template <int N>
PTX void waitCopies() {
  asm volatile("cp.async.wait_group %0;" ::"n"(N) : "memory");
}

// --- 8x8 matrices of 16-bit elements: lane l gives the address of row l % 8 of matrix l / 8 ---

// Register m holds elements (g, 2q) and (g, 2q + 1) of matrix m.
PTX void loadMatrices(uint32_t (&r)[4], uint32_t address) {
  asm volatile("ldmatrix.sync.aligned.m8n8.x4.shared.b16 {%0,%1,%2,%3}, [%4];"
               : "=r"(r[0]), "=r"(r[1]), "=r"(r[2]), "=r"(r[3])
               : "r"(address)
               : "memory");
}
// Register m holds elements (2q, g) and (2q + 1, g) of matrix m.
PTX void loadMatricesTransposed(uint32_t (&r)[4], uint32_t address) {
  asm volatile("ldmatrix.sync.aligned.m8n8.x4.trans.shared.b16 {%0,%1,%2,%3}, [%4];"
               : "=r"(r[0]), "=r"(r[1]), "=r"(r[2]), "=r"(r[3])
               : "r"(address)
               : "memory");
}

// d [16, 8] += a [16, 16] · b [16, 8], T = bf16 or f16. Fragments: a[i] holds row g + 8 (i & 1), columns 2q + 8 (i >> 1)
// and the next; b[i] rows 2q + 8 i and the next of column g; d[i] row g + 8 (i >> 1), column 2q + (i & 1).
template <class T>
PTX void mma(float (&d)[4], const uint32_t (&a)[4], const uint32_t (&b)[2]);
template <>
PTX void mma<bf16>(float (&d)[4], const uint32_t (&a)[4], const uint32_t (&b)[2]) {
  asm("mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32 {%0,%1,%2,%3}, {%4,%5,%6,%7}, {%8,%9}, {%0,%1,%2,%3};"
      : "+f"(d[0]), "+f"(d[1]), "+f"(d[2]), "+f"(d[3])
      : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b[0]), "r"(b[1]));
}
template <>
PTX void mma<f16>(float (&d)[4], const uint32_t (&a)[4], const uint32_t (&b)[2]) {
  asm("mma.sync.aligned.m16n8k16.row.col.f32.f16.f16.f32 {%0,%1,%2,%3}, {%4,%5,%6,%7}, {%8,%9}, {%0,%1,%2,%3};"
      : "+f"(d[0]), "+f"(d[1]), "+f"(d[2]), "+f"(d[3])
      : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b[0]), "r"(b[1]));
}

// --- barriers 1 to 15 of a block, for some of its warps (0 is __syncthreads) ---

PTX void barrierSync(int id, int threads) { asm volatile("bar.sync %0, %1;" ::"r"(id), "r"(threads) : "memory"); }
PTX void barrierArrive(int id, int threads) { asm volatile("bar.arrive %0, %1;" ::"r"(id), "r"(threads) : "memory"); }

// --- dependent launches (sm_90): see Grid::overlaps ---

// Called before a kernel's first access to memory, by all of its threads: waits until the kernels before it are done,
// and lets blocks of the next kernel start, which wait here in turn.
PTX void takeTurn() {
#if __CUDA_ARCH__ >= 900
  asm volatile("griddepcontrol.wait;\ngriddepcontrol.launch_dependents;" ::: "memory");
#endif
}

#undef PTX

}  // namespace ptx
#endif
