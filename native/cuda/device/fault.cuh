// Faults: what kernels find wrong with the numbers they were given (an index outside its axis, NaN among logits).
//
// A kernel cannot throw. It notes the fault in pinned memory, leaves the element out and goes on; the next wait for the
// device takes the note and fails with it. Of several faults of one kind, the one at the first place is kept.
#pragma once
#include <cuda_runtime.h>
#include <cstdint>
#include <string>

namespace cuda {

struct Faults {
  enum Kind {
    gatherIndex,
    scatterIndex,
    embeddingId,
    embeddingBackwardId,
    penalizeToken,
    lossTarget,
    lossBackwardTarget,
    attentionBoundary,
    attentionBackwardBoundary,
    convBoundary,
    convBackwardBoundary,
    convPlace,
    deltaBoundary,
    deltaBackwardBoundary,
    deltaPlace,
    pagedAppendSlot,
    pagedBoundary,
    pagedTokens,  // limit: the sequence's new tokens; number: its length
    pagedLength,
    pagedBlock,
    loraRow,
    loraSegment,  // axis: the segment's beginning; number: its end
    expertId,
    expertRow,
    groupedSegment,  // as loraSegment
    groupedRows,     // place to limit: the rows; axis to number: those that groups have
    groupedOuterSegment,
    groupedOuterRows,
    kinds
  };

  // The complement of place · 2^32 + the number found there; 0 is no fault.
  unsigned long long first[kinds] = {};
  long long limit[kinds] = {};
  int axis[kinds] = {};
};

// Forgets all faults and gives one as a sentence that begins with its kernel's name; "" where there is none. On the
// host, when the device has run what was queued.
std::string takeFault(Faults& faults);

#if defined(__CUDACC__) || defined(HELVETIA_SIMT)
// How a kernel notes faults of one kind. Pass it by value; made from device.faults.
struct FaultNote {
  Faults* faults;
  Faults::Kind kind;
  int64_t limit = 0;
  int axis = 0;

  __device__ void operator()(int64_t place, int32_t number = 0) const { (*this)(place, number, limit); }
  __device__ void operator()(int64_t place, int32_t number, int64_t limit) const {
    atomicMax(&faults->first[kind], ~((unsigned long long)(place) << 32 | uint32_t(number)));
    faults->limit[kind] = limit;
    faults->axis[kind] = axis;
  }
};
#endif

}  // namespace cuda
