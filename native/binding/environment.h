// What the addon keeps for one Node environment: its queue, and the way back to its event loop.
//
// The main thread and each worker thread have an environment of their own, so they never share a queue. All of it ends
// with the environment.
#pragma once
#include <functional>
#include <memory>
#include <string>
#include <napi.h>
#include "../cpu/device.h"
#include "../cpu/select.h"
#include "../queue.h"
#include "../tensor.h"

class Environment {
 public:
  explicit Environment(Napi::Env env);
  ~Environment();
  static Environment& of(Napi::Env env);

  Queue& queue(Place place);
  const cpu::Path& cpuPath() const { return *cpuPath_; }

  // Runs `work` on the queue of `place` after everything queued so far, then settles the returned promise: rejected
  // with the failure that `work` gives, or resolved with `result`, which is kept alive until then.
  Napi::Promise after(Place place, std::function<Failure()> work, Napi::Value result);

  // Tells V8 of memory that tensors hold outside its heap, in steps large enough to be worth a call.
  void external(int64_t bytes);

 private:
  void settle(std::function<void(Napi::Env)> done);  // from any thread
  static void onLoop(napi_env env, napi_value, void*, void* data);

  Napi::Env env_;
  const cpu::Path* cpuPath_;
  napi_threadsafe_function loop_ = nullptr;
  int waiting_ = 0;  // promises not settled yet; while there are any, the process stays alive
  int64_t unreported_ = 0;
  std::unique_ptr<Queue> queue_;
};
