// cp.async, and what threads leave behind.
#include "asynchronous.h"
#include <cstring>
#include "../ptx.h"
#include "tma.h"

namespace simt {

Asynchronous& asynchronous() {
  Thread& me = *current;
  if (me.asynchronous) return *me.asynchronous;
  Group& group = *me.block->group;
  if (group.asynchronousInUse == group.asynchronous.size())
    group.asynchronous.push_back(std::make_unique<Asynchronous>());
  me.asynchronous = group.asynchronous[group.asynchronousInUse++].get();
  return *me.asynchronous;
}

void dropAsynchronous(Group& group) {
  for (size_t i = 0; i < group.asynchronousInUse; i++) group.asynchronous[i]->clear();
  group.asynchronousInUse = 0;
}

void copyAsync(uint32_t to, const void* from, int bytes) {
  touchGlobal("cp.async");
  Shared& shared = *current->block->shared;
  char* target = shared.at("cp.async", to, 16, 16);
  if (bytes < 0 || bytes > 16) fault("cp.async copies 0 to 16 bytes, not " + std::to_string(bytes));
  if (bytes > 0 && reinterpret_cast<uintptr_t>(from) % 16)
    fault("cp.async: the address in global memory is not aligned to 16 bytes");
  shared.track("cp.async", target, 16, true);
  std::memset(target, 0xff, 16);
  asynchronous().copies.items.push_back({target, from, uint32_t(bytes)});
}

void commitCopies() { asynchronous().copies.commit(); }

void waitCopies(unsigned newest) {
  Groups<Copy>& copies = asynchronous().copies;
  const size_t count = copies.before(newest);
  for (size_t i = 0; i < count; i++) {
    const Copy& copy = copies.items[i];
    if (copy.bytes > 0) std::memcpy(copy.to, copy.from, copy.bytes);
    std::memset(copy.to + copy.bytes, 0, 16 - copy.bytes);
  }
  copies.drop(count, newest);
}

void finishAsynchronous(Thread& thread) {
  if (!thread.asynchronous) return;
  Asynchronous& left = *thread.asynchronous;
  for (Store& store : left.stores.items) {
    if (!store.read)
      fault("a thread returned before its TMA stores had read shared memory: waitStoresRead<0>() is missing");
    writeBox(store);
  }
  left.stores.clear();
  if (!left.products.items.empty()) fault("a thread returned with wgmma products under way: wgmmaWait<0>() is missing");
}

}  // namespace simt
