// Makes queues, and carries results from their threads back to the event loop.
#include "environment.h"
#include <algorithm>
#include <cmath>
#include <future>
#include <unistd.h>

namespace {

// The step of reports of external memory. V8 answers a large report with a full collection, and scope() frees most
// tensors long before, so only a share of the machine's memory is worth one.
int64_t reportBytes() {
  constexpr int64_t least = int64_t(64) << 20;
#ifdef _SC_PHYS_PAGES
  static const int64_t share = int64_t(sysconf(_SC_PHYS_PAGES)) * sysconf(_SC_PAGESIZE) / 16;
  return std::max(least, share);
#else
  return least;
#endif
}

}  // namespace

Environment::Environment(Napi::Env env) : env_(env), cpuPath_(&cpu::choosePath()) {
  cpu::device();  // throws for a wrong HELVETIA_THREADS

  napi_threadsafe_function loop;
  const Napi::String name = Napi::String::New(env, "helvetia");
  if (napi_create_threadsafe_function(env, nullptr, nullptr, name, 0, 1, nullptr, nullptr, nullptr, onLoop, &loop) !=
      napi_ok)
    throw std::runtime_error("the event loop refused a thread-safe function");
  loop_ = loop;
  napi_unref_threadsafe_function(env, loop_);
  // Cleanup hooks run last in, first out, so the queues' threads end before the function that they call.
  napi_add_env_cleanup_hook(
      env, [](void* self) { static_cast<Environment*>(self)->close(); }, this);
}

Environment::~Environment() = default;

Environment& Environment::of(Napi::Env env) { return *env.GetInstanceData<Environment>(); }

Lane& laneOf(napi_env env, Place place) { return Environment::of(env).lane(place); }
const cpu::Table& cpuTableOf(napi_env env) { return *Environment::of(env).cpuPath().table; }

void Environment::close() {
  closing_ = true;
  // Queues interrupt each other, so all stop before one is gone.
  for (auto& [place, lane] : lanes_) lane->queue->stop();
  for (auto& [place, lane] : lanes_) {
    if (!lane->gpu) continue;
    // Pending downloads write to this environment's memory.
    std::promise<void> idle;
    try {
      cuda::use(*lane->gpu);
      cuda::whenDone(*lane->gpu, [&](Failure) { idle.set_value(); });
    } catch (const std::exception&) {
      idle.set_value();
    }
    idle.get_future().wait();
  }
  lanes_.clear();
}

Lane& Environment::lane(Place place) {
  for (auto& [at, lane] : lanes_)
    if (at == place) return *lane;
  if (closing_) throw std::runtime_error("this Node environment is closing");
  auto lane = std::make_unique<Lane>();
  if (place.kind == Place::cuda) {
    lane->gpu = cuda::open(place.index);
    lane->queue =
        std::make_unique<Queue>([gpu = lane->gpu](Recorded& recorded) { return cuda::replay(*gpu, recorded); });
    lane->queue->push([gpu = lane->gpu] {
      try {
        cuda::use(*gpu);
      } catch (const std::exception&) {
        // The error repeats at every later launch, which reports it.
      }
    });
  } else {
    lane->queue = std::make_unique<Queue>();
  }
  if (recording_) lane->queue->startRecording();
  return *lanes_.emplace_back(place, std::move(lane)).second;
}

void Environment::startRecording() {
  if (recording_) throw std::runtime_error("record: another recording is open");
  recording_ = true;
  for (auto& [place, lane] : lanes_) lane->queue->startRecording();
}

std::vector<Environment::Recording> Environment::stopRecording() {
  std::vector<Recording> recordings;
  recording_ = false;
  for (auto& [place, lane] : lanes_) {
    auto jobs = lane->queue->stopRecording();
    if (!jobs.empty()) recordings.push_back({place, std::make_shared<Recorded>(Recorded{std::move(jobs), nullptr})});
  }
  return recordings;
}

void Environment::settle(std::function<void(Napi::Env)> done) {
  auto* data = new std::function<void(Napi::Env)>(std::move(done));
  if (napi_call_threadsafe_function(loop_, data, napi_tsfn_nonblocking) != napi_ok) delete data;
}

void Environment::onLoop(napi_env env, napi_value, void*, void* data) {
  std::unique_ptr<std::function<void(Napi::Env)>> done(static_cast<std::function<void(Napi::Env)>*>(data));
  if (!env) return;  // the environment is closing, and no promise is left
  // A worker thread that is being terminated still gets here, and refuses every call: its promises stay as they are. An
  // exception that left this function would end the process.
  try {
    Napi::HandleScope scope(env);
    (*done)(env);
  } catch (const std::exception&) {}
}

// A promise, and the task that settles it.
std::pair<Napi::Promise, std::function<void()>> Environment::promised(Lane& lane, Work work, Napi::Value result) {
  struct Wait {
    Napi::Promise::Deferred promise;
    Napi::Reference<Napi::Value> result;
  };
  auto* wait = new Wait{Napi::Promise::Deferred::New(env_), Napi::Reference<Napi::Value>()};
  const Napi::Promise promise = wait->promise.Promise();
  // References hold objects only, so the result travels as a property.
  Napi::Object holder = Napi::Object::New(env_);
  holder["result"] = result;
  wait->result = Napi::Reference<Napi::Value>::New(holder, 1);
  if (waiting_++ == 0) napi_ref_threadsafe_function(env_, loop_);

  return {promise, [this, wait, &lane, work = std::move(work)] {
            const Done done = [this, wait](Failure failure) {
              settle([this, wait, failure = std::move(failure)](Napi::Env env) {
                const std::unique_ptr<Wait> settled(wait);
                if (--waiting_ == 0) napi_unref_threadsafe_function(env, loop_);
                if (failure) wait->promise.Reject(Napi::Error::New(env, *failure).Value());
                else wait->promise.Resolve(wait->result.Value().As<Napi::Object>().Get("result"));
              });
            };
            try {
              work(lane, done);
            } catch (const std::exception& e) {
              done(std::make_shared<std::string>(e.what()));
            }
          }};
}

Napi::Promise Environment::after(Place place, Uses uses, Work work, Napi::Value result) {
  Lane& waited = lane(place);
  auto [promise, task] = promised(waited, std::move(work), result);
  waited.queue->push(std::move(task), std::move(uses));
  return promise;
}

Napi::Promise Environment::afterAll(Place place, Work work, Napi::Value result) {
  Lane& waited = lane(place);
  auto [promise, task] = promised(waited, std::move(work), result);
  waited.queue->pushLast(std::move(task));
  return promise;
}

void Environment::external(int64_t bytes) {
  unreported_ += bytes;
  if (std::abs(unreported_) < reportBytes()) return;
  int64_t total;
  napi_adjust_external_memory(env_, unreported_, &total);
  unreported_ = 0;
}
