// Devices in JavaScript: what there is, what it holds, and waiting for it.
#include "call.h"
#include "exports.h"
#ifdef WITH_CUDA
#include "../cuda/probe.h"
#else
namespace cuda {
static std::string absence() { return "this build has no CUDA: nvcc was not there when it was built"; }
}  // namespace cuda
#endif

// Stand-ins for the CUDA kernels: this version declares them and reports the GPU, but computes on the CPU only.
namespace cuda {
#define MISSING(name, ...) \
  void name(Device&, __VA_ARGS__) { throw std::runtime_error("this build has no CUDA kernels"); }
KERNELS(MISSING)
#undef MISSING
}  // namespace cuda

cuda::Device& cudaDevice(Place) { throw std::runtime_error("this build has no CUDA kernels"); }

namespace {

Napi::Value idle(const Napi::CallbackInfo& info) {
  Environment& environment = Environment::of(info.Env());
  auto failure = std::make_shared<Failure>();
  environment.queue(Place{}).whenIdle([failure](Failure found) { *failure = std::move(found); });
  return environment.after(Place{}, [failure] { return *failure; }, info.Env().Undefined());
}

Napi::Value memory(const Napi::CallbackInfo& info) {
  const MemoryUse use = pool::memory();
  auto out = Napi::Object::New(info.Env());
  out["used"] = double(use.used);
  out["peak"] = double(use.peak);
  out["pooled"] = double(use.pooled);
  return out;
}

void trim(const Napi::CallbackInfo&) { pool::trim(); }
void resetPeak(const Napi::CallbackInfo&) { pool::resetPeak(); }

Napi::Value cpuInfo(const Napi::CallbackInfo& info) {
  Napi::Env env = info.Env();
  auto out = Napi::Object::New(env);
  out["path"] = Environment::of(env).cpuPath().name;
  out["threads"] = cpu::device().threads;
  auto paths = Napi::Array::New(env);
  for (const cpu::Path* path = cpu::paths(); path->name; path++)
    if (path->supported) paths[paths.Length()] = Napi::String::New(env, path->name);
  out["paths"] = paths;
  return out;
}

// An empty string where CUDA can be used, else the reason why not.
Napi::Value cudaAbsence(const Napi::CallbackInfo& info) { return Napi::String::New(info.Env(), cuda::absence()); }

}  // namespace

void addDevices(Napi::Env env, Napi::Object exports) {
  exports["idle"] = Napi::Function::New(env, idle, "idle");
  exports["memory"] = Napi::Function::New(env, memory, "memory");
  exports["trim"] = Napi::Function::New(env, trim, "trim");
  exports["resetPeak"] = Napi::Function::New(env, resetPeak, "resetPeak");
  exports["cpuInfo"] = Napi::Function::New(env, cpuInfo, "cpuInfo");
  exports["cudaAbsence"] = Napi::Function::New(env, cudaAbsence, "cudaAbsence");
}
