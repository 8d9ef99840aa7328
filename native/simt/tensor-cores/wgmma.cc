// wgmma: products of a warpgroup, carried out when its last thread comes to the wait.
//
// A descriptor names 16-byte chunks of shared memory. span = 128, 64 or 32 bytes by the swizzle, E = span / 2 elements.
//   K-major:   element (mn, k) at  mn / 8 · stride + mn % 8 · span + 2 k                     a chunk is 8 k of one mn
//   MN-major:  element (mn, k) at  mn / E · leading + k / 8 · stride + k % 8 · span + mn % E · 2     8 mn of one k
//   without swizzle, span = 16:  K-major mn / 8 · stride + k / 8 · leading + mn % 8 · 16 + k % 8 · 2;  MN-major the same
//   with mn and k exchanged inside a chunk row: mn / 8 · stride + k / 8 · leading + k % 8 · 16 + mn % 8 · 2
#include <cstring>
#include <memory>
#include "../memory/asynchronous.h"
#include "../memory/phases.h"
#include "matrix.h"
#include "swizzle.h"

namespace simt {
namespace {

struct Descriptor {
  uint32_t start, leading, stride;  // bytes
  int layout;
  explicit Descriptor(uint64_t bits)
      : start(uint32_t(bits & 0x3fff) << 4),
        leading(uint32_t(bits >> 16 & 0x3fff) << 4),
        stride(uint32_t(bits >> 32 & 0x3fff) << 4),
        layout(int(bits >> 62)) {
    if (bits >> 49 & 7)
      fault("wgmma: the descriptor has a base offset; tiles start at a multiple of the swizzle's repeat");
  }
  uint32_t span() const { return layout == 0 ? 16 : 256u >> layout; }

  // The chunk that holds element (mn, k); the one along the major axis is a multiple of 8.
  uint32_t chunk(uint32_t mn, uint32_t k, bool kMajor) const {
    const uint32_t wide = span() / 2;
    uint32_t offset;
    if (layout == 0) offset = mn / 8 * stride + k / 8 * leading + (kMajor ? mn : k) % 8 * 16;
    else if (kMajor) offset = mn / 8 * stride + mn % 8 * span() + 2 * k;
    else offset = mn / wide * leading + k / 8 * stride + k % 8 * span() + mn % wide * 2;
    return swizzled(start + offset, layout);
  }
};

// Elements [count][16] of an operand from shared memory.
template <class Put>
void gather(uint64_t bits, bool transposed, bool half, uint32_t count, Put put) {
  const Descriptor descriptor(bits);
  Shared& shared = *current->block->shared;
  const auto read = [&](uint32_t mn, uint32_t k, float(&eight)[8]) {
    const char* chunk = shared.at("wgmma", descriptor.chunk(mn, k, !transposed), 16, 16);
    shared.track("wgmma", chunk, 16, false);
    uint16_t elements[8];
    std::memcpy(elements, shared.readAsynchronously("wgmma", chunk, 16), 16);
    for (int i = 0; i < 8; i++) eight[i] = half ? elementValue<f16>(elements[i]) : elementValue<bf16>(elements[i]);
  };
  float eight[8];
  if (!transposed) {
    for (uint32_t mn = 0; mn < count; mn++)
      for (uint32_t k = 0; k < 16; k += 8) {
        read(mn, k, eight);
        for (uint32_t i = 0; i < 8; i++) put(mn, k + i, eight[i]);
      }
  } else {
    for (uint32_t k = 0; k < 16; k++)
      for (uint32_t mn = 0; mn < count; mn += 8) {
        read(mn, k, eight);
        for (uint32_t i = 0; i < 8; i++) put(mn + i, k, eight[i]);
      }
  }
}

// The 128 threads of a warpgroup.
struct Lanes {
  Thread* first;
  Asynchronous& operator[](int i) const { return *first[i].asynchronous; }
};

// On the heap: a shared library has little room for thread-local storage.
struct Operands {
  float a[64][16], b[16][256];
};
Operands& operands() {
  static thread_local const auto own = std::make_unique<Operands>();
  return *own;
}

void multiply(const Lanes& lanes, size_t item) {
  const Product& product = lanes[0].products.items[item];
  const int n = product.shape.n;
  auto& [a, b] = operands();
  for (int lane = 0; lane < 128; lane++) {
    const Product& own = lanes[lane].products.items[item];
    if (own.a != product.a || own.b != product.b || own.shape.n != n || own.accumulate != product.accumulate ||
        own.aInRegisters != product.aInRegisters)
      fault("wgmma: the threads of a warpgroup give different operands");
    if (!product.aInRegisters) continue;
    for (int i = 0; i < 4; i++) {
      float* to = &a[lane / 32 * 16 + lane % 32 / 4 + 8 * (i & 1)][2 * (lane % 4) + 8 * (i >> 1)];
      if (product.shape.half) unpackPair<f16>(own.registers[i], to);
      else unpackPair<bf16>(own.registers[i], to);
    }
  }
  if (!product.aInRegisters)
    gather(product.a, product.shape.transposeA, product.shape.half, 64,
           [&](uint32_t m, uint32_t k, float value) { a[m][k] = value; });
  gather(product.b, product.shape.transposeB, product.shape.half, uint32_t(n),
         [&](uint32_t column, uint32_t k, float value) { b[k][column] = value; });
  for (int m = 0; m < 64; m++) {
    float* rows[4];  // of the four lanes that hold row m
    for (int q = 0; q < 4; q++) {
      Asynchronous& lane = lanes[m / 16 * 32 + 4 * (m % 8) + q];
      rows[q] = lane.accumulators[lane.products.items[item].accumulators].values.data() + 2 * (m / 8 % 2);
    }
    for (int j = 0; j < n / 8; j++) {
      Eight sum{};
      for (int k = 0; k < 16; k++) {
        Eight column;
        std::memcpy(&column, &b[k][8 * j], sizeof column);
        sum += a[m][k] * column;
      }
      for (int e = 0; e < 8; e++) {
        float& to = rows[e / 2][4 * j + e % 2];
        to = product.accumulate ? to + sum[e] : sum[e];
      }
    }
  }
}

constexpr uint32_t poison = ~0u;

bool isPoisoned(const Accumulators& accumulators) {
  for (size_t i = 0; i < accumulators.values.size(); i++)
    if (std::memcmp(&accumulators.seen[i], &poison, 4) != 0) return false;
  return true;
}

void completeWait(const Lanes& lanes) {
  const unsigned newest = lanes[0].newestProducts;
  const size_t count = lanes[0].products.before(newest);
  for (int lane = 0; lane < 128; lane++)
    if (lanes[lane].newestProducts != newest || lanes[lane].products.before(newest) != count)
      fault("wgmma: the threads of a warpgroup have issued different products");
  for (size_t item = 0; item < count; item++) multiply(lanes, item);
  for (int lane = 0; lane < 128; lane++) {
    Asynchronous& own = lanes[lane];
    for (size_t item = 0; item < count; item++) {
      Accumulators& accumulators = own.accumulators[own.products.items[item].accumulators];
      if (--accumulators.pending > 0) continue;
      if (!isPoisoned(accumulators)) fault("wgmma: accumulators were written while products were under way");
      std::memcpy(accumulators.seen, accumulators.values.data(), accumulators.values.size() * sizeof(float));
    }
    own.products.drop(count, newest);
  }
}

size_t accumulatorsAt(Asynchronous& own, float* d, size_t count) {
  for (size_t i = 0; i < own.accumulators.size(); i++)
    if (own.accumulators[i].seen == d && own.accumulators[i].values.size() == count) return i;
  if (!own.productsFenced) fault("wgmma: wgmmaFence() is missing before the first product into these accumulators");
  own.accumulators.push_back({d, std::vector<float>(count)});
  std::memcpy(own.accumulators.back().values.data(), d, count * sizeof(float));
  return own.accumulators.size() - 1;
}

}  // namespace

void issueProduct(const ProductShape& shape, float* d, uint64_t a, const uint32_t* registers, uint64_t b,
                  bool accumulate) {
  if (settings().capability != 90) fault("wgmma needs a GPU of compute capability 9.0");
  Thread& me = *current;
  if (me.warp->number / 4 >= me.block->warpgroups.size()) fault("wgmma: the warpgroup has fewer than four warps");
  Asynchronous& own = asynchronous();
  if (registers && !own.productsFenced)
    fault("wgmma: wgmmaFence() is missing between writing the registers of A and the product");
  if (me.fenced) me.block->shared->publish(*me.block);
  const size_t index = accumulatorsAt(own, d, size_t(shape.n / 2));
  Accumulators& accumulators = own.accumulators[index];
  if (accumulators.pending++ == 0) {
    const size_t bytes = accumulators.values.size() * sizeof(float);
    if (accumulate && !own.productsFenced && std::memcmp(d, accumulators.values.data(), bytes) != 0)
      fault("wgmma: wgmmaFence() is missing between writing the accumulators and the product");
    std::memcpy(accumulators.values.data(), d, bytes);
    std::memset(d, 0xff, bytes);
  }
  Product product{shape, a, b, registers != nullptr, accumulate, {}, index};
  if (registers) std::memcpy(product.registers, registers, sizeof product.registers);
  own.products.items.push_back(product);
}

void fenceProducts() { asynchronous().productsFenced = true; }

void commitProducts() {
  Asynchronous& own = asynchronous();
  own.products.commit();
  own.productsFenced = false;
}

void waitProducts(unsigned newest) {
  Thread& me = *current;
  asynchronous().newestProducts = newest;
  const unsigned group = me.warp->number / 4;
  if (group >= me.block->warpgroups.size()) fault("wgmma: the warpgroup has fewer than four warps");
  Barrier& barrier = me.block->warpgroups[group];
  arriveAt(barrier, me);
  if (barrier.arrived < 128) {
    barrier.waiting.push_back(&me);
    return sleep({"wgmma.wait_group"});
  }
  me.warp->clock.join(barrier.clock);
  completeWait({&me.block->threads[group * 128]});
  me.warp->release(barrier.clock);
  open(barrier);
}

}  // namespace simt
