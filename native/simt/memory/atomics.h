// Atomic operations on global and shared memory, and loads and stores with cache hints.
#pragma once
#include <cstdint>
#include <type_traits>

namespace simt {

// The operand's type follows from the address alone, as in CUDA's overloads.
template <class T>
using Operand = std::type_identity_t<T>;

// Replaces *at by change(*at); returns what was there. Compares bits, so that a NaN does not turn forever.
template <class T, class Change>
T atomically(T* at, Change change) {
  using Bits = std::conditional_t<sizeof(T) == 8, uint64_t, std::conditional_t<sizeof(T) == 4, uint32_t, uint16_t>>;
  Bits* bits = reinterpret_cast<Bits*>(at);
  Bits before = __atomic_load_n(bits, __ATOMIC_RELAXED);
  for (;;) {
    const T old = __builtin_bit_cast(T, before);
    if (__atomic_compare_exchange_n(bits, &before, __builtin_bit_cast(Bits, T(change(old))), true, __ATOMIC_SEQ_CST,
                                    __ATOMIC_RELAXED))
      return old;
  }
}

}  // namespace simt

template <class T>
T atomicAdd(T* at, simt::Operand<T> value) {
  return simt::atomically(at, [=](T old) { return old + value; });
}
template <class T>
T atomicSub(T* at, simt::Operand<T> value) {
  return simt::atomically(at, [=](T old) { return old - value; });
}
template <class T>
T atomicMax(T* at, simt::Operand<T> value) {
  return simt::atomically(at, [=](T old) { return old < value ? value : old; });
}
template <class T>
T atomicMin(T* at, simt::Operand<T> value) {
  return simt::atomically(at, [=](T old) { return value < old ? value : old; });
}
template <class T>
T atomicExch(T* at, simt::Operand<T> value) {
  return simt::atomically(at, [=](T) { return value; });
}
template <class T>
T atomicAnd(T* at, simt::Operand<T> value) {
  return simt::atomically(at, [=](T old) { return old & value; });
}
template <class T>
T atomicOr(T* at, simt::Operand<T> value) {
  return simt::atomically(at, [=](T old) { return old | value; });
}
template <class T>
T atomicXor(T* at, simt::Operand<T> value) {
  return simt::atomically(at, [=](T old) { return old ^ value; });
}
template <class T>
T atomicCAS(T* at, simt::Operand<T> expected, simt::Operand<T> value) {
  return simt::atomically(at, [=](T old) { return old == expected ? value : old; });
}
// Counts up to `last`, then starts again at 0.
inline unsigned atomicInc(unsigned* at, unsigned last) {
  return simt::atomically(at, [=](unsigned old) { return old >= last ? 0 : old + 1; });
}

inline void __threadfence() { __atomic_thread_fence(__ATOMIC_SEQ_CST); }
inline void __threadfence_block() {}
inline void __threadfence_system() { __threadfence(); }

template <class T>
T __ldg(const T* from) {
  return *from;
}
template <class T>
T __ldca(const T* from) {
  return *from;
}
template <class T>
T __ldcg(const T* from) {
  return *from;
}
template <class T>
T __ldcs(const T* from) {
  return *from;
}
template <class T>
T __ldlu(const T* from) {
  return *from;
}
template <class T>
void __stcg(T* to, simt::Operand<T> value) {
  *to = value;
}
template <class T>
void __stcs(T* to, simt::Operand<T> value) {
  *to = value;
}
template <class T>
void __stwt(T* to, simt::Operand<T> value) {
  *to = value;
}
