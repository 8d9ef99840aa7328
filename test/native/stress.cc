// Queues, pools, storages and the CPU's threads under load, without Node: what `npm run sanitize` runs under
// ThreadSanitizer and AddressSanitizer, which then see every instruction of the process.
//
// Each environment is a thread that pushes and a queue that runs, as in Node's worker threads; all share one memory pool
// and one thread pool. Results are checked: it exits with 1 where one is wrong.
#include <atomic>
#include <cstdio>
#include <cstring>
#include <future>
#include <random>
#include <stdexcept>
#include <thread>
#include <vector>
#include "../../native/cpu/device.h"
#include "../../native/cpu/select.h"
#include "../../native/kernels/binary.h"
#include "../../native/kernels/copy.h"
#include "../../native/kernels/matmul.h"
#include "../../native/queue.h"
#include "../../native/tensor.h"

namespace {

std::atomic<int> wrong{0};

void expect(bool holds, const char* what) {
  if (holds) return;
  std::fprintf(stderr, "stress: %s\n", what);
  wrong++;
}

Tensor matrix(int64_t rows, int64_t cols) {
  Tensor t;
  t.storage = std::make_shared<Storage>(Place{}, size_t(rows * cols) * sizeof(float));
  t.layout.rank = 2;
  t.layout.shape = {rows, cols};
  t.layout.strides = {cols, 1};
  return t;
}

// What the binding makes of a kernel call: it owns its tensors, and a failure travels along them.
class Step final : public Job {
 public:
  using Work = std::function<void(Out, In, In)>;
  Step(Tensor out, Tensor a, Tensor b, Work work)
      : out_(std::move(out)), a_(std::move(a)), b_(std::move(b)), work_(std::move(work)) {}

  Failure blocked() const override {
    for (const Tensor* t : {&a_, &b_})
      if (t->storage && t->storage->failure) return t->storage->failure;
    return nullptr;
  }
  void forgive() override { out_.storage->failure = nullptr; }
  void addUses(Uses& to) const override {
    to.push_back({out_.storage.get(), true});
    for (const Tensor* t : {&a_, &b_})
      if (t->storage) to.push_back({t->storage.get(), false});
  }
  Failure run() override {
    Failure failure = blocked();
    if (!failure) try {
        work_(out_.view<Out>(), a_.view<In>(), b_.view<In>());
        return nullptr;
      } catch (const std::exception& e) {
        failure = std::make_shared<const std::string>(e.what());
      }
    out_.storage->failure = failure;
    return failure;
  }

 private:
  Tensor out_, a_, b_;
  Work work_;
};

const cpu::Table& kernels() {
  static const cpu::Table& table = *cpu::choosePath().table;
  return table;
}

void push(Queue& queue, Tensor out, Tensor a, Tensor b, Step::Work work) {
  queue.push(std::make_shared<Step>(std::move(out), std::move(a), std::move(b), std::move(work)));
}

void fill(Queue& queue, const Tensor& out, double value) {
  push(queue, out, {}, {}, [value](Out o, In, In) { kernels().copy->fill(cpu::device(), o, value); });
}

void add(Queue& queue, const Tensor& out, const Tensor& a, const Tensor& b) {
  push(queue, out, a, b, [](Out o, In x, In y) { kernels().binary->add(cpu::device(), o, x, y); });
}

void matmul(Queue& queue, const Tensor& out, const Tensor& a, const Tensor& b) {
  push(queue, out, a, b,
       [](Out o, In x, In y) { kernels().matmul->matmul(cpu::device(), o, x, y, {}, {}, Activation::none); });
}

struct Read {
  Failure failure;
  std::vector<float> values;
};

// What awaiting a tensor does: the values come back from the queue's thread.
Read read(Queue& queue, const Tensor& from) {
  std::promise<Read> done;
  queue.push(
      [&done, from] {
        Read result{from.storage->failure, {}};
        if (!result.failure) {
          result.values.resize(from.storage->size / sizeof(float));
          std::memcpy(result.values.data(), from.storage->bytes(), from.storage->size);
        }
        done.set_value(std::move(result));
      },
      {{from.storage.get(), false}});
  return done.get_future().get();
}

bool all(const Read& read, float value) {
  for (const float v : read.values)
    if (v != value) return false;
  return !read.failure && !read.values.empty();
}

// Tensors that JavaScript has let go of before their calls run: the queue drops the last references.
void chains(Queue& queue, int round) {
  const int64_t n = 65 + 64 * (round % 5);
  Tensor sum = matrix(n, n);
  fill(queue, sum, 1);
  for (int i = 0; i < 10; i++) {
    Tensor next = matrix(n, n);
    add(queue, next, sum, sum);
    sum = next;
  }
  Tensor ones = matrix(n, n), product = matrix(n, n);
  fill(queue, ones, 1);
  matmul(queue, product, sum, ones);
  expect(all(read(queue, product), 1024 * float(n)), "a chain of calls gave another sum");
}

void recordings(Queue& queue) {
  Tensor count = matrix(3, 1000), one = matrix(3, 1000);
  fill(queue, count, 0);
  fill(queue, one, 1);
  queue.startRecording();
  add(queue, count, count, one);
  auto recorded = std::make_shared<Recorded>(Recorded{queue.stopRecording(), nullptr});
  for (int i = 0; i < 20; i++) queue.replay(recorded);
  recorded.reset();
  expect(all(read(queue, count), 21), "a recording ran another number of times");
}

void failures(Queue& queue) {
  Tensor broken = matrix(8, 8), after = matrix(8, 8), ones = matrix(8, 8);
  fill(queue, ones, 1);
  push(queue, broken, {}, {}, [](Out, In, In) { throw std::runtime_error("out of order"); });
  add(queue, after, broken, ones);
  const Read result = read(queue, after);
  expect(result.failure && *result.failure == "out of order", "a failure did not reach what depends on it");
  std::promise<Failure> first;
  queue.push([&] { first.set_value(queue.takeFailure()); });
  expect(first.get_future().get() != nullptr, "the queue forgot its first failure");
}

// A storage that another thread fills meanwhile, as a copy between devices does: what uses it waits, the rest goes on.
void holds(Queue& queue) {
  Tensor filled = matrix(16, 16), ones = matrix(16, 16), after = matrix(16, 16), other = matrix(16, 16);
  fill(queue, ones, 1);
  std::promise<float*> taken;
  queue.push(
      [&, filled] {
        queue.hold(filled.storage.get(), true);
        taken.set_value(static_cast<float*>(filled.storage->bytes()));
      },
      {{filled.storage.get(), true}});
  std::thread copy([&queue, &taken, storage = filled.storage] {
    float* to = taken.get_future().get();
    for (size_t i = 0; i < storage->size / sizeof(float); i++) to[i] = 5;
    queue.interrupt([&queue, storage] { queue.release(storage.get()); });
  });
  add(queue, after, filled, ones);
  add(queue, other, ones, ones);
  expect(all(read(queue, other), 2), "a call beside a hold gave another sum");
  expect(all(read(queue, after), 6), "a call behind a hold gave another sum");
  std::promise<void> last;
  queue.pushLast([&] { last.set_value(); });
  last.get_future().wait();
  copy.join();
}

void environment(int rounds) {
  for (int round = 0; round < rounds; round++) {
    Queue queue;
    chains(queue, round);
    recordings(queue);
    failures(queue);
    holds(queue);
    // The environment ends while calls wait: they are dropped with their tensors.
    Tensor left = matrix(200, 200);
    fill(queue, left, 1);
    for (int i = 0; i < 50; i++) matmul(queue, matrix(200, 200), left, left);
  }
}

// Blocks are handed to one taker at a time, whatever the others take, give and trim meanwhile.
void blocks(int seed, int rounds) {
  std::mt19937 random{unsigned(seed)};
  for (int round = 0; round < rounds; round++) {
    const size_t bytes = size_t(1) << (random() % 16) | (random() % 64);
    void* block = cpuPool().take(bytes);
    std::memset(block, seed, bytes);
    if (round % 7 == 0) std::this_thread::yield();
    const auto* read = static_cast<const unsigned char*>(block);
    for (size_t i = 0; i < bytes; i++)
      if (read[i] != seed) {
        expect(false, "a block was handed out twice");
        break;
      }
    cpuPool().give(block, bytes);
    if (round % 50 == 0) cpuPool().trim();
    if (round % 11 == 0) {
      const MemoryUse use = cpuPool().memory();
      expect(use.used >= 0 && use.pooled >= 0 && use.peak >= 0, "the pool counts fewer bytes than none");
      cpuPool().resetPeak();
    }
  }
}

// Every index once, from loops of several threads that take turns.
void loops(int rounds) {
  for (int round = 0; round < rounds; round++) {
    std::vector<int> seen(size_t(1 + round % 97));
    cpu::device().parallelFor(int64_t(seen.size()), [&](int64_t i, int) { seen[size_t(i)]++; });
    for (const int times : seen) expect(times == 1, "a parallel loop ran an index another number of times");
  }
}

}  // namespace

int main() {
  std::vector<std::thread> threads;
  for (int i = 0; i < 3; i++) threads.emplace_back(environment, 12);
  for (int i = 0; i < 2; i++) threads.emplace_back(blocks, i + 1, 3000);
  threads.emplace_back(loops, 2000);
  for (std::thread& thread : threads) thread.join();
  cpuPool().trim();
  expect(cpuPool().memory().used == 0, "bytes are left in use");
  if (wrong == 0) std::puts("stress: all results are right");
  return wrong == 0 ? 0 : 1;
}
