// What the addon keeps for one Node environment: a queue for each device in use, and the way back to its event loop.
//
// The main thread and each worker thread have an environment of their own, so they never share a queue. All of it ends
// with the environment.
#pragma once
#include <functional>
#include <memory>
#include <string>
#include <napi.h>
#include "../cpu/select.h"
#include "lane.h"

class Environment {
 public:
  explicit Environment(Napi::Env env);
  ~Environment();
  static Environment& of(Napi::Env env);

  Lane& lane(Place place);  // @throws std::runtime_error where that device cannot be used
  Queue& queue(Place place) { return *lane(place).queue; }
  const cpu::Path& cpuPath() const { return *cpuPath_; }

  // Runs `work` on the queue of `place`, after the earlier tasks with the same storages, or after all earlier tasks. When
  // `work` calls the function that it is given, from whatever thread, the returned promise settles: rejected with the
  // failure, or resolved with `result`, which is kept alive until then.
  using Done = std::function<void(Failure)>;
  using Work = std::function<void(Lane&, Done)>;
  Napi::Promise after(Place place, Uses uses, Work work, Napi::Value result);
  Napi::Promise afterAll(Place place, Work work, Napi::Value result);

  // Between the two calls every kernel call is also kept, by device.
  struct Recording {
    Place place;
    std::shared_ptr<Recorded> recorded;
  };
  void startRecording();  // @throws std::runtime_error if one is open
  std::vector<Recording> stopRecording();

  // Reports memory outside the heap to V8, in steps large enough to be worth a call.
  void external(int64_t bytes);

 private:
  std::pair<Napi::Promise, std::function<void()>> promised(Lane& lane, Work work, Napi::Value result);
  void close();
  void settle(std::function<void(Napi::Env)> done);  // from any thread
  static void onLoop(napi_env env, napi_value, void*, void* data);

  Napi::Env env_;
  const cpu::Path* cpuPath_;
  napi_threadsafe_function loop_ = nullptr;
  int waiting_ = 0;  // promises not settled yet; while there are any, the process stays alive
  int64_t unreported_ = 0;
  bool recording_ = false;
  bool closing_ = false;
  std::vector<std::pair<Place, std::unique_ptr<Lane>>> lanes_;
};
