// mbarriers.
#include "phases.h"
#include <cstring>
#include "../blocks/report.h"
#include "../hopper.h"

namespace simt {
namespace {

constexpr uint64_t mark = 0x7265697272616273;

std::string nameOf(uint32_t address) { return "the mbarrier at byte " + std::to_string(address - Shared::first); }

void endPhaseIfComplete(Block& block, Phases& phases) {
  if (phases.pending > 0 || phases.bytes != 0) return;
  phases.parity ^= 1;
  phases.pending = phases.arrivals;
  for (size_t i = 0; i < block.phaseWaits.size();) {
    const PhaseWait& wait = block.phaseWaits[i];
    if (wait.address != phases.address) {
      i++;
      continue;
    }
    wake(*wait.thread);
    block.phaseWaits[i] = block.phaseWaits.back();
    block.phaseWaits.pop_back();
  }
}

}  // namespace

void needHopper(const char* operation) {
  if (settings().capability < 90) fault(std::string(operation) + " needs a GPU of compute capability 9.0");
}

Phases& phasesAt(const char* operation, Block& block, uint32_t address) {
  const char* at = block.shared->at(operation, address, 8, 8);
  for (Phases& phases : block.phases) {
    if (phases.address != address) continue;
    if (std::memcmp(at, &mark, 8) != 0) fault(std::string(operation) + ": " + nameOf(address) + " was overwritten");
    return phases;
  }
  fault(std::string(operation) + ": " + nameOf(address) + " was not initialised");
}

void initPhases(uint32_t barrier, int arrivals) {
  needHopper("mbarrier.init");
  Block& block = *current->block;
  char* at = block.shared->at("mbarrier.init", barrier, 8, 8);
  if (arrivals < 1 || arrivals >= 1 << 20) fault("mbarrier.init: " + std::to_string(arrivals) + " arrivals");
  for (const Phases& phases : block.phases)
    if (phases.address == barrier) fault("mbarrier.init: " + nameOf(barrier) + " is initialised already");
  block.shared->track("mbarrier.init", at, 8, true);
  std::memcpy(at, &mark, 8);
  block.phases.push_back({barrier, uint32_t(arrivals), uint32_t(arrivals)});
}

void publishPhases() {
  for (Phases& phases : current->block->phases) phases.published = true;
}

void arriveAtPhase(uint32_t barrier, uint32_t rank, uint32_t bytes) {
  Group& group = *current->block->group;
  if (rank >= group.blocks.size()) fault("mbarrier.arrive: the cluster has no block of rank " + std::to_string(rank));
  Block& block = group.blocks[rank];
  if (block.live == 0) fault("mbarrier.arrive: " + placeOf(block) + " of the cluster has ended");
  Phases& phases = phasesAt("mbarrier.arrive", block, barrier);
  if (phases.pending == 0) fault("mbarrier.arrive: " + nameOf(barrier) + " gets more arrivals than its phase has");
  current->warp->release(phases.clock);
  phases.pending--;
  phases.bytes += bytes;
  if (phases.bytes >= 1 << 20) fault("mbarrier.arrive: " + nameOf(barrier) + " expects 2^20 bytes or more");
  if (phases.pending == 0 && phases.bytes == 0) block.shared->publish(block);
  endPhaseIfComplete(block, phases);
}

void deliver(Block& block, uint32_t address, uint32_t bytes, const Clock& clock) {
  Phases& phases = phasesAt("TMA load", block, address);
  phases.clock.join(clock);
  phases.bytes -= bytes;
  if (phases.bytes <= -(1 << 20)) fault("TMA load: " + nameOf(address) + " gets 2^20 bytes that it does not expect");
  endPhaseIfComplete(block, phases);
}

void waitForPhase(uint32_t barrier, uint32_t parity) {
  Thread& me = *current;
  Block& block = *me.block;
  if (parity > 1) fault("mbarrier.try_wait: a phase has parity 0 or 1, not " + std::to_string(parity));
  block.shared->track("mbarrier.try_wait", block.shared->at("mbarrier.try_wait", barrier, 8, 8), 8, false);
  while (phasesAt("mbarrier.try_wait", block, barrier).parity == parity) {
    block.phaseWaits.push_back({&me, barrier, parity});
    sleep({"the mbarrier at byte %u, phase of parity %u", barrier - Shared::first, parity});
  }
  me.warp->clock.join(phasesAt("mbarrier.try_wait", block, barrier).clock);
}

}  // namespace simt
