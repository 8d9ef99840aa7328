// What a thread has issued and not yet waited for: copies by cp.async, stores by the TMA unit, products by wgmma.
// All of it is carried out at the thread's wait, the latest that is legal.
#pragma once
#include <cstdint>
#include <vector>
#include "../blocks/block.h"
#include "../hopper.h"
#include "tensor-map.h"

namespace simt {

struct Copy {
  char* to;
  const void* from;
  uint32_t bytes;  // of 16; the rest becomes zero
};

struct Store {
  TensorMap map;
  uint32_t from;
  int at[3];
  bool adds;
  bool read = false;        // shared memory may be written again
  std::vector<char> bytes;  // the box, as it was when the store was issued
};

// Accumulators of one thread. While products write them they are poisoned where the kernel sees them, and true here.
struct Accumulators {
  float* seen;
  std::vector<float> values;
  int pending = 0;  // products under way
};

struct Product {
  ProductShape shape;
  uint64_t a, b;  // descriptors
  bool aInRegisters, accumulate;
  uint32_t registers[4];
  size_t accumulators;  // index
};

// Work by groups: what has been issued since the last commit, and where each committed group ends.
template <class T>
struct Groups {
  std::vector<T> items;
  std::vector<size_t> ends;

  void commit() { ends.push_back(items.size()); }
  // How many items the groups hold that are older than the `newest` ones.
  size_t before(size_t newest) const { return ends.size() > newest ? ends[ends.size() - newest - 1] : 0; }
  void drop(size_t count, size_t newest) {
    items.erase(items.begin(), items.begin() + std::ptrdiff_t(count));
    if (ends.size() > newest) ends.erase(ends.begin(), ends.end() - std::ptrdiff_t(newest));
    for (size_t& end : ends) end -= count;
  }
  void clear() {
    items.clear();
    ends.clear();
  }
};

struct Asynchronous {
  Groups<Copy> copies;
  Groups<Store> stores;
  Groups<Product> products;
  std::vector<Accumulators> accumulators;
  bool productsFenced = false;  // wgmma.fence since the last commit
  unsigned newestProducts = 0;  // groups that may stay under way after the wait that the thread is in

  void clear() {
    copies.clear();
    stores.clear();
    products.clear();
    accumulators.clear();
    productsFenced = false;
  }
};

Asynchronous& asynchronous();  // of the current thread
void dropAsynchronous(Group& group);
// Completes the pending work of a returned thread, and reports work that the thread had to wait for.
void finishAsynchronous(Thread& thread);

}  // namespace simt
