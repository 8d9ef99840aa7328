// Devices in JavaScript: what there is, what it holds, and waiting for it.
#include "../pool.h"
#include "call.h"
#include "environment.h"
#include "exports.h"
namespace {

Place placeOf(const Napi::CallbackInfo& info) {
  return {Place::Kind(info[0].As<Napi::Number>().Int32Value()), uint8_t(info[1].As<Napi::Number>().Uint32Value())};
}

// Runs `body`, and throws what it throws in JavaScript.
template <class Body>
auto orThrow(Napi::Env env, Body body) {
  try {
    return body();
  } catch (const std::exception& e) {
    throw Napi::Error::New(env, e.what());
  }
}

// idle(kind, index)
Napi::Value idle(const Napi::CallbackInfo& info) {
  const Place place = placeOf(info);
  return orThrow(info.Env(), [&] {
    return Environment::of(info.Env())
        .afterAll(
            place,
            [](Lane& lane, Environment::Done done) {
              const Failure failure = lane.queue->takeFailure();
              if (failure || !lane.gpu) done(failure);
              else cuda::whenDone(*lane.gpu, done);
            },
            info.Env().Undefined());
  });
}

// memory(kind, index), trim(kind, index), resetPeak(kind, index)
Napi::Value memory(const Napi::CallbackInfo& info) {
  const MemoryUse use = orThrow(info.Env(), [&] { return poolOf(placeOf(info)).memory(); });
  auto out = Napi::Object::New(info.Env());
  out["used"] = double(use.used);
  out["peak"] = double(use.peak);
  out["pooled"] = double(use.pooled);
  out["peakHeld"] = double(use.peakHeld);
  return out;
}

void trim(const Napi::CallbackInfo& info) {
  orThrow(info.Env(), [&] {
    const Place place = placeOf(info);
    poolOf(place).trim();
    if (place.kind == Place::cuda) cuda::trimPinned(place.index);
  });
}
void resetPeak(const Napi::CallbackInfo& info) {
  orThrow(info.Env(), [&] { poolOf(placeOf(info)).resetPeak(); });
}

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

// cudaInfo(index): throws where that GPU cannot be used.
Napi::Value cudaInfo(const Napi::CallbackInfo& info) {
  const int index = info[0].As<Napi::Number>().Int32Value();
  const cuda::GpuInfo gpu = orThrow(info.Env(), [&] { return cuda::info(index); });
  auto out = Napi::Object::New(info.Env());
  out["name"] = gpu.name;
  out["capability"] = std::to_string(gpu.capability / 10) + "." + std::to_string(gpu.capability % 10);
  out["processors"] = gpu.processors;
  out["bytes"] = double(gpu.bytes);
  out["freeBytes"] = double(gpu.freeBytes);
  out["graphLaunches"] = double(gpu.graphLaunches);
  out["peerCopies"] = double(gpu.peerCopies);
  return out;
}

Napi::Value cudaCount(const Napi::CallbackInfo& info) { return Napi::Number::New(info.Env(), cuda::count()); }

// An empty string where CUDA can be used, else the reason why not.
Napi::Value cudaAbsence(const Napi::CallbackInfo& info) { return Napi::String::New(info.Env(), cuda::absence()); }

// GPUs without an index, and why; an empty string where there are none.
Napi::Value cudaPassedOver(const Napi::CallbackInfo& info) { return Napi::String::New(info.Env(), cuda::passedOver()); }

}  // namespace

void addDevices(Napi::Env env, Napi::Object exports) {
  exports["idle"] = Napi::Function::New(env, idle, "idle");
  exports["memory"] = Napi::Function::New(env, memory, "memory");
  exports["trim"] = Napi::Function::New(env, trim, "trim");
  exports["resetPeak"] = Napi::Function::New(env, resetPeak, "resetPeak");
  exports["cpuInfo"] = Napi::Function::New(env, cpuInfo, "cpuInfo");
  exports["cudaInfo"] = Napi::Function::New(env, cudaInfo, "cudaInfo");
  exports["cudaCount"] = Napi::Function::New(env, cudaCount, "cudaCount");
  exports["cudaAbsence"] = Napi::Function::New(env, cudaAbsence, "cudaAbsence");
  exports["cudaPassedOver"] = Napi::Function::New(env, cudaPassedOver, "cudaPassedOver");
}
