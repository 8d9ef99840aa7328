// Matrix instructions of a warp: ldmatrix, stmatrix, mma.
//
// Lane l has g = l / 4 and q = l % 4; layouts as in native/cuda/tools/ptx.cuh. The last lane to arrive does
// the work of all 32.
#include <cstring>
#include "../ptx.h"
#include "matrix.h"

namespace simt {
namespace {

struct MatrixArguments {
  uint32_t* registers;
  uint32_t address;
};

// The addresses of the rows of the four matrices.
template <bool writes>
void findRows(const char* operation, void* const* arguments, char* (&rows)[32]) {
  Shared& shared = *current->block->shared;
  for (int lane = 0; lane < 32; lane++) {
    rows[lane] = shared.at(operation, static_cast<MatrixArguments*>(arguments[lane])->address, 16, 16);
    shared.track(operation, rows[lane], 16, writes);
  }
}

uint32_t* registersOf(void* const* arguments, int lane) {
  return static_cast<MatrixArguments*>(arguments[lane])->registers;
}

void completeLoad(void* const* arguments, uint32_t) {
  char* rows[32];
  findRows<false>("ldmatrix", arguments, rows);
  for (int m = 0; m < 4; m++)
    for (int lane = 0; lane < 32; lane++)
      std::memcpy(&registersOf(arguments, lane)[m], rows[8 * m + lane / 4] + 4 * (lane % 4), 4);
}

void completeLoadTransposed(void* const* arguments, uint32_t) {
  char* rows[32];
  findRows<false>("ldmatrix.trans", arguments, rows);
  for (int m = 0; m < 4; m++)
    for (int lane = 0; lane < 32; lane++) {
      uint16_t pair[2];
      for (int i = 0; i < 2; i++) std::memcpy(&pair[i], rows[8 * m + 2 * (lane % 4) + i] + 2 * (lane / 4), 2);
      registersOf(arguments, lane)[m] = uint32_t(pair[1]) << 16 | pair[0];
    }
}

void completeStore(void* const* arguments, uint32_t) {
  char* rows[32];
  findRows<true>("stmatrix", arguments, rows);
  for (int m = 0; m < 4; m++)
    for (int lane = 0; lane < 32; lane++)
      std::memcpy(rows[8 * m + lane / 4] + 4 * (lane % 4), &registersOf(arguments, lane)[m], 4);
}

void completeStoreTransposed(void* const* arguments, uint32_t) {
  char* rows[32];
  findRows<true>("stmatrix.trans", arguments, rows);
  for (int m = 0; m < 4; m++)
    for (int lane = 0; lane < 32; lane++)
      for (int i = 0; i < 2; i++) {
        const uint16_t element = uint16_t(registersOf(arguments, lane)[m] >> 16 * i);
        std::memcpy(rows[8 * m + 2 * (lane % 4) + i] + 2 * (lane / 4), &element, 2);
      }
}

struct FragmentArguments {
  float* d;
  const uint32_t *a, *b;
};

template <class T>
void completeMultiply(void* const* arguments, uint32_t) {
  float a[16][16];
  Eight b[16];
  for (int lane = 0; lane < 32; lane++) {
    const auto& mine = *static_cast<FragmentArguments*>(arguments[lane]);
    const int g = lane / 4, q = lane % 4;
    for (int i = 0; i < 4; i++) unpackPair<T>(mine.a[i], &a[g + 8 * (i & 1)][2 * q + 8 * (i >> 1)]);
    for (int i = 0; i < 2; i++) {
      float pair[2];
      unpackPair<T>(mine.b[i], pair);
      b[2 * q + 8 * i][g] = pair[0];
      b[2 * q + 8 * i + 1][g] = pair[1];
    }
  }
  for (int row = 0; row < 16; row++) {
    Eight sum{};
    for (int k = 0; k < 16; k++) sum += a[row][k] * b[k];
    for (int q = 0; q < 4; q++) {
      float* d = static_cast<FragmentArguments*>(arguments[4 * (row % 8) + q])->d + 2 * (row / 8);
      d[0] += sum[2 * q];
      d[1] += sum[2 * q + 1];
    }
  }
}

constexpr uint32_t wholeWarp = ~0u;

}  // namespace

void loadMatrices(uint32_t* registers, uint32_t address, bool transposed) {
  MatrixArguments arguments{registers, address};
  if (transposed) meet("ldmatrix.trans", wholeWarp, &arguments, completeLoadTransposed, true);
  else meet("ldmatrix", wholeWarp, &arguments, completeLoad, true);
}

void storeMatrices(const uint32_t* registers, uint32_t address, bool transposed) {
  MatrixArguments arguments{const_cast<uint32_t*>(registers), address};
  if (transposed) meet("stmatrix.trans", wholeWarp, &arguments, completeStoreTransposed, true);
  else meet("stmatrix", wholeWarp, &arguments, completeStore, true);
}

template <class T>
void multiplyFragments(float* d, const uint32_t* a, const uint32_t* b) {
  FragmentArguments arguments{d, a, b};
  meet("mma", wholeWarp, &arguments, completeMultiply<T>, true);
}
template void multiplyFragments<bf16>(float*, const uint32_t*, const uint32_t*);
template void multiplyFragments<f16>(float*, const uint32_t*, const uint32_t*);

}  // namespace simt
