// The instructions of native/cuda/tools/ptx.cuh on the software GPU.
#pragma once
#include <math.h>
#include <cstring>
#include "../formats.h"
#include "blocks/block.h"
#include "blocks/warp.h"
#include "memory/shared.h"

namespace simt {

void copyAsync(uint32_t to, const void* from, int bytes);
void commitCopies();
void waitCopies(unsigned newest);
void loadMatrices(uint32_t* registers, uint32_t address, bool transposed);
void storeMatrices(const uint32_t* registers, uint32_t address, bool transposed);
// The fragments of m16n8k16, T = bf16 or f16.
template <class T>
void multiplyFragments(float* d, const uint32_t* a, const uint32_t* b);

}  // namespace simt

namespace ptx {

inline char* sharedMemory() { return simt::current->block->shared->bytes(); }
inline uint32_t sharedAddress(const void* p) { return simt::current->block->shared->addressOf(p); }

inline int warpgroup() { return __shfl_sync(0xffffffffu, int(threadIdx.x) / 128, 0); }

// Results below the normal numbers become 0, as with .ftz.
inline float exp2(float x) {
  const float y = ::exp2f(x);
  return y < 1.17549435e-38f ? 0 : y;
}
inline uint32_t packBf16(float low, float high) { return uint32_t(bf16(high).bits) << 16 | bf16(low).bits; }
inline uint32_t packF16(float low, float high) { return uint32_t(f16(high).bits) << 16 | f16(low).bits; }
inline float floatOfF16(uint16_t bits) {
  f16 x;
  x.bits = bits;
  return float(x);
}

inline uint4 loadStreaming(const void* from) {
  simt::touchGlobal("loadStreaming");
  if (reinterpret_cast<uintptr_t>(from) % 16) simt::fault("loadStreaming: the address is not aligned to 16 bytes");
  uint4 v;
  std::memcpy(&v, from, sizeof v);
  return v;
}

inline void copyAsync(uint32_t to, const void* from, int bytes = 16) { simt::copyAsync(to, from, bytes); }
inline void commitCopies() { simt::commitCopies(); }
template <int N>
void waitCopies() {
  simt::waitCopies(N);
}

inline void loadMatrices(uint32_t (&r)[4], uint32_t address) { simt::loadMatrices(r, address, false); }
inline void loadMatricesTransposed(uint32_t (&r)[4], uint32_t address) { simt::loadMatrices(r, address, true); }
template <class T>
void mma(float (&d)[4], const uint32_t (&a)[4], const uint32_t (&b)[2]) {
  simt::multiplyFragments<T>(d, a, b);
}

inline void barrierSync(int id, int threads) { simt::barrierWait(unsigned(id), unsigned(threads), 0, true); }
inline void barrierArrive(int id, int threads) { simt::barrierWait(unsigned(id), unsigned(threads), 0, false); }

inline void takeTurn() { simt::current->awaitsTurn = false; }

}  // namespace ptx
