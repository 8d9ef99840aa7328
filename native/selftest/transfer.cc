// Transfers between the CPU and two GPUs in software: only tasks that use the tensors wait.
#include "../transfer.h"
#include <atomic>
#include <cstring>
#include "check.h"

namespace selftest {
namespace {

constexpr int count = 1000;
constexpr Place cpuPlace{};
constexpr Place gpuPlace(uint8_t index) { return {Place::cuda, index}; }

struct Device {
  explicit Device(Place place) : place(place) {
    if (place.kind == Place::cuda) lane.gpu = cuda::open(place.index);
    lane.queue = std::make_unique<Queue>();
    if (lane.gpu) lane.queue->push([this] { cuda::use(*lane.gpu); });
  }
  ~Device() {
    lane.queue->stop();
    if (!lane.gpu) return;
    Gate idle;
    cuda::use(*lane.gpu);
    cuda::whenDone(*lane.gpu, [&](Failure) { idle.open(); });
    idle.pass();
  }
  Place place;
  Lane lane;
};

Tensor make(Place place, int64_t size = count) {
  Tensor t;
  t.storage = std::make_shared<Storage>(place, size * sizeof(float));
  t.layout = {nullptr, DType::f32, 1};
  t.layout.shape = {size};
  t.layout.strides = {1};
  return t;
}

void write(Device& device, const Tensor& t, float value) {
  device.lane.queue->push(
      [&lane = device.lane, t, value] {
        const std::vector<float> values(count, value);
        fill(lane, t, values.data(), count * sizeof(float));
      },
      {{t.storage.get(), true}});
}

struct Answer {
  std::vector<float> values = std::vector<float>(count);
  Failure failure;
  Gate gate;
};
std::shared_ptr<Answer> ask(Device& device, const Tensor& t) {
  auto answer = std::make_shared<Answer>();
  device.lane.queue->push(
      [&lane = device.lane, t, answer] {
        bring(lane, t, answer->values.data(), count * sizeof(float), [answer](Failure failure) {
          answer->failure = std::move(failure);
          answer->gate.open();
        });
      },
      {{t.storage.get(), false}});
  return answer;
}
// "" or what is wrong with the answer, where every element should be `value`.
std::string expect(const std::shared_ptr<Answer>& answer, float value) {
  if (!answer->gate.pass()) return "no answer came";
  if (answer->failure) return *answer->failure;
  for (float got : answer->values)
    if (got != value) return "got " + std::to_string(got) + ", expected " + std::to_string(value);
  return "";
}

// The source stands until the target has answered for another tensor.
std::string slowSource(Place from, Place to) {
  Gate gate;
  bool passed = false;
  Device source(from), target(to);
  const Tensor x = make(from), y = make(to), other = make(to);
  source.lane.queue->push([&] { passed = gate.pass(); });
  write(source, x, 5);
  transfer(source.lane, target.lane, x, y);
  write(target, other, 7);
  const auto mine = ask(target, y), its = ask(target, other);
  if (std::string wrong = expect(its, 7); !wrong.empty()) return "beside the transfer: " + wrong;
  gate.open();
  if (std::string wrong = expect(mine, 5); !wrong.empty()) return "of the transfer: " + wrong;
  return passed ? "" : "the target waited for the source";
}

// The target stands until the source has answered for another tensor.
std::string slowTarget(Place from, Place to) {
  Gate gate;
  bool passed = false;
  Device source(from), target(to);
  const Tensor x = make(from), y = make(to), other = make(from);
  target.lane.queue->push([&] { passed = gate.pass(); });
  write(source, x, 5);
  transfer(source.lane, target.lane, x, y);
  write(source, x, 6);  // must not overtake the copy
  write(source, other, 7);
  const auto its = ask(source, other), after = ask(source, x), mine = ask(target, y);
  if (std::string wrong = expect(its, 7); !wrong.empty()) return "beside the transfer: " + wrong;
  gate.open();
  if (std::string wrong = expect(mine, 5); !wrong.empty()) return "of the transfer: " + wrong;
  if (std::string wrong = expect(after, 6); !wrong.empty()) return "of the source: " + wrong;
  return passed ? "" : "the source waited for the target";
}

std::string failures(Place from, Place to) {
  Device source(from), target(to);
  const Tensor x = make(from), y = make(to), back = make(from);
  source.lane.queue->push([&] { x.storage->failure = std::make_shared<std::string>("it broke"); },
                          {{x.storage.get(), true}});
  transfer(source.lane, target.lane, x, y);
  transfer(target.lane, source.lane, y, back);
  for (const auto& answer : {ask(target, y), ask(source, back)}) {
    if (!answer->gate.pass()) return "no answer came";
    if (!answer->failure || *answer->failure != "it broke") return "the failure did not arrive";
  }
  return "";
}

std::string thereAndBack() {
  Device cpu(cpuPlace), first(gpuPlace(0)), second(gpuPlace(1));
  Device* ring[] = {&cpu, &first, &second};
  Tensor at = make(cpuPlace);
  write(cpu, at, 9);
  for (int i = 0; i < 30; i++) {
    Device &from = *ring[i % 3], &to = *ring[(i + 1) % 3];
    const Tensor next = make(to.place);
    transfer(from.lane, to.lane, at, next);
    at = next;
  }
  return expect(ask(cpu, at), 9);
}

// While a long result is on its way to its place, others arrive; who waits for all of the GPU's work waits for it too.
std::string longDownload() {
  constexpr size_t bytes = size_t(4) << 20;
  std::vector<char> place(bytes);
  Gate stands, idle;
  std::atomic<bool> isIdle = false;
  Device gpu(gpuPlace(0));
  const Tensor large = make(gpuPlace(0), bytes / sizeof(float)), small = make(gpuPlace(0));
  gpu.lane.queue->push(
      [&] {
        bring(gpu.lane, large, place.data(), bytes, [&](Failure) { stands.pass(); });
        cuda::whenDone(*gpu.lane.gpu, [&](Failure) {
          isIdle = true;
          idle.open();
        });
      },
      {{large.storage.get(), false}});
  write(gpu, small, 3);
  std::string wrong = expect(ask(gpu, small), 3);
  if (wrong.empty() && isIdle) wrong = "the GPU was idle before the long result had arrived";
  stands.open();
  return idle.pass() ? wrong : "the GPU was never idle";
}

// Either queue may end first, whichever side has come to the transfer.
std::string ends(bool sourceFirst, bool sourceStands) {
  Gate gate, stands;
  Device source(cpuPlace), target(gpuPlace(0));
  const Tensor x = make(cpuPlace), y = make(gpuPlace(0));
  Device &standing = sourceStands ? source : target, &other = sourceStands ? target : source;
  write(source, x, 1);
  standing.lane.queue->push([&] {
    stands.open();
    gate.pass();
  });
  stands.pass();
  transfer(source.lane, target.lane, x, y);
  auto came = std::make_shared<Gate>();
  other.lane.queue->push([came] { came->open(); });
  if (!came->pass()) return "the other queue stands";
  gate.open();
  (sourceFirst ? source : target).lane.queue->stop();
  (sourceFirst ? target : source).lane.queue->stop();
  return "";
}

}  // namespace

std::vector<Check> transferChecks() {
  std::vector<Check> all;
  const std::vector<std::pair<Place, Place>> ways{
      {cpuPlace, gpuPlace(0)}, {gpuPlace(0), cpuPlace}, {gpuPlace(0), gpuPlace(1)}};
  const auto name = [](Place p) {
    return p.kind == Place::cpu ? std::string("cpu") : "cuda:" + std::to_string(p.index);
  };
  for (const auto& [from, to] : ways) {
    const std::string way = " from " + name(from) + " to " + name(to);
    all.push_back(
        {"transfer: a slow source does not hold the target," + way, [from, to] { return slowSource(from, to); }});
    all.push_back(
        {"transfer: a slow target does not hold the source," + way, [from, to] { return slowTarget(from, to); }});
    all.push_back({"transfer: a failure travels," + way, [from, to] { return failures(from, to); }});
  }
  all.push_back({"transfer: thirty in a ring", thereAndBack});
  all.push_back({"transfer: a long result holds no other one", longDownload});
  for (bool sourceFirst : {false, true})
    for (bool sourceStands : {false, true})
      all.push_back({std::string("transfer: ") + (sourceFirst ? "the source" : "the target") +
                         " ends first while the " + (sourceStands ? "source" : "target") + " stands",
                     [=] { return ends(sourceFirst, sourceStands); }});
  return all;
}

}  // namespace selftest
