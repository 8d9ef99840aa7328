// Plain loads and stores of kernels. g++ compiles the kernels with -fsanitize=thread, which calls a function before each
// access, and these are the functions: not ThreadSanitizer, but the software GPU's own watch over shared memory.
#include <cstdlib>
#include <cstring>
#include "memory.h"
#include "shared.h"

namespace {

// HELVETIA_SIMT_WATCH=off leaves this watch out: it makes whole models several times slower.
bool isWatching() {
  const char* watch = std::getenv("HELVETIA_SIMT_WATCH");
  return !watch || std::strcmp(watch, "off") != 0;
}
const bool watching = isWatching();

inline void touch(const void* at, size_t count, bool writes) {
  if (!watching) return;
  simt::Thread* me = simt::current;
  if (!me) return;
  if (me->awaitsTurn && simt::isDeviceMemory(at)) simt::touchGlobal("a plain access");
  me->block->shared->trackPlain(at, uint32_t(count), writes);
}

template <class T, class Change>
T change(volatile T* at, Change what) {
  T before = __atomic_load_n(at, __ATOMIC_SEQ_CST);
  while (!__atomic_compare_exchange_n(at, &before, what(before), true, __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST)) {}
  return before;
}

}  // namespace

#define ACCESSES(bytes)                                                    \
  void __tsan_read##bytes(void* at) { touch(at, bytes, false); }           \
  void __tsan_write##bytes(void* at) { touch(at, bytes, true); }           \
  void __tsan_unaligned_read##bytes(void* at) { touch(at, bytes, false); } \
  void __tsan_unaligned_write##bytes(void* at) { touch(at, bytes, true); }

// Atomic operations never race, so they are carried out without a check.
#define ATOMICS(bits, T)                                                                                            \
  T __tsan_atomic##bits##_load(const volatile T* at, int) { return __atomic_load_n(at, __ATOMIC_SEQ_CST); }         \
  void __tsan_atomic##bits##_store(volatile T* at, T value, int) { __atomic_store_n(at, value, __ATOMIC_SEQ_CST); } \
  T __tsan_atomic##bits##_exchange(volatile T* at, T value, int) {                                                  \
    return __atomic_exchange_n(at, value, __ATOMIC_SEQ_CST);                                                        \
  }                                                                                                                 \
  T __tsan_atomic##bits##_fetch_add(volatile T* at, T value, int) {                                                 \
    return change(at, [=](T x) { return T(x + value); });                                                           \
  }                                                                                                                 \
  T __tsan_atomic##bits##_fetch_sub(volatile T* at, T value, int) {                                                 \
    return change(at, [=](T x) { return T(x - value); });                                                           \
  }                                                                                                                 \
  T __tsan_atomic##bits##_fetch_and(volatile T* at, T value, int) {                                                 \
    return change(at, [=](T x) { return T(x & value); });                                                           \
  }                                                                                                                 \
  T __tsan_atomic##bits##_fetch_or(volatile T* at, T value, int) {                                                  \
    return change(at, [=](T x) { return T(x | value); });                                                           \
  }                                                                                                                 \
  T __tsan_atomic##bits##_fetch_xor(volatile T* at, T value, int) {                                                 \
    return change(at, [=](T x) { return T(x ^ value); });                                                           \
  }                                                                                                                 \
  bool __tsan_atomic##bits##_compare_exchange_strong(volatile T* at, T* expected, T value, int, int) {              \
    return __atomic_compare_exchange_n(at, expected, value, false, __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST);             \
  }                                                                                                                 \
  bool __tsan_atomic##bits##_compare_exchange_weak(volatile T* at, T* expected, T value, int, int) {                \
    return __atomic_compare_exchange_n(at, expected, value, true, __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST);              \
  }

extern "C" {
void __tsan_init() {}
void __tsan_func_entry(void*) {}
void __tsan_func_exit() {}
void __tsan_vptr_update(void**, void*) {}
void __tsan_vptr_read(void**) {}
void __tsan_atomic_thread_fence(int) { __atomic_thread_fence(__ATOMIC_SEQ_CST); }
void __tsan_atomic_signal_fence(int) {}
void __tsan_read_range(void* at, size_t count) { touch(at, count, false); }
void __tsan_write_range(void* at, size_t count) { touch(at, count, true); }
ACCESSES(1)
ACCESSES(2)
ACCESSES(4)
ACCESSES(8)
ACCESSES(16)
ATOMICS(8, uint8_t)
ATOMICS(16, uint16_t)
ATOMICS(32, uint32_t)
ATOMICS(64, uint64_t)
}
