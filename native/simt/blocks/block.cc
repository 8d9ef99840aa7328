// The scheduler: runs the blocks of a group by switching between the fibers of their threads.
#include "block.h"
#include <exception>
#include "../memory/asynchronous.h"
#include "../memory/phases.h"
#include "../memory/shared.h"
#include "report.h"
#include "trap.h"

namespace simt {

constinit thread_local Thread* current = nullptr;

namespace {

struct Fault {
  std::string what;
};
struct Abandoned {};  // thrown in sleeping threads when another one has failed

void runThreads();  // what a fiber does

Stacks& stacks() {
  static thread_local Stacks own(runThreads);
  return own;
}

// The next lane of the warp's turn becomes the current thread; null when none is left.
Thread* nextLane(Group& group, Warp& warp) {
  uint32_t rest = warp.turn & warp.ready;
  if (!rest) {
    warp.turn = 0;
    return current = nullptr;
  }
  if (group.policy == Policy::random)
    for (uint32_t skip = group.chance(unsigned(__builtin_popcount(rest))); skip > 0; skip--) rest &= rest - 1;
  const int lane = group.policy == Policy::greedy ? 31 - __builtin_clz(rest) : __builtin_ctz(rest);
  warp.turn &= ~(1u << lane);
  warp.fresh &= ~(1u << lane);
  current = &warp.lanes[lane];
  if (!current->stack) current->stack = stacks().take();
  return current;
}

void switchFrom(Stack& stack, Group& group, Thread* next) {
  helvetiaSimtSwitch(&stack.top, next ? next->stack->top : group.scheduler);
}

void retire(Thread& thread) {
  const uint32_t lane = 1u << thread.lane;
  if (!(thread.warp->live & lane)) return;
  thread.warp->live &= ~lane;
  thread.warp->ready &= ~lane;
  thread.block->live--;
}

void runBody(Thread& thread, Group& group) {
  try {
    (*group.launch->body)();
    if (thread.awaitsTurn) fault("a thread of a dependent launch returned without takeTurn()");
    finishAsynchronous(thread);
    retire(thread);
    threadReturned(thread);
  } catch (const Abandoned&) {
  } catch (const Fault& problem) {
    group.fail(thread, problem.what);
  } catch (const std::exception& problem) {
    group.fail(thread, problem.what());
  }
  retire(thread);
}

void runThreads() {
  for (;;) {
    Thread& thread = *current;
    Group& group = *thread.block->group;
    runBody(thread, group);
    Stack* stack = thread.stack;
    thread.stack = nullptr;
    stacks().give(stack);
    Thread* next = nextLane(group, *thread.warp);
    if (!next || next->stack != stack) switchFrom(*stack, group, next);
  }
}

// Where a thread lands that touched memory it must not: its stack is given up as it is.
void landAfterTrap() {
  Thread& thread = *current;
  Group& group = *thread.block->group;
  group.fail(thread, trapReason());
  retire(thread);
  stacks().giveUp(thread.stack);
  thread.stack = nullptr;
  current = nullptr;
  void* nowhere;
  helvetiaSimtSwitch(&nowhere, group.scheduler);
}

}  // namespace

void sleep(const Wait& wait) {
  Thread& me = *current;
  Group& group = *me.block->group;
  if (!group.failure.empty()) throw Abandoned{};
  me.wait = wait;
  me.warp->ready &= ~(1u << me.lane);
  switchFrom(*me.stack, group, nextLane(group, *me.warp));
  if (!group.failure.empty()) throw Abandoned{};
}

void yield() {
  Thread& me = *current;
  Group& group = *me.block->group;
  if (!group.failure.empty()) throw Abandoned{};
  switchFrom(*me.stack, group, nextLane(group, *me.warp));
  if (!group.failure.empty()) throw Abandoned{};
}

void fault(const std::string& what) { throw Fault{what}; }

Group::Group() { catchTraps(landAfterTrap); }
Group::~Group() = default;

uint32_t Group::chance(uint32_t below) {
  random_ ^= random_ << 13;  // xorshift64
  random_ ^= random_ >> 7;
  random_ ^= random_ << 17;
  return uint32_t((random_ >> 32) * below >> 32);
}

void touchGlobal(const char* operation) {
  if (current->awaitsTurn)
    fault(std::string(operation) + " before takeTurn(): the kernel before may still write there");
}

void Group::fail(const Thread& thread, const std::string& what) {
  if (failure.empty()) failure = what + " (" + placeOf(thread) + ")";
}

void Group::prepare(uint64_t first) {
  const dim3 size = launch->threads, grid = launch->blocks;
  const unsigned threads = size.x * size.y * size.z, count = (threads + 31) / 32;
  policy = settings().policy;
  random_ = (settings().seed + 1) * 0x9e3779b97f4a7c15u ^ (first + 1) * 0xbf58476d1ce4e5b9u;
  if (random_ == 0) random_ = 1;
  for (int i = 0; i < 4; i++) chance(1);
  failure.clear();
  transfers.clear();
  cluster.reset();
  last_ = 0;
  burst_ = 0;
  if (blocks.size() != launch->cluster) blocks = std::vector<Block>(launch->cluster);
  warps.clear();
  for (unsigned rank = 0; rank < launch->cluster; rank++) {
    Block& block = blocks[rank];
    const uint64_t number = first + rank;
    block.group = this;
    block.rank = rank;
    block.index = {unsigned(number % grid.x), unsigned(number / grid.x % grid.y), unsigned(number / grid.x / grid.y)};
    block.live = threads;
    block.threads.assign(threads, {});
    block.warps.assign(count, {});
    block.phases.clear();
    block.warpgroups.assign(count / 4, {});
    block.phaseWaits.clear();
    for (Barrier& barrier : block.barriers) barrier.reset();
    if (!block.shared) block.shared = std::make_unique<Shared>();
    block.shared->prepare(launch->shared, size_t(count) * launch->cluster);
    for (unsigned w = 0; w < count; w++) {
      Warp& warp = block.warps[w];
      warp.block = &block;
      warp.lanes = &block.threads[w * 32];
      warp.number = w;
      warp.place = unsigned(warps.size());
      const unsigned lanes = std::min(32u, threads - w * 32);
      warp.live = warp.ready = warp.fresh = lanes == 32 ? ~0u : (1u << lanes) - 1;
      warps.push_back(&warp);
      for (unsigned lane = 0; lane < lanes; lane++) {
        const unsigned n = w * 32 + lane;
        Thread& thread = warp.lanes[lane];
        thread.index = {n % size.x, n / size.x % size.y, n / size.x / size.y};
        thread.block = &block;
        thread.warp = &warp;
        thread.number = n;
        thread.lane = lane;
        thread.awaitsTurn = launch->overlaps;
      }
    }
  }
  for (Warp* warp : warps) {
    warp->clock.reset(warps.size());
    warp->clock.ticks[warp->place] = 1;
  }
}

Warp* Group::choose() {
  const size_t n = warps.size();
  if (policy == Policy::greedy && warps[last_]->ready) return warps[last_];
  if (policy == Policy::random) {
    if (burst_ > 0 && warps[last_]->ready) {
      burst_--;
      return warps[last_];
    }
    burst_ = chance(8);
    last_ = chance(unsigned(n));
  }
  for (size_t i = 1; i <= n; i++) {
    const size_t next = (last_ + i) % n;
    if (warps[next]->ready) {
      last_ = next;
      return warps[next];
    }
  }
  return nullptr;
}

void Group::turn(Warp& warp) {
  warp.turn = warp.ready;
  if (Thread* next = nextLane(*this, warp)) helvetiaSimtSwitch(&scheduler, next->stack->top);
}

bool Group::completeTransfer() {
  if (transfers.empty()) return false;
  const size_t i = chance(unsigned(transfers.size()));
  Transfer transfer = std::move(transfers[i]);
  transfers.erase(transfers.begin() + std::ptrdiff_t(i));
  try {
    transfer.run();
  } catch (const Fault& problem) {
    fail(*transfer.issuer, problem.what);
  }
  return true;
}

void Group::abandon() {
  for (Warp* warp : warps) {
    warp->block->live -= unsigned(__builtin_popcount(warp->fresh));
    warp->live &= ~warp->fresh;
    warp->fresh = 0;
    warp->ready = warp->live;
  }
  for (Warp* warp : warps)
    while (warp->live) turn(*warp);
}

std::string Group::run(const Launch& what, uint64_t first) {
  launch = &what;
  prepare(first);
  size_t live = warps.size();
  while (live > 0 && failure.empty()) {
    // The unit works late: under two policies only when no thread can go on.
    if (policy == Policy::random && !transfers.empty() && chance(16) == 0) completeTransfer();
    if (Warp* warp = choose()) {
      turn(*warp);
      if (!warp->live) live--;
    } else if (!completeTransfer()) {
      failure = describeDeadlock(*this);
    }
  }
  while (failure.empty() && completeTransfer()) {}
  for (Block& block : blocks) {
    const std::string damage = block.shared->damage();
    if (failure.empty() && !damage.empty()) failure = damage + " (" + placeOf(block) + ")";
  }
  if (!failure.empty()) abandon();
  dropAsynchronous(*this);
  return failure;
}

}  // namespace simt
