// The tensor cores' product of f32 numbers that are rounded to tf32: f32's range with 10 bits of mantissa, which bf16 and f16
// fit into as they are.
#pragma once
#include "ptx.cuh"

#ifdef HELVETIA_SIMT
#include "../../simt/tf32.h"
#else

namespace ptx {

#define PTX __device__ __forceinline__

// The nearest number of tf32, of two the one farther from 0.
PTX uint32_t tf32(float x) {
  uint32_t bits;
  asm("cvt.rna.tf32.f32 %0, %1;" : "=r"(bits) : "f"(x));
  return bits;
}

// d [16, 8] += a [16, 8] · b [8, 8]. With g = lane / 4 and q = lane % 4: a[i] holds row g + 8 (i & 1), column q + 4 (i >> 1);
// b[i] row q + 4 i of column g; d[i] row g + 8 (i >> 1), column 2q + (i & 1).
PTX void mmaTf32(float (&d)[4], const uint32_t (&a)[4], const uint32_t (&b)[2]) {
  asm("mma.sync.aligned.m16n8k8.row.col.f32.tf32.tf32.f32 {%0,%1,%2,%3}, {%4,%5,%6,%7}, {%8,%9}, {%0,%1,%2,%3};"
      : "+f"(d[0]), "+f"(d[1]), "+f"(d[2]), "+f"(d[3])
      : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b[0]), "r"(b[1]));
}

#undef PTX

}  // namespace ptx
#endif
