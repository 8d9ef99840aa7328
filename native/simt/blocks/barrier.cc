// Barriers of a block (bar.sync, bar.arrive) and of a cluster.
#include "../memory/shared.h"
#include "report.h"
#include "warp.h"

namespace simt {

void arriveAt(Barrier& barrier, Thread& thread) {
  barrier.arrived++;
  thread.warp->release(barrier.clock);
}

void open(Barrier& barrier) {
  for (Thread* thread : barrier.waiting) {
    wake(*thread);
    thread->warp->clock.join(barrier.clock);
  }
  barrier.result = barrier.votes;
  barrier.reset();
}

namespace {

// Threads of a block that have returned are not waited for by the barrier of all.
bool isFull(const Barrier& barrier, const Block& block, unsigned id) {
  return id == 0 ? barrier.arrived >= block.live : barrier.arrived >= barrier.expected;
}

bool clusterIsFull(const Group& group) {
  unsigned live = 0;
  for (const Block& block : group.blocks) live += block.live;
  return group.cluster.arrived >= live;
}

}  // namespace

uint32_t barrierWait(unsigned id, unsigned threads, uint32_t vote, bool sleeps) {
  Thread& me = *current;
  Block& block = *me.block;
  const unsigned expected = threads ? threads : unsigned(block.threads.size());
  if (id > 15) fault("barrier " + std::to_string(id) + ": a block has the barriers 0 to 15");
  if (threads % 32)
    fault("barrier " + std::to_string(id) + ": " + std::to_string(threads) + " threads are no whole number of warps");
  if (id == 0 && expected != block.threads.size()) fault("barrier 0 is that of the whole block");
  if (expected > block.threads.size())
    fault("barrier " + std::to_string(id) + ": the block has fewer than " + std::to_string(expected) + " threads");
  Barrier& barrier = block.barriers[id];
  if (barrier.arrived > 0 && barrier.expected != expected)
    fault("barrier " + std::to_string(id) + ": some threads name " + std::to_string(barrier.expected) +
          " participants, others " + std::to_string(expected));
  barrier.expected = expected;
  barrier.votes += vote;
  arriveAt(barrier, me);
  if (isFull(barrier, block, id)) {
    me.warp->clock.join(barrier.clock);
    block.shared->publish(block);
    open(barrier);
  } else if (sleeps) {
    barrier.waiting.push_back(&me);
    sleep({"barrier %u of %u threads", id, expected});
  }
  return barrier.result;
}

void clusterWait() {
  Thread& me = *current;
  Group& group = *me.block->group;
  arriveAt(group.cluster, me);
  if (clusterIsFull(group)) {
    me.warp->clock.join(group.cluster.clock);
    for (Block& block : group.blocks) block.shared->publish(block);
    open(group.cluster);
  } else {
    group.cluster.waiting.push_back(&me);
    sleep({"the cluster's barrier"});
  }
}

void threadReturned(Thread& thread) {
  if (!thread.warp->meetings.empty() && thread.warp->live) meetingsAfterReturn(*thread.warp);
  Block& block = *thread.block;
  Barrier& all = block.barriers[0];
  if (all.arrived > 0 && isFull(all, block, 0)) open(all);
  Group& group = *block.group;
  if (group.cluster.arrived > 0 && clusterIsFull(group)) open(group.cluster);
}

}  // namespace simt
