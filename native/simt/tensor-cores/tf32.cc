// The warp's product of tf32 numbers: layouts as in native/cuda/tools/tf32.cuh. The last lane to arrive does the work of all 32.
#include "../tf32.h"
#include "matrix.h"

namespace simt {
namespace {

struct Arguments {
  float* d;
  const uint32_t *a, *b;
};

// What the tensor core reads of a register: the bits beyond tf32's are left out.
float numberOf(uint32_t bits) {
  bits &= ~0x1fffu;
  float value;
  std::memcpy(&value, &bits, sizeof value);
  return value;
}

void complete(void* const* arguments, uint32_t) {
  float a[16][8], b[8][8];
  const auto of = [&](int lane) -> const Arguments& { return *static_cast<const Arguments*>(arguments[lane]); };
  for (int lane = 0; lane < 32; lane++) {
    const int g = lane / 4, q = lane % 4;
    for (int i = 0; i < 4; i++) a[g + 8 * (i & 1)][q + 4 * (i >> 1)] = numberOf(of(lane).a[i]);
    for (int i = 0; i < 2; i++) b[q + 4 * i][g] = numberOf(of(lane).b[i]);
  }
  for (int lane = 0; lane < 32; lane++) {
    const int g = lane / 4, q = lane % 4;
    for (int i = 0; i < 4; i++) {
      float sum = 0;
      for (int k = 0; k < 8; k++) sum += a[g + 8 * (i >> 1)][k] * b[k][2 * q + (i & 1)];
      of(lane).d[i] += sum;
    }
  }
}

}  // namespace

void multiplyTf32(float* d, const uint32_t* a, const uint32_t* b) {
  Arguments arguments{d, a, b};
  meet("mma.tf32", ~0u, &arguments, complete, true);
}

}  // namespace simt
