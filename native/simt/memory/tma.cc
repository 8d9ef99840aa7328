// The TMA unit: boxes of tensors between global and shared memory.
//
// A load poisons its target when it is issued and fills it later, in any order. A store reads when it is issued, and its
// source must not have changed by the wait that allows it to; it writes at the wait for the write, or at the end.
#include "tma.h"
#include <array>
#include <cstring>
#include "../blocks/report.h"
#include "../hopper.h"
#include "../tensor-cores/swizzle.h"
#include "atomics.h"
#include "phases.h"

namespace simt {
namespace {

const TensorMap& decode(const char* operation, const CUtensorMap* map, int rank) {
  needHopper(operation);
  const auto& own = *reinterpret_cast<const TensorMap*>(map);
  if (own.mark != TensorMap::sign) fault(std::string(operation) + ": the tensor map was not encoded");
  if (own.rank != rank)
    fault(std::string(operation) + ": the tensor map has " + std::to_string(own.rank) + " axes, the instruction " +
          std::to_string(rank));
  return own;
}

// Calls row(offset in the box, address in global memory or null, first and last valid byte) for each row of the box.
template <class Row>
void eachRow(const TensorMap& map, const int (&at)[3], Row row) {
  const uint32_t inner = map.box[0] * map.elementBytes;
  const int64_t left = std::max<int64_t>(0, -int64_t(at[0])),
                right = std::min<int64_t>(map.box[0], int64_t(map.extent[0]) - at[0]);
  const int64_t rows = map.rank > 1 ? map.box[1] : 1, planes = map.rank > 2 ? map.box[2] : 1;
  const auto inside = [&](int axis, int64_t i) {
    return map.rank <= axis || (i >= 0 && i < int64_t(map.extent[axis]));
  };
  for (int64_t plane = 0; plane < planes; plane++)
    for (int64_t r = 0; r < rows; r++) {
      const int64_t y = at[1] + r, z = at[2] + plane;
      const bool valid = left < right && inside(1, y) && inside(2, z);
      char* global = valid ? map.base + (map.rank > 2 ? z * int64_t(map.stride[2]) : 0) +
                                 (map.rank > 1 ? y * int64_t(map.stride[1]) : 0) + int64_t(at[0]) * map.elementBytes
                           : nullptr;
      row(uint32_t((plane * rows + r) * inner), global, uint32_t(valid ? left * map.elementBytes : 0),
          uint32_t(valid ? right * map.elementBytes : 0));
    }
}

constexpr int layoutOf(uint8_t swizzle) { return swizzle == 0 ? 0 : 4 - swizzle; }  // the descriptors' numbers

void fill(const TensorMap& map, const int (&at)[3], Block& block, uint32_t to) {
  const uint32_t inner = map.box[0] * map.elementBytes;
  std::vector<char> bytes(inner);
  eachRow(map, at, [&](uint32_t offset, const char* global, uint32_t first, uint32_t last) {
    std::memset(bytes.data(), 0, inner);
    if (global) std::memcpy(bytes.data() + first, global + first, last - first);
    for (uint32_t i = 0; i < inner; i += 16) {
      char* chunk = block.shared->at("TMA load", swizzled(to + offset + i, layoutOf(map.swizzle)), 16, 16);
      std::memcpy(chunk, bytes.data() + i, 16);
      block.shared->written(chunk, 16);
    }
  });
}

template <class T>
void addElement(char* to, const char* from) {
  T term;
  std::memcpy(&term, from, sizeof term);
  atomically(reinterpret_cast<T*>(to), [&](T old) { return T(float(old) + float(term)); });
}

void add(const TensorMap& map, char* to, const char* from, uint32_t bytes) {
  for (uint32_t i = 0; i < bytes; i += map.elementBytes) {
    if (map.type == ElementType::f32) addElement<float>(to + i, from + i);
    else if (map.type == ElementType::bf16) addElement<bf16>(to + i, from + i);
    else addElement<f16>(to + i, from + i);
  }
}

}  // namespace

void loadBox(uint32_t to, const CUtensorMap* tensorMap, int rank, const int (&at)[3], uint32_t barrier,
             uint32_t blocks) {
  const TensorMap map = decode("TMA load", tensorMap, rank);
  Thread& me = *current;
  Group& group = *me.block->group;
  if (blocks == 0 || blocks >> group.blocks.size())
    fault("TMA load: its mask names blocks that the cluster does not have");
  for (uint32_t rest = blocks; rest; rest &= rest - 1) {
    Block& block = group.blocks[size_t(__builtin_ctz(rest))];
    if (block.live == 0) fault("TMA load: " + placeOf(block) + " of the cluster has ended");
    char* target = block.shared->at("TMA load", to, map.boxBytes(), 128);
    if (!phasesAt("TMA load", block, barrier).published)
      fault("TMA load: publishBarriers() is missing between the barrier's initialisation and its use");
    block.shared->track("TMA load", target, map.boxBytes(), true);
    std::memset(target, 0xff, map.boxBytes());
    const std::array<int, 3> place{at[0], at[1], at[2]};
    group.transfers.push_back({[map, place, &block, to, barrier, clock = me.warp->clock] {
                                 fill(map, {place[0], place[1], place[2]}, block, to);
                                 deliver(block, barrier, map.boxBytes(), clock);
                               },
                               &me});
  }
  me.warp->clock.ticks[me.warp->place]++;
}

void fenceAsyncProxy() {
  current->fenced = true;
  current->block->shared->fence();
}

void storeBox(const CUtensorMap* tensorMap, uint32_t from, const int (&at)[3], bool adds) {
  Thread& me = *current;
  Store store{decode("TMA store", tensorMap, 3), from, {at[0], at[1], at[2]}, adds};
  if (adds && store.map.type != ElementType::f32 && store.map.type != ElementType::f16 &&
      store.map.type != ElementType::bf16)
    fault("TMA add: the element type cannot be added");
  Shared& shared = *me.block->shared;
  if (me.fenced) shared.publish(*me.block);
  const uint32_t bytes = store.map.boxBytes();
  shared.track("TMA store", shared.at("TMA store", from, bytes, 128), bytes, false);
  store.bytes.resize(bytes);
  for (uint32_t i = 0; i < bytes; i += 16) {
    const char* chunk = shared.at("TMA store", swizzled(from + i, layoutOf(store.map.swizzle)), 16, 16);
    std::memcpy(store.bytes.data() + i, shared.readAsynchronously("TMA store", chunk, 16), 16);
  }
  asynchronous().stores.items.push_back(std::move(store));
}

void commitStores() { asynchronous().stores.commit(); }

void finishRead(Store& store) {
  if (store.read) return;
  store.read = true;
  Shared& shared = *current->block->shared;
  for (uint32_t i = 0; i < store.bytes.size(); i += 16) {
    const char* chunk = shared.at("TMA store", swizzled(store.from + i, layoutOf(store.map.swizzle)), 16, 16);
    if (std::memcmp(chunk, store.bytes.data() + i, 16) != 0)
      fault("TMA store: byte " + std::to_string(store.from - Shared::first + i) +
            " of its source, or one of the next 15, changed before waitStoresRead");
  }
  shared.track("TMA store", shared.at("TMA store", store.from, uint32_t(store.bytes.size()), 128),
               uint32_t(store.bytes.size()), false);
}

void writeBox(const Store& store) {
  eachRow(store.map, store.at, [&](uint32_t offset, char* global, uint32_t first, uint32_t last) {
    if (!global) return;
    const char* bytes = store.bytes.data() + offset + first;
    if (store.adds) add(store.map, global + first, bytes, last - first);
    else std::memcpy(global + first, bytes, last - first);
  });
}

void waitStores(unsigned newest, bool written) {
  Groups<Store>& stores = asynchronous().stores;
  const size_t count = stores.before(newest);
  for (size_t i = 0; i < count; i++) {
    finishRead(stores.items[i]);
    if (written) writeBox(stores.items[i]);
  }
  if (written) stores.drop(count, newest);
}

}  // namespace simt
