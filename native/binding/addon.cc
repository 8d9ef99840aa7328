// The addon's exports: the kernels, one function each, and what tensor.cc and device.cc add.
#include "../families.h"
#include "environment.h"
#include "exports.h"

// See bind.h.
#define FAMILY(name) void bind_##name(napi_env env, napi_value exports);
FAMILIES(FAMILY)
#undef FAMILY

namespace {

Napi::Object start(Napi::Env env, Napi::Object exports) {
  env.SetInstanceData(new Environment(env));
  addTensors(env, exports);
  addDevices(env, exports);
  Napi::Object kernels = Napi::Object::New(env);
#define FAMILY(name) bind_##name(env, kernels);
  FAMILIES(FAMILY)
#undef FAMILY
  exports["kernels"] = kernels;
  return exports;
}

}  // namespace

NODE_API_MODULE(helvetia, start)
