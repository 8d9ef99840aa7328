// Warp operations: shuffles, votes, reductions.
//
// Each lane leaves a pointer to its operands, on its own stack, and waits. The lane that comes last carries the operation
// out for all of them.
#pragma once
#include <type_traits>
#include "block.h"

namespace simt {

using Complete = void (*)(void* const* arguments, uint32_t present);  // arguments by lane; `present` lanes have one

// Waits for the other lanes in `mask`. Lanes that returned from the kernel count as arrived unless the operation is
// `aligned`: then all 32 lanes must come. Reports lanes that meet in different operations or with different masks.
void meet(const char* operation, uint32_t mask, void* argument, Complete complete, bool aligned = false);
// Completes the meetings of a warp of which a lane has returned.
void meetingsAfterReturn(Warp& warp);

enum class Shuffle { index, up, down, exclusive };

template <class T>
struct ShuffleArguments {
  T value;
  int from;
};

template <class T>
void completeShuffle(void* const* arguments, uint32_t present) {
  T values[32];
  for (int i = 0; i < 32; i++) {
    if (present >> i & 1) values[i] = static_cast<ShuffleArguments<T>*>(arguments[i])->value;
    else __builtin_memset(&values[i], 0xff, sizeof(T));  // a lane that returned gives no value: NaN shows its use
  }
  for (uint32_t rest = present; rest; rest &= rest - 1) {
    auto* lane = static_cast<ShuffleArguments<T>*>(arguments[__builtin_ctz(rest)]);
    lane->value = values[lane->from];
  }
}

template <class T>
T shuffle(const char* operation, uint32_t mask, T value, int from) {
  static_assert(sizeof(T) == 4 || sizeof(T) == 8, "shuffles move 4 or 8 bytes");
  if (!(mask >> from & 1))
    fault(std::string(operation) + " reads lane " + std::to_string(from) + ", which is not in its mask");
  ShuffleArguments<T> arguments{value, from};
  meet(operation, mask, &arguments, completeShuffle<T>);
  return arguments.value;
}

// The lane that a shuffle of `kind` reads; its own where the other lies outside of the segment of `width` lanes.
inline int shuffleSource(Shuffle kind, int lane, int by, int width) {
  const int first = lane & ~(width - 1);
  switch (kind) {
    case Shuffle::index: return first | (by & (width - 1));
    case Shuffle::up: return lane - by < first ? lane : lane - by;
    case Shuffle::down: return lane + by >= first + width ? lane : lane + by;
    case Shuffle::exclusive: return (lane ^ by) >= first + width ? lane : lane ^ by;
  }
  return lane;
}

template <class T>
struct VoteArguments {
  T value;
  uint32_t result;
};

template <class T>
void completeVote(void* const* arguments, uint32_t present) {
  uint32_t ballot = 0;
  for (uint32_t rest = present; rest; rest &= rest - 1) {
    const int lane = __builtin_ctz(rest);
    if (static_cast<VoteArguments<T>*>(arguments[lane])->value) ballot |= 1u << lane;
  }
  for (uint32_t rest = present; rest; rest &= rest - 1)
    static_cast<VoteArguments<T>*>(arguments[__builtin_ctz(rest)])->result = ballot;
}

template <class T>
void completeMatch(void* const* arguments, uint32_t present) {
  for (uint32_t mine = present; mine; mine &= mine - 1) {
    auto* lane = static_cast<VoteArguments<T>*>(arguments[__builtin_ctz(mine)]);
    lane->result = 0;
    for (uint32_t rest = present; rest; rest &= rest - 1)
      if (static_cast<VoteArguments<T>*>(arguments[__builtin_ctz(rest)])->value == lane->value)
        lane->result |= 1u << __builtin_ctz(rest);
  }
}

template <class T, class Join>
void completeReduce(void* const* arguments, uint32_t present) {
  T total = *static_cast<T*>(arguments[__builtin_ctz(present)]);
  for (uint32_t rest = present & (present - 1); rest; rest &= rest - 1)
    total = Join()(total, *static_cast<T*>(arguments[__builtin_ctz(rest)]));
  for (uint32_t rest = present; rest; rest &= rest - 1) *static_cast<T*>(arguments[__builtin_ctz(rest)]) = total;
}

template <class Join, class T>
T reduceLanes(const char* operation, uint32_t mask, T value) {
  meet(operation, mask, &value, completeReduce<T, Join>);
  return value;
}

inline uint32_t ballot(const char* operation, uint32_t mask, bool predicate) {
  VoteArguments<bool> arguments{predicate, 0};
  meet(operation, mask, &arguments, completeVote<bool>);
  return arguments.result;
}

struct Plus {
  template <class T>
  T operator()(T a, T b) const {
    return a + b;
  }
};
struct Least {
  template <class T>
  T operator()(T a, T b) const {
    return b < a ? b : a;
  }
};
struct Most {
  template <class T>
  T operator()(T a, T b) const {
    return a < b ? b : a;
  }
};
struct Both {
  template <class T>
  T operator()(T a, T b) const {
    return a & b;
  }
};
struct Either {
  template <class T>
  T operator()(T a, T b) const {
    return a | b;
  }
};
struct Differ {
  template <class T>
  T operator()(T a, T b) const {
    return a ^ b;
  }
};

}  // namespace simt

#define SIMT_SHUFFLE(name, kind)                                                                         \
  template <class T>                                                                                     \
  T name(unsigned mask, T value, int by, int width = 32) {                                               \
    return simt::shuffle(#name, mask, value,                                                             \
                         simt::shuffleSource(simt::Shuffle::kind, int(simt::current->lane), by, width)); \
  }
SIMT_SHUFFLE(__shfl_sync, index)
SIMT_SHUFFLE(__shfl_up_sync, up)
SIMT_SHUFFLE(__shfl_down_sync, down)
SIMT_SHUFFLE(__shfl_xor_sync, exclusive)
#undef SIMT_SHUFFLE

inline void __syncwarp(unsigned mask = 0xffffffffu) {
  simt::meet("__syncwarp", mask, nullptr, [](void* const*, uint32_t) {});
}
inline unsigned __ballot_sync(unsigned mask, int predicate) {
  return simt::ballot("__ballot_sync", mask, predicate != 0);
}
inline int __any_sync(unsigned mask, int predicate) { return simt::ballot("__any_sync", mask, predicate != 0) != 0; }
inline int __all_sync(unsigned mask, int predicate) { return simt::ballot("__all_sync", mask, predicate == 0) == 0; }
template <class T>
unsigned __match_any_sync(unsigned mask, T value) {
  simt::VoteArguments<T> arguments{value, 0};
  simt::meet("__match_any_sync", mask, &arguments, simt::completeMatch<T>);
  return arguments.result;
}

#define SIMT_REDUCE(name, Join)                               \
  template <class T>                                          \
  T name(unsigned mask, T value) {                            \
    return simt::reduceLanes<simt::Join>(#name, mask, value); \
  }
SIMT_REDUCE(__reduce_add_sync, Plus)
SIMT_REDUCE(__reduce_min_sync, Least)
SIMT_REDUCE(__reduce_max_sync, Most)
SIMT_REDUCE(__reduce_and_sync, Both)
SIMT_REDUCE(__reduce_or_sync, Either)
SIMT_REDUCE(__reduce_xor_sync, Differ)
#undef SIMT_REDUCE

// Barriers of the whole block. Threads that returned do not take part.
inline void __syncthreads() { simt::barrierWait(0, 0, 0, true); }
inline int __syncthreads_count(int predicate) { return int(simt::barrierWait(0, 0, predicate != 0, true)); }
inline int __syncthreads_or(int predicate) { return simt::barrierWait(0, 0, predicate != 0, true) != 0; }
inline int __syncthreads_and(int predicate) { return simt::barrierWait(0, 0, predicate == 0, true) == 0; }
