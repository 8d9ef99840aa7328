// Turns a kernel into a JavaScript function. The kernel's own signature says how to read the arguments.
//
// A queued call owns its Tensors, so disposing of them in JavaScript is always safe.
#pragma once
#include <stdexcept>
#include <tuple>
#include <utility>
#include <vector>
#include "../tensor.h"
#include "lane.h"

// A tensor's handle in JavaScript is an External that points to a Tensor; null and undefined stand for no tensor.
Tensor& tensorOf(napi_env env, napi_value handle);

// An argument between the call and the run: `read` takes it from JavaScript, `pass` gives it to the kernel.
template <class T>
struct Argument {  // numbers and booleans
  T value;
  void read(napi_env env, napi_value from) {
    if constexpr (std::is_same_v<T, bool>) {
      napi_get_value_bool(env, from, &value);
    } else {
      double number = 0;
      napi_get_value_double(env, from, &number);
      value = T(number);
    }
  }
  T pass() { return value; }
  void addUses(Uses&) const {}
  Failure failure() const { return nullptr; }
  void fail(const Failure&) {}
  const Tensor* first() const { return nullptr; }
};

template <class Kind>
struct TensorArgument {
  Tensor tensor;
  void read(napi_env env, napi_value from) {
    napi_valuetype type;
    napi_typeof(env, from, &type);
    if (type == napi_external) tensor = tensorOf(env, from);
  }
  Kind pass() { return tensor.view<Kind>(); }
  void addUses(Uses& to) const {
    if (tensor.storage) to.push_back({tensor.storage.get(), std::is_same_v<Kind, Out>});
  }
  Failure failure() const { return tensor.storage ? tensor.storage->failed() : nullptr; }
  void fail(const Failure& failure) {
    if (std::is_same_v<Kind, Out> && tensor.storage) tensor.storage->failure = failure;
  }
  const Tensor* first() const { return tensor.storage ? &tensor : nullptr; }
};
template <>
struct Argument<In> : TensorArgument<In> {};
template <>
struct Argument<Out> : TensorArgument<Out> {};

template <class Kind>
struct Argument<List<Kind>> {
  std::vector<TensorArgument<Kind>> tensors;
  std::vector<Kind> views;
  void read(napi_env env, napi_value from) {
    uint32_t count = 0;
    napi_get_array_length(env, from, &count);
    tensors.resize(count);
    for (uint32_t i = 0; i < count; i++) {
      napi_value item;
      napi_get_element(env, from, i, &item);
      tensors[i].read(env, item);
    }
  }
  List<Kind> pass() {
    views.clear();
    for (auto& t : tensors) views.push_back(t.pass());
    return {views.data(), int(views.size())};
  }
  void addUses(Uses& to) const {
    for (const auto& t : tensors) t.addUses(to);
  }
  Failure failure() const {
    for (const auto& t : tensors)
      if (Failure failure = t.failure()) return failure;
    return nullptr;
  }
  void fail(const Failure& failure) {
    for (auto& t : tensors) t.fail(failure);
  }
  const Tensor* first() const { return tensors.empty() ? nullptr : tensors[0].first(); }
};

template <class Device, class... Args>
class Call final : public Job {
 public:
  using Kernel = void (*)(Device&, Args...);
  Call(const char* name, Kernel kernel, Device& device, std::tuple<Argument<Args>...> arguments)
      : name_(name), kernel_(kernel), device_(device), arguments_(std::move(arguments)) {}

  Failure blocked() const override {
    return std::apply(
        [](const auto&... argument) {
          Failure failure;
          ((failure = failure ? failure : argument.failure()), ...);
          return failure;
        },
        arguments_);
  }

  void addUses(Uses& to) const override {
    std::apply([&](const auto&... argument) { (argument.addUses(to), ...); }, arguments_);
  }

  void forgive() override {
    std::apply([](auto&... argument) { (argument.fail(nullptr), ...); }, arguments_);
  }

  Failure run() override {
    Failure failure = blocked();
    return std::apply(
        [&](auto&... argument) {
          if (!failure) try {
              kernel_(device_, argument.pass()...);
              if constexpr (std::is_same_v<Device, cuda::Device>) cuda::afterKernel(device_);
              failure = blocked();  // the bytes of a mapped file may have gone meanwhile
              if (!failure) return failure;
            } catch (const std::exception& e) {
              failure = std::make_shared<std::string>(std::string(name_) + ": " + e.what());
            }
          (argument.fail(failure), ...);
          return failure;
        },
        arguments_);
  }

 private:
  const char* name_;
  Kernel kernel_;
  Device& device_;
  std::tuple<Argument<Args>...> arguments_;
};

// Queues one kernel call on the device of its first tensor, and returns at once.
template <class... Args>
napi_value call(napi_env env, napi_callback_info info, const char* name, void (*onCpu)(cpu::Device&, Args...),
                void (*onCuda)(cuda::Device&, Args...)) {
  napi_value values[sizeof...(Args)];
  size_t count = sizeof...(Args);
  napi_get_cb_info(env, info, &count, values, nullptr, nullptr);
  try {
    std::tuple<Argument<Args>...> arguments;
    const Tensor* first = nullptr;
    size_t i = 0;
    std::apply([&](auto&... argument) { (argument.read(env, values[i++]), ...); }, arguments);
    std::apply([&](auto&... argument) { ((first = first ? first : argument.first()), ...); }, arguments);
    if (!first) throw std::runtime_error("no tensor was given");
    Lane& lane = laneOf(env, first->place());
    if (lane.gpu)
      lane.queue->push(std::make_shared<Call<cuda::Device, Args...>>(name, onCuda, *lane.gpu, std::move(arguments)));
    else
      lane.queue->push(std::make_shared<Call<cpu::Device, Args...>>(name, onCpu, cpu::device(), std::move(arguments)));
  } catch (const std::exception& e) {
    napi_throw_error(env, nullptr, (std::string(name) + ": " + e.what()).c_str());
  }
  return nullptr;
}
