// setmaxnreg: warps hand registers over to each other, within those that their block started with.
#include <algorithm>
#include "../hopper.h"
#include "../memory/phases.h"

namespace simt {

// A kernel that uses it is built for one block on a multiprocessor, and starts with all the registers this gives a thread.
void setRegisters(unsigned count, bool takes) {
  needHopper("setmaxnreg");
  meet(
      "setmaxnreg", ~0u, nullptr, [](void* const*, uint32_t) {}, true);
  Warp& warp = *current->warp;
  Block& block = *warp.block;
  const unsigned threads = unsigned(block.threads.size()), own = unsigned(settings().registers);
  const unsigned given = own ? own : std::min(248u, 65536 / threads / 8 * 8), all = given * threads;
  const unsigned before = warp.registers ? warp.registers : given;
  if (warp.registers != count && (takes ? count < before : count > before))
    fault(std::string("setmaxnreg: ") + (takes ? "takes" : "gives") + " registers to have " + std::to_string(count) +
          " of each thread, and it has " + std::to_string(before));
  warp.registers = count;
  unsigned wanted = 0;
  for (const Warp& other : block.warps) wanted += 32 * other.registers;
  if (wanted > all)
    fault("setmaxnreg: the warps of the block want " + std::to_string(wanted) + " registers, and there are " +
          std::to_string(all));
}

}  // namespace simt
