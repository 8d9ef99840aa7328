// mbarriers: their state stands beside shared memory, whose eight bytes hold a mark that shows overwriting.
#pragma once
#include "../blocks/block.h"

namespace simt {

struct Phases {
  uint32_t address;
  uint32_t arrivals, pending;  // of each phase, and still to come
  int64_t bytes = 0;           // still to come; negative when they came before they were announced
  uint32_t parity = 0;         // of the phase under way
  bool published = false;      // the asynchronous units may use it
  Clock clock;
};

Phases& phasesAt(const char* operation, Block& block, uint32_t address);
// An asynchronous copy delivered `bytes`; `clock` is its issuer's.
void deliver(Block& block, uint32_t address, uint32_t bytes, const Clock& clock);
void needHopper(const char* operation);

}  // namespace simt
