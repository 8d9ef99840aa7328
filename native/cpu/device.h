// The CPU as a device: a thread pool and scratch memory.
//
// One pool serves the whole process. A parallel loop runs on the calling thread and the pool's workers; loops of several
// queues take turns.
#pragma once
#include <cstddef>
#include <cstdint>
#include <type_traits>

namespace cpu {

struct Device {
  int threads = 1;  // the calling thread included

  // Runs body(i, thread) for every i in [0, count). `thread` is in [0, threads) and no two calls that run at the same
  // time share it. Which thread runs which i is not fixed, so results must not depend on it.
  template <class Body>
  void parallelFor(int64_t count, Body&& body) const {
    using Plain = std::remove_reference_t<Body>;
    run(
        count, [](void* body, int64_t i, int thread) { (*static_cast<Plain*>(body))(i, thread); }, (void*)&body);
  }

  // The same over ranges: body(begin, end, thread), each of at least `grain` items but for the last.
  template <class Body>
  void parallelRanges(int64_t count, int64_t grain, Body&& body) const {
    const int64_t most = int64_t(threads) * 4;  // a few ranges each, so that a late thread costs little
    int64_t length = (count + most - 1) / most;
    if (length < grain) length = grain;
    parallelFor((count + length - 1) / length, [&](int64_t i, int thread) {
      const int64_t begin = i * length;
      body(begin, begin + length < count ? begin + length : count, thread);
    });
  }

 private:
  void run(int64_t count, void (*body)(void*, int64_t, int), void* state) const;
};

// The process's device, made at the first call. HELVETIA_THREADS sets the number of threads.
Device& device();

// Uninitialised memory from the pool, aligned to 64 bytes, for the time of one kernel.
template <class T>
class Scratch;

void* takeScratch(size_t bytes);
void giveScratch(void* bytes, size_t size);

template <class T>
class Scratch {
 public:
  explicit Scratch(int64_t count) : size_(size_t(count) * sizeof(T)), data_(static_cast<T*>(takeScratch(size_))) {}
  ~Scratch() { giveScratch(data_, size_); }
  Scratch(const Scratch&) = delete;
  T* data() const { return data_; }
  operator T*() const { return data_; }

 private:
  size_t size_;
  T* data_;
};

}  // namespace cpu
