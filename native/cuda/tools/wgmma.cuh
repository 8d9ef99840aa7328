// Hopper's matrix product of a warpgroup: d [64, N] (+)= a [64, 16] x b [16, N], T = bf16 or f16, sums f32.
//
// Operands are tiles in shared memory that descriptors point at; a may also come from registers. Thread t of the group,
// w = t / 32, g = t % 32 / 4, q = t % 4:
//   d[i]  row 16 w + g + 8 (i / 2 % 2), column 8 (i / 4) + 2 q + i % 2
//   a[i]  row 16 w + g + 8 (i % 2), k = 2 q + 8 (i / 2) and the next
// Tiles have rows of 128 bytes with the 128-byte swizzle, in atoms of 8 rows (1024 bytes):
//   along K    row = index along M or N, 64 of k; stride bytes 1024; 16 of k further is 32 bytes further
//   otherwise  row = k, 64 along M or N (transposed); leading bytes = distance to the next 64, stride bytes 1024; 16 of k
//              further is 2048 bytes further
// Between wgmmaFence and wgmmaWait nothing else may touch d.
#pragma once
#include "hopper.cuh"

#if defined(HOPPER) && !defined(HELVETIA_SIMT)

namespace ptx {

#define PTX __device__ __forceinline__

enum class Swizzle { none = 0, b128 = 1, b64 = 2, b32 = 3 };

PTX uint64_t matrixDescriptor(uint32_t address, uint32_t leadingBytes, uint32_t strideBytes, Swizzle swizzle) {
  return uint64_t(address >> 4 & 0x3fff) | uint64_t(leadingBytes >> 4 & 0x3fff) << 16 |
         uint64_t(strideBytes >> 4 & 0x3fff) << 32 | uint64_t(swizzle) << 62;
}

// clang-format off
#define SUMS4(i) "+f"(d[i]), "+f"(d[i + 1]), "+f"(d[i + 2]), "+f"(d[i + 3])
#define SUMS16(i) SUMS4(i), SUMS4(i + 4), SUMS4(i + 8), SUMS4(i + 12)
#define SUMS32 SUMS16(0), SUMS16(16)
#define SUMS64 SUMS32, SUMS16(32), SUMS16(48)
#define SUMS128 SUMS64, SUMS16(64), SUMS16(80), SUMS16(96), SUMS16(112)

#define NAMES32 \
  "%0, %1, %2, %3, %4, %5, %6, %7, %8, %9, %10, %11, %12, %13, %14, %15, " \
  "%16, %17, %18, %19, %20, %21, %22, %23, %24, %25, %26, %27, %28, %29, %30, %31"
#define NAMES64 \
  "%0, %1, %2, %3, %4, %5, %6, %7, %8, %9, %10, %11, %12, %13, %14, %15, " \
  "%16, %17, %18, %19, %20, %21, %22, %23, %24, %25, %26, %27, %28, %29, %30, %31, " \
  "%32, %33, %34, %35, %36, %37, %38, %39, %40, %41, %42, %43, %44, %45, %46, %47, " \
  "%48, %49, %50, %51, %52, %53, %54, %55, %56, %57, %58, %59, %60, %61, %62, %63"
#define NAMES128 \
  "%0, %1, %2, %3, %4, %5, %6, %7, %8, %9, %10, %11, %12, %13, %14, %15, " \
  "%16, %17, %18, %19, %20, %21, %22, %23, %24, %25, %26, %27, %28, %29, %30, %31, " \
  "%32, %33, %34, %35, %36, %37, %38, %39, %40, %41, %42, %43, %44, %45, %46, %47, " \
  "%48, %49, %50, %51, %52, %53, %54, %55, %56, %57, %58, %59, %60, %61, %62, %63, " \
  "%64, %65, %66, %67, %68, %69, %70, %71, %72, %73, %74, %75, %76, %77, %78, %79, " \
  "%80, %81, %82, %83, %84, %85, %86, %87, %88, %89, %90, %91, %92, %93, %94, %95, " \
  "%96, %97, %98, %99, %100, %101, %102, %103, %104, %105, %106, %107, %108, %109, %110, %111, " \
  "%112, %113, %114, %115, %116, %117, %118, %119, %120, %121, %122, %123, %124, %125, %126, %127"

// a0, b0, …: the numbers of the operands behind the sums.
#define WGMMA_SHARED(n, format, sums, a0, b0, p0, ta, tb)                                                              \
  asm volatile("{\n.reg .pred keep;\nsetp.ne.b32 keep, %" p0 ", 0;\n"                                                  \
               "wgmma.mma_async.sync.aligned.m64n" n "k16.f32." format "." format " {" NAMES##sums "}, %" a0 ", %" b0    \
               ", keep, 1, 1, %" ta ", %" tb ";\n}"                                                                   \
               : SUMS##sums : "l"(a), "l"(b), "r"(int(accumulate)), "n"(transposeA), "n"(transposeB))
#define WGMMA_REGISTERS(n, format, sums, a0, a1, a2, a3, b0, p0, tb)                                                   \
  asm volatile("{\n.reg .pred keep;\nsetp.ne.b32 keep, %" p0 ", 0;\n"                                                  \
               "wgmma.mma_async.sync.aligned.m64n" n "k16.f32." format "." format " {" NAMES##sums "}, {%" a0 ", %" a1   \
               ", %" a2 ", %" a3 "}, %" b0 ", keep, 1, 1, %" tb ";\n}"                                                \
               : SUMS##sums : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "l"(b), "r"(int(accumulate)), "n"(transposeB))
#define SHARED(n, sums, ...)                                                                                           \
  do {                                                                                                                 \
    if constexpr (isBf16<T>) WGMMA_SHARED(n, "bf16", sums, __VA_ARGS__);                                                \
    else WGMMA_SHARED(n, "f16", sums, __VA_ARGS__);                                                                    \
  } while (0)
#define REGISTERS(n, sums, ...)                                                                                        \
  do {                                                                                                                 \
    if constexpr (isBf16<T>) WGMMA_REGISTERS(n, "bf16", sums, __VA_ARGS__);                                             \
    else WGMMA_REGISTERS(n, "f16", sums, __VA_ARGS__);                                                                 \
  } while (0)
// clang-format on

template <class T>
constexpr bool isBf16 = false;
template <>
constexpr bool isBf16<bf16> = true;

// Both operands in shared memory.
template <class T, int N, bool transposeA, bool transposeB>
PTX void wgmma(float (&d)[N / 2], uint64_t a, uint64_t b, bool accumulate) {
  static_assert(N == 64 || N == 128 || N == 256);
  if constexpr (N == 64) SHARED("64", 32, "32", "33", "34", "35", "36");
  if constexpr (N == 128) SHARED("128", 64, "64", "65", "66", "67", "68");
  if constexpr (N == 256) SHARED("256", 128, "128", "129", "130", "131", "132");
}

// a in registers.
template <class T, int N, bool transposeB>
PTX void wgmma(float (&d)[N / 2], const uint32_t (&a)[4], uint64_t b, bool accumulate) {
  static_assert(N == 64 || N == 128 || N == 256);
  if constexpr (N == 64) REGISTERS("64", 32, "32", "33", "34", "35", "36", "37", "38");
  if constexpr (N == 128) REGISTERS("128", 64, "64", "65", "66", "67", "68", "69", "70");
  if constexpr (N == 256) REGISTERS("256", 128, "128", "129", "130", "131", "132", "133", "134");
}

#undef SHARED
#undef REGISTERS
#undef WGMMA_SHARED
#undef WGMMA_REGISTERS
#undef NAMES32
#undef NAMES64
#undef NAMES128
#undef SUMS4
#undef SUMS16
#undef SUMS32
#undef SUMS64
#undef SUMS128
#undef PTX

}  // namespace ptx
#endif
