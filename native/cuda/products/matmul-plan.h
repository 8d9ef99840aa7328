// Which kernel, tile and split a matrix product gets: a model of its time in clock cycles, the same on every machine.
#pragma once
#include <cstdint>

namespace cuda {

enum class MatmulKernel : uint8_t { vectors, floats, tiles, hopper };

struct MatmulPlan {
  MatmulKernel kernel = MatmulKernel::floats;
  int tileM = 64, tileN = 64;  // tileM: also the rows of a matrix-vector product in groups
  int splits = 1;              // parts of K, summed by a second kernel
  int warps = 1;               // that share a column's K (vectors)
  int cluster = 1;             // blocks that share one operand's tiles (hopper)
};

struct MatmulShape {
  int64_t M = 0, N = 0, K = 0, batch = 1;
  int bytesA = 4, bytesB = 4, bytesOut = 4;  // per element
  bool tensor = false;                       // both operands have the same 16-bit format
  bool streams = false;  // a is contiguous along K and b along either axis: a matrix-vector kernel can read them
  bool alongK = false;   // b is contiguous along K
  bool hopper = false;   // the operands lie as TMA takes them
  int64_t groups = 0;    // that share out M rows by chance, each with a b of its own; 0: there are none
  bool whole = false;    // K is not split
};

struct MatmulMachine {
  int capability = 80;     // major · 10 + minor
  bool hopper = false;     // its wgmma kernels can run
  int processors = 1;      // streaming multiprocessors
  double memoryRate = 13;  // bytes per cycle and processor
};

MatmulPlan planMatmul(const MatmulShape& shape, const MatmulMachine& machine);

}  // namespace cuda
