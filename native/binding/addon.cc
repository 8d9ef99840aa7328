// The addon's exports: the kernels, one function each, and what tensor.cc and device.cc add.
#include "call.h"
#include "exports.h"

namespace {

#define BIND(name, ...)                                                                            \
  napi_value name(napi_env env, napi_callback_info info) {                                         \
    return call(env, info, #name, Environment::of(env).cpuPath().table->name, cuda::name);         \
  }
namespace bound {
KERNELS(BIND)
}
#undef BIND

Napi::Object start(Napi::Env env, Napi::Object exports) {
  env.SetInstanceData(new Environment(env));
  addTensors(env, exports);
  addDevices(env, exports);

  Napi::Object kernels = Napi::Object::New(env);
#define ENTRY(name, ...)                                                                            \
  {                                                                                                 \
    napi_value function;                                                                            \
    napi_create_function(env, #name, NAPI_AUTO_LENGTH, bound::name, nullptr, &function);            \
    kernels[#name] = Napi::Value(env, function);                                                    \
  }
  KERNELS(ENTRY)
#undef ENTRY
  exports["kernels"] = kernels;
  return exports;
}

}  // namespace

NODE_API_MODULE(helvetia, start)
