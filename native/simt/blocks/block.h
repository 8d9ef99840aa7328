// Blocks, warps and threads, and the order in which they run.
//
// The blocks of a cluster (or one block) are a Group: one OS thread runs it from start to end and switches between its
// fibers. A thread runs until it has to wait. Then the next lane of its warp runs, so lanes arrive at a warp operation
// one after the other. Which warp is next is the policy's choice:
//   robin    each in turn, lanes upwards
//   greedy   one until all its lanes wait, lanes downwards
//   random   any, for a few turns, lanes in any order
#pragma once
#include <functional>
#include <memory>
#include <string>
#include <vector>
#include "../vectors.h"
#include "clocks.h"
#include "fiber.h"

namespace simt {

struct Block;
struct Group;
struct Warp;
struct Asynchronous;

enum class Policy { robin, greedy, random };

struct Settings {
  Policy policy = Policy::robin;
  uint32_t seed = 0;
  int capability = 90;  // of the simulated GPU: 80, 86, 89, 90, 120 …
  int devices = 1;
  size_t memory = 0;  // bytes of each device, 0 for no limit
  int registers = 0;  // that a kernel's threads start with, 0 for as many as fit
};
Settings& settings();  // from the environment at first

// What a waiting thread waits for, for the report of a deadlock.
struct Wait {
  const char* what = nullptr;
  uint32_t id = 0, detail = 0;
};

struct Thread {
  uint3 index{};
  Block* block = nullptr;
  Warp* warp = nullptr;
  unsigned number = 0, lane = 0;  // in the block, in the warp
  Stack* stack = nullptr;         // null before it first ran and after it returned
  void* argument = nullptr;       // of the warp operation it waits in
  Wait wait;
  bool fenced = false;      // has called fence.proxy.async since its last publication
  bool awaitsTurn = false;  // of a dependent launch, before takeTurn()
  Asynchronous* asynchronous = nullptr;
};

// Lanes that have come to one warp operation and wait for the others.
struct Meeting {
  const char* operation;
  uint32_t mask, arrived;
  void (*complete)(void* const* arguments, uint32_t present);
};

struct Warp {
  Block* block = nullptr;
  Thread* lanes = nullptr;
  unsigned number = 0;     // in the block
  unsigned place = 0;      // in the group: its index in vector clocks
  uint32_t live = 0;       // lanes that have not returned
  uint32_t ready = 0;      // live lanes that could run
  uint32_t turn = 0;       // ready lanes that still run in this turn
  uint32_t fresh = 0;      // lanes that have not started
  unsigned registers = 0;  // of each lane, as setmaxnreg left them; 0 before it
  Clock clock;
  std::vector<Meeting> meetings;

  void release(Clock& to) {
    to.join(clock);
    clock.ticks[place]++;
  }
};

struct Barrier {
  uint32_t expected = 0, arrived = 0;  // threads
  uint32_t votes = 0, result = 0;      // __syncthreads_count and its like
  std::vector<Thread*> waiting;
  Clock clock;

  void reset() {
    expected = arrived = votes = 0;
    waiting.clear();
    clock.ticks.clear();
  }
};

// A thread that waits for the phase of an mbarrier.
struct PhaseWait {
  Thread* thread;
  uint32_t address, parity;
};

class Shared;
struct Phases;

struct Block {
  Group* group = nullptr;
  uint3 index{};
  unsigned rank = 0;  // in the cluster
  unsigned live = 0;  // threads
  std::vector<Thread> threads;
  std::vector<Warp> warps;
  Barrier barriers[16];
  std::vector<Barrier> warpgroups;  // where threads wait for wgmma
  std::vector<Phases> phases;
  std::vector<PhaseWait> phaseWaits;
  std::unique_ptr<Shared> shared;
};

// The program of a launch, the same for all its groups.
struct Launch {
  dim3 blocks, threads;
  size_t shared = 0;
  unsigned cluster = 1;
  bool overlaps = false;
  const std::function<void()>* body = nullptr;
};

struct Transfer {
  std::function<void()> run;
  Thread* issuer;
};

struct Group {
  Group();
  ~Group();
  Group(const Group&) = delete;
  // Runs the blocks `first` to `first + cluster - 1`. Returns what went wrong, or "".
  std::string run(const Launch& launch, uint64_t first);

  const Launch* launch = nullptr;
  std::vector<Block> blocks;
  std::vector<Warp*> warps;
  Barrier cluster;
  std::vector<Transfer> transfers;                          // asynchronous copies of the TMA unit under way
  std::vector<std::unique_ptr<Asynchronous>> asynchronous;  // of threads, by order of first use
  size_t asynchronousInUse = 0;
  std::string failure;
  Policy policy = Policy::robin;
  void* scheduler = nullptr;  // where run() is suspended while threads run

  void fail(const Thread& thread, const std::string& what);  // the first failure stays
  uint32_t chance(uint32_t below);                           // a random number, the same for the same seed and blocks

 private:
  void prepare(uint64_t first);
  Warp* choose();
  bool completeTransfer();
  void turn(Warp& warp);
  void abandon();
  size_t last_ = 0;     // the warp that ran last
  unsigned burst_ = 0;  // turns that it still gets
  uint64_t random_ = 1;
};

// The thread that is running on this OS thread, null outside of kernels.
#ifdef __linux__
extern constinit thread_local Thread* current __attribute__((tls_model("initial-exec")));
#else
extern constinit thread_local Thread* current;
#endif

// Gives up the OS thread until another wakes this one.
void sleep(const Wait& wait);
inline void wake(Thread& thread) { thread.warp->ready |= 1u << thread.lane; }
// Lets others run.
void yield();

// Ends the launch with this sentence, to which the block and the thread are added.
[[noreturn]] void fault(const std::string& what);

// Ends the launch where this thread touches global memory before takeTurn().
void touchGlobal(const char* operation);

// Counts a thread's arrival; wakes the waiting threads and starts over.
void arriveAt(Barrier& barrier, Thread& thread);
void open(Barrier& barrier);

// bar.sync and bar.arrive; `threads` 0 stands for all of the block. Returns the result of the votes.
uint32_t barrierWait(unsigned id, unsigned threads, uint32_t vote, bool sleeps);
void clusterWait();
// Completes what only waited for a thread that has returned.
void threadReturned(Thread& thread);

}  // namespace simt

#define threadIdx (::simt::current->index)
#define blockIdx (::simt::current->block->index)
#define blockDim (::simt::current->block->group->launch->threads)
#define gridDim (::simt::current->block->group->launch->blocks)
constexpr int warpSize = 32;
