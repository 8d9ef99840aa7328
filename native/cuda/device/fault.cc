// The sentences of faults, in the words of the CPU's kernels.
#include "fault.cuh"

namespace cuda {
namespace {

std::string sentence(const Faults& faults, Faults::Kind kind) {
  const unsigned long long first = ~faults.first[kind];
  const std::string place = std::to_string(first >> 32), number = std::to_string(int32_t(uint32_t(first)));
  const std::string limit = std::to_string(faults.limit[kind]), axis = std::to_string(faults.axis[kind]);
  const std::string index =
      "index " + number + " (element " + place + ") is outside axis " + axis + " of size " + limit;
  const std::string id = "id " + number + " (element " + place + ") is outside the table of " + limit + " rows";
  const std::string target = "target " + number + " at " + place + " is beyond a vocabulary of " + limit;
  const std::string boundary =
      "boundaries must rise from 0 to at most " + limit + " tokens, got " + number + " at " + place;
  const std::string sequence = "pagedAttention: sequence " + place;
  const std::string group = "group " + place + " has the rows " + axis + " to " + number;
  const std::string rows =
      "the groups have the rows " + axis + " to " + number + ", not all from " + place + " to " + limit;
  const std::string state = "sequence " + place + " names place " + number + " of " + limit;
  switch (kind) {
    case Faults::gatherIndex: return "gather: " + index;
    case Faults::scatterIndex: return "scatterAdd: " + index;
    case Faults::embeddingId: return "embedding: " + id;
    case Faults::embeddingBackwardId: return "embeddingBackward: " + id;
    case Faults::penalizeToken:
      return "penalize: token " + number + " of row " + place + " is outside the logits' " + limit + " columns";
    case Faults::lossTarget: return "linearCrossEntropy: " + target;
    case Faults::lossBackwardTarget: return "linearCrossEntropyBackward: " + target;
    case Faults::attentionBoundary: return "attention: " + boundary;
    case Faults::attentionBackwardBoundary: return "attentionBackward: " + boundary;
    case Faults::convBoundary: return "causalConv: " + boundary;
    case Faults::convBackwardBoundary: return "causalConvBackward: " + boundary;
    case Faults::convPlace: return "causalConv: " + state;
    case Faults::deltaBoundary: return "gatedDelta: " + boundary;
    case Faults::deltaBackwardBoundary: return "gatedDeltaBackward: " + boundary;
    case Faults::deltaPlace: return "gatedDelta: " + state;
    case Faults::pagedAppendSlot: return "pagedAppend: slot " + number + " of a cache of " + limit;
    case Faults::pagedBoundary: return "pagedAttention: " + boundary;
    case Faults::pagedTokens: return sequence + " has " + limit + " new tokens and a length of " + number;
    case Faults::pagedLength: return sequence + " has " + number + " keys, its block table room for " + limit;
    case Faults::pagedBlock: return sequence + " names block " + number + " of a cache of " + limit;
    case Faults::loraRow: return "loraGrouped: row " + number + " of a batch of " + limit;
    case Faults::expertId: return "sortByExpert: expert " + number + " (choice " + place + ") of " + limit;
    case Faults::expertRow: return "combineExperts: choice " + place + " has row " + number + " of " + limit;
    case Faults::groupedSegment: return "groupedMatmul: " + group;
    case Faults::groupedRows: return "groupedMatmul: " + rows;
    case Faults::groupedOuterSegment: return "groupedOuter: " + group;
    case Faults::groupedOuterRows: return "groupedOuter: " + rows;
    default: return "loraGrouped: slot " + place + " has the rows " + axis + " to " + number + " of " + limit;
  }
}

}  // namespace

std::string takeFault(Faults& faults) {
  std::string found;
  for (int kind = 0; kind < Faults::kinds; kind++) {
    if (!faults.first[kind]) continue;
    if (found.empty()) found = sentence(faults, Faults::Kind(kind));
    faults.first[kind] = 0;  // alone: kernels of later calls may be noting faults of other kinds
  }
  return found;
}

}  // namespace cuda
