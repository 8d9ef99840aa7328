// Carries results from the queue's thread back to the event loop.
#include "environment.h"
#include <algorithm>
#include <cmath>
#include <unistd.h>

namespace {

// V8 answers a large report with a full collection. Tensors are freed by scope() long before, so only what piles up to a
// share of the machine is worth one: a training step's activations come and go without.
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

Environment::Environment(Napi::Env env) : env_(env), cpuPath_(&cpu::choosePath()), queue_(std::make_unique<Queue>()) {
  napi_threadsafe_function loop;
  const Napi::String name = Napi::String::New(env, "helvetia");
  if (napi_create_threadsafe_function(env, nullptr, nullptr, name, 0, 1, nullptr, nullptr, nullptr, onLoop, &loop) != napi_ok)
    throw std::runtime_error("the event loop refused a thread-safe function");
  loop_ = loop;
  napi_unref_threadsafe_function(env, loop_);
  // Cleanup hooks run last in, first out, so the queue's thread ends before the function that it calls.
  napi_add_env_cleanup_hook(env, [](void* self) { static_cast<Environment*>(self)->queue_.reset(); }, this);
}

Environment::~Environment() = default;

Environment& Environment::of(Napi::Env env) { return *env.GetInstanceData<Environment>(); }

Queue& Environment::queue(Place place) {
  if (!queue_) throw std::runtime_error("this Node environment is closing");
  return *queue_;
}

void Environment::settle(std::function<void(Napi::Env)> done) {
  auto* data = new std::function<void(Napi::Env)>(std::move(done));
  if (napi_call_threadsafe_function(loop_, data, napi_tsfn_nonblocking) != napi_ok) delete data;
}

void Environment::onLoop(napi_env env, napi_value, void*, void* data) {
  std::unique_ptr<std::function<void(Napi::Env)>> done(static_cast<std::function<void(Napi::Env)>*>(data));
  if (!env) return;  // the environment is closing: nobody waits any more
  Napi::HandleScope scope(env);
  (*done)(env);
}

Napi::Promise Environment::after(Place place, std::function<Failure()> work, Napi::Value result) {
  struct Wait {
    Napi::Promise::Deferred promise;
    Napi::Reference<Napi::Value> result;
    Failure failure;
  };
  Queue& waited = queue(place);
  auto* wait = new Wait{Napi::Promise::Deferred::New(env_), Napi::Reference<Napi::Value>(), nullptr};
  const Napi::Promise promise = wait->promise.Promise();
  // References hold objects only, so the result travels as a property.
  Napi::Object holder = Napi::Object::New(env_);
  holder["result"] = result;
  wait->result = Napi::Reference<Napi::Value>::New(holder, 1);
  if (waiting_++ == 0) napi_ref_threadsafe_function(env_, loop_);

  waited.push([this, wait, work = std::move(work)] {
    wait->failure = work();
    settle([this, wait](Napi::Env env) {
      if (--waiting_ == 0) napi_unref_threadsafe_function(env, loop_);
      if (wait->failure) wait->promise.Reject(Napi::Error::New(env, *wait->failure).Value());
      else wait->promise.Resolve(wait->result.Value().As<Napi::Object>().Get("result"));
      delete wait;
    });
  });
  return promise;
}

void Environment::external(int64_t bytes) {
  unreported_ += bytes;
  if (std::abs(unreported_) < reportBytes()) return;
  int64_t total;
  napi_adjust_external_memory(env_, unreported_, &total);
  unreported_ = 0;
}
