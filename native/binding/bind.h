// Binds a family of kernels to JavaScript. CMake writes one source per header in native/kernels/, which includes that
// header and this one, so that a new kernel recompiles the binding of its family alone.
#pragma once
#include "call.h"

struct Bound {
  const char* name;
  napi_callback function;
};

inline void bind(napi_env env, napi_value exports, const Bound& bound) {
  napi_value function;
  napi_create_function(env, bound.name, NAPI_AUTO_LENGTH, bound.function, nullptr, &function);
  napi_set_named_property(env, exports, bound.name, function);
}

#define BIND_KERNEL(name, ...)                                                                     \
  bind(env, exports, {#name, [](napi_env env, napi_callback_info info) {                           \
                        return call(env, info, #name, (cpuTableOf(env).*table)->name, cuda::name); \
                      }});

// Adds the family's kernels to `exports`.
#define BIND_FAMILY(family)                              \
  void bind_##family(napi_env env, napi_value exports) { \
    constexpr auto table = &cpu::Table::family;          \
    KERNELS_##family(BIND_KERNEL)                        \
  }
