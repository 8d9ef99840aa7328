// Fibers: stacks that the threads of a block run on, and the switch from one to another.
//
// A stack is taken by a thread when it first runs and goes back when the thread returns, so threads that never wait for
// each other all use the same one. Fibers never move to another OS thread.
#pragma once
#include <cstddef>
#include <vector>

namespace simt {

struct Stack {
  void* top = nullptr;    // where the suspended fiber's registers are
  char* bytes = nullptr;  // the mapping; its lowest pages are a guard
  char* end = nullptr;    // where an empty stack begins
};

// The stacks of one OS thread. A fiber that is idle here waits inside `entry`, which never returns.
class Stacks {
 public:
  explicit Stacks(void (*entry)()) : entry_(entry) {}
  ~Stacks();
  Stack* take();  // throws std::bad_alloc
  void give(Stack* stack) { idle_.push_back(stack); }
  void giveUp(Stack* stack);  // its frames are dropped without unwinding

  static constexpr size_t bytes = 256 * 1024, guard = 64 * 1024;  // guard: the largest page size in use

 private:
  void (*entry_)();
  std::vector<Stack*> all_, idle_;
};

}  // namespace simt

// Saves the callee-saved registers on the running stack, its top in *from, and continues where `to` was saved.
extern "C" void helvetiaSimtSwitch(void** from, void* to);
