// What a pool holds beside what is in use, and that no two blocks share bytes. Its memory is the host's.
#include "../pool.h"
#include <sys/mman.h>
#include <cstring>
#include <map>
#include "check.h"

namespace selftest {
namespace {

// A device of so many bytes.
struct Memory {
  explicit Memory(size_t bytes = size_t(1) << 40) : left(bytes) {}
  size_t left;
  int segments = 0;
  Pool pool{[this](size_t bytes) -> void* {
              if (bytes > left) return nullptr;
              left -= bytes;
              segments++;
              return mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
            },
            [this](void* segment, size_t bytes) {
              left += bytes;
              segments--;
              munmap(segment, bytes);
            }};
};

// A block with the size that it was taken with.
struct Block {
  void* bytes;
  size_t size;
};
Block take(Pool& pool, size_t size) { return {pool.take(size), size}; }
void give(Pool& pool, Block block) { pool.give(block.bytes, block.size); }

// Numbers below a bound, the same in each run.
class Numbers {
 public:
  size_t below(size_t bound) {
    state_ = state_ * 6364136223846793005u + 1442695040888963407u;
    return size_t(state_ >> 33) % bound;
  }

 private:
  uint64_t state_ = 1;
};

std::string ratio(const MemoryUse& use) {
  const double times = double(use.peakHeld) / double(use.peak);
  return times <= 1.3 ? "" : "it held " + std::to_string(times) + " times what was in use at most";
}

// The takes of training steps of `layers` layers, whose rows differ in length from step to step: activations that wait for
// the backward pass, temporaries, gradients that stay for the step, and weights that stay for good.
std::string trains(size_t layers, size_t hidden, size_t vocabulary) {
  Memory memory;
  Pool& pool = memory.pool;
  Numbers numbers;
  std::vector<Block> weights;
  for (size_t layer = 0; layer < layers; layer++)
    for (const size_t part : {4, 3, 8}) weights.push_back(take(pool, part * hidden * hidden));
  for (int step = 0; step < 60; step++) {
    const size_t tokens = 40 + numbers.below(900);
    std::vector<Block> kept, gradients;
    for (size_t layer = 0; layer < layers; layer++) {
      for (const size_t part : {1, 1, 3, 4}) {
        Block temporary = take(pool, 4 * tokens * hidden);
        kept.push_back(take(pool, 4 * tokens * hidden * part));
        give(pool, temporary);
      }
      kept.push_back(take(pool, 4 * tokens * tokens / 2));
    }
    Block logits = take(pool, 4 * tokens * vocabulary);
    Block slope = take(pool, 4 * tokens * vocabulary);
    give(pool, logits);
    Block flowing = take(pool, 4 * tokens * hidden);
    give(pool, slope);
    while (!kept.empty()) {
      Block next = take(pool, 4 * tokens * hidden);
      give(pool, kept.back());
      kept.pop_back();
      give(pool, flowing);
      flowing = next;
      gradients.push_back(take(pool, 16 * hidden));
    }
    give(pool, flowing);
    for (Block gradient : gradients) give(pool, gradient);
    // The optimizer's state is made in the first step, and an adapter grows now and then.
    if (step % 20 == 0) weights.push_back(take(pool, hidden * hidden));
  }
  if (std::string wrong = ratio(pool.memory()); !wrong.empty()) return wrong;
  for (Block weight : weights) give(pool, weight);
  pool.trim();
  return memory.segments == 0 && pool.memory().pooled == 0 ? "" : "trim() left a segment";
}

// Sequences of unequal lengths that come and go, beside a cache that stays.
std::string serves() {
  Memory memory;
  Pool& pool = memory.pool;
  Numbers numbers;
  Block cache = take(pool, size_t(24) << 20);
  std::vector<Block> waiting;
  for (int step = 0; step < 3000; step++) {
    const size_t tokens = 1 + numbers.below(step % 7 == 0 ? 1500 : 16);
    const Block hidden = take(pool, tokens * 1152), wide = take(pool, tokens * 6144), logits = take(pool, 196608);
    give(pool, hidden);
    waiting.push_back(logits);
    if (waiting.size() > 1 + numbers.below(12)) {
      give(pool, waiting.front());
      waiting.erase(waiting.begin());
    }
    give(pool, wide);
  }
  for (Block block : waiting) give(pool, block);
  give(pool, cache);
  return ratio(pool.memory());
}

std::string apart() {
  Memory memory;
  Pool& pool = memory.pool;
  Numbers numbers;
  std::map<char*, size_t> blocks;
  for (int round = 0; round < 20000; round++) {
    if (blocks.size() < 50 || numbers.below(2) == 0) {
      const size_t bytes = numbers.below(10) ? numbers.below(5000) : numbers.below(3000000);
      char* block = static_cast<char*>(pool.take(bytes));
      if (reinterpret_cast<uintptr_t>(block) % Pool::alignment) return "a block is not aligned";
      const auto next = blocks.lower_bound(block);
      if (next != blocks.end() && block + bytes > next->first) return "a block reaches into the next one";
      if (next != blocks.begin() && std::prev(next)->first + std::prev(next)->second > block)
        return "a block begins in the one before";
      if (blocks.count(block)) return "a block was handed out twice";
      blocks[block] = bytes;
    } else {
      auto block = std::next(blocks.begin(), long(numbers.below(blocks.size())));
      pool.give(block->first, block->second);
      blocks.erase(block);
    }
  }
  for (const auto& [block, bytes] : blocks) pool.give(block, bytes);
  const MemoryUse use = pool.memory();
  return use.used == 0 ? "" : std::to_string(use.used) + " bytes are left in use";
}

// A device that is nearly full: unused segments make room for others, and no segment is larger than what is left.
std::string fillsTheDevice() {
  Memory memory(size_t(100) << 20);
  Pool& pool = memory.pool;
  for (size_t megabytes : {40, 55, 70, 95}) give(pool, take(pool, megabytes << 20));
  Block most = take(pool, size_t(95) << 20);
  Block rest = take(pool, size_t(5) << 19);
  try {
    take(pool, size_t(9) << 20);
    return "more was given than there is";
  } catch (const std::exception& e) {
    const std::string want = "out of memory: asked for 9437184 bytes while 102236160 are in use";
    if (e.what() != want) return std::string("it said '") + e.what() + "', expected '" + want + "'";
  }
  give(pool, most);
  give(pool, rest);
  return "";
}

}  // namespace

std::vector<Check> poolChecks() {
  return {
      {"pool: holds at most 1.3 times what unequal rows of a small model need", [] { return trains(8, 256, 1024); }},
      {"pool: holds at most 1.3 times what unequal rows of a wide vocabulary need",
       [] { return trains(12, 576, 49152); }},
      {"pool: holds at most 1.3 times what unequal sequences need", serves},
      {"pool: keeps blocks apart", apart},
      {"pool: uses a device as far as its last bytes", fillsTheDevice},
  };
}

}  // namespace selftest
