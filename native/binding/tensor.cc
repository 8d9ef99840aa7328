// Tensors and mapped files in JavaScript: making, viewing, filling, reading and releasing them.
//
// lib/core/tensor.ts and lib/files/mapped.ts are the only callers, and check what they pass.
#include <algorithm>
#include <cstring>
#include "../transfer.h"
#include "call.h"
#include "environment.h"
#include "exports.h"

Tensor& tensorOf(napi_env env, napi_value handle) {
  void* data = nullptr;
  if (napi_get_value_external(env, handle, &data) != napi_ok || !data)
    throw std::runtime_error("not a tensor's handle");
  Tensor& tensor = *static_cast<Tensor*>(data);
  if (!tensor.storage) throw std::runtime_error("a tensor was used after dispose()");
  return tensor;
}

namespace {

// The tensor that made a storage reports its bytes to V8; views report none.
struct Handle : Tensor {
  int64_t external = 0;
};

Napi::Value wrap(Napi::Env env, Tensor tensor, int64_t external = 0) {
  Environment::of(env).external(external);
  auto* handle = new Handle{std::move(tensor), external};
  return Napi::External<Tensor>::New(env, handle, [](Napi::Env env, Tensor* tensor) {
    auto* handle = static_cast<Handle*>(tensor);
    if (handle->external)
      if (auto* environment = env.GetInstanceData<Environment>()) environment->external(-handle->external);
    delete handle;
  });
}

int64_t integer(Napi::Value value) { return value.As<Napi::Number>().Int64Value(); }

// A guard of View's arrays. lib/core/tensor.ts refuses more axes with a sentence of its own.
void checkRank(int rank) {
  if (rank < 0 || rank > maxRank) throw std::runtime_error("a tensor has at most 6 axes");
}

// Reads `rank` sizes from the arguments that start at `first`, and sets row-major strides.
View shaped(const Napi::CallbackInfo& info, DType dtype, size_t first, int rank) {
  View view;
  checkRank(rank);
  view.dtype = dtype;
  view.rank = rank;
  int64_t stride = 1;
  for (int i = rank - 1; i >= 0; i--) {
    view.shape[i] = integer(info[first + i]);
    view.strides[i] = stride;
    stride *= view.shape[i];
  }
  return view;
}

// create(dtype, kind, index, ...shape)
Napi::Value create(const Napi::CallbackInfo& info) {
  Tensor t;
  t.layout = shaped(info, DType(integer(info[0])), 3, int(info.Length()) - 3);
  const size_t bytes = t.byteCount();
  t.storage = std::make_shared<Storage>(Place{Place::Kind(integer(info[1])), uint8_t(integer(info[2]))}, bytes);
  // V8 ends the process at a report larger than its address space. A lack of memory shows when a call takes the bytes.
  constexpr size_t most = size_t(1) << 30;
  return wrap(info.Env(), std::move(t), int64_t(std::min(bytes, most)));
}

// view(handle, offset, ...shape, ...strides): offset in elements from where the handle's tensor starts.
Napi::Value view(const Napi::CallbackInfo& info) {
  Tensor t = tensorOf(info.Env(), info[0]);
  t.offset += integer(info[1]);
  const int rank = int(info.Length() - 2) / 2;
  checkRank(rank);
  t.layout.rank = rank;
  for (int i = 0; i < rank; i++) {
    t.layout.shape[i] = integer(info[2 + i]);
    t.layout.strides[i] = integer(info[2 + rank + i]);
  }
  return wrap(info.Env(), std::move(t));
}

// Queues `work`; what it throws marks the tensor that it should have filled.
template <class Work>
void pushFilling(Lane& lane, const char* name, Tensor t, Work work) {
  Uses uses{{t.storage.get(), true}};
  lane.queue->push(
      [&lane, name, t = std::move(t), work = std::move(work)] {
        try {
          work(lane, t);
        } catch (const std::exception& e) {
          t.storage->failure = std::make_shared<std::string>(std::string(name) + ": " + e.what());
        }
      },
      std::move(uses));
}

// write(handle, bytes): copies at once, and lands in the order of the queue. The tensor is contiguous.
void writeTensor(const Napi::CallbackInfo& info) {
  Tensor t = tensorOf(info.Env(), info[0]);
  const auto from = info[1].As<Napi::Uint8Array>();
  std::vector<uint8_t> bytes(from.Data(), from.Data() + from.ByteLength());
  Lane& lane = Environment::of(info.Env()).lane(t.place());
  pushFilling(lane, "write", std::move(t),
              [bytes = std::move(bytes)](Lane& lane, const Tensor& t) { fill(lane, t, bytes.data(), bytes.size()); });
}

// read(handle, buffer): a promise of the buffer with the bytes in it, once every call before it has run. The tensor is
// contiguous and as large as the buffer. JavaScript makes the buffer, because V8 ends the process where it has no room for
// one that is made here.
Napi::Value readTensor(const Napi::CallbackInfo& info) {
  Tensor t = tensorOf(info.Env(), info[0]);
  auto buffer = info[1].As<Napi::ArrayBuffer>();
  void* to = buffer.Data();
  const size_t bytes = buffer.ByteLength();
  Uses uses{{t.storage.get(), false}};
  return Environment::of(info.Env())
      .after(
          t.place(), std::move(uses),
          [t, to, bytes](Lane& lane, Environment::Done done) {
            try {
              bring(lane, t, to, bytes, std::move(done));
            } catch (const std::exception& e) {
              throw std::runtime_error(std::string("read: ") + e.what());
            }
          },
          buffer);
}

// transfer(to, from): copies between contiguous tensors of different devices, behind what both queues hold of them.
void transferTensor(const Napi::CallbackInfo& info) {
  Environment& environment = Environment::of(info.Env());
  Tensor to = tensorOf(info.Env(), info[0]), from = tensorOf(info.Env(), info[1]);
  Lane& source = environment.lane(from.place());
  Lane& target = environment.lane(to.place());
  // A mapped file's bytes are there, and need not wait for the source's queue.
  if (source.gpu || !from.storage->mapped()) return transfer(source, target, std::move(from), std::move(to));
  pushFilling(target, "transfer", std::move(to), [from](Lane& lane, const Tensor& t) {
    fill(lane, t, from.view<In>().bytes, from.byteCount());
    if (const Failure failure = from.storage->failed()) throw std::runtime_error(*failure);
  });
}

// release(handle): gives up the tensor's share of its storage. Calls that are queued keep theirs.
void release(const Napi::CallbackInfo& info) {
  auto* handle = static_cast<Handle*>(info[0].As<Napi::External<Tensor>>().Data());
  if (handle->external) Environment::of(info.Env()).external(-handle->external);
  handle->external = 0;
  handle->storage.reset();
}

using FileHandle = std::shared_ptr<MappedFile>;

Napi::Value mapFile(const Napi::CallbackInfo& info) {
  try {
    auto* file = new FileHandle(std::make_shared<MappedFile>(info[0].As<Napi::String>().Utf8Value()));
    auto handle = Napi::External<FileHandle>::New(info.Env(), file, [](Napi::Env, FileHandle* f) { delete f; });
    auto out = Napi::Object::New(info.Env());
    out["handle"] = handle;
    out["bytes"] = Napi::Number::New(info.Env(), double((*file)->size()));
    return out;
  } catch (const std::exception& e) {
    throw Napi::Error::New(info.Env(), e.what());
  }
}

// mappedBytes(file, offset, length): a copy.
Napi::Value mappedBytes(const Napi::CallbackInfo& info) {
  const MappedFile& file = **info[0].As<Napi::External<FileHandle>>().Data();
  const int64_t offset = integer(info[1]), length = integer(info[2]);
  auto out = Napi::Uint8Array::New(info.Env(), size_t(length));
  if (length) std::memcpy(out.Data(), file.data() + offset, size_t(length));
  if (file.isCut()) throw Napi::Error::New(info.Env(), file.shortened());
  return out;
}

// mappedTensor(file, offset, dtype, ...shape): a tensor in place, or a copy where the offset does not suit the dtype.
Napi::Value mappedTensor(const Napi::CallbackInfo& info) {
  const FileHandle& file = *info[0].As<Napi::External<FileHandle>>().Data();
  const int64_t offset = integer(info[1]);
  Tensor t;
  t.layout = shaped(info, DType(integer(info[2])), 3, int(info.Length()) - 3);
  const size_t bytes = t.byteCount();
  auto* data = const_cast<uint8_t*>((*file).data()) + offset;
  if (reinterpret_cast<uintptr_t>(data) % format(t.layout.dtype).alignment == 0) {
    t.storage = std::make_shared<Storage>(Place{}, bytes, data, file);
    return wrap(info.Env(), std::move(t));
  }
  try {
    t.storage = std::make_shared<Storage>(Place{}, bytes);
    std::memcpy(t.storage->bytes(), data, bytes);
    if (file->isCut()) throw std::runtime_error(file->shortened());
  } catch (const std::exception& e) {
    throw Napi::Error::New(info.Env(), e.what());
  }
  return wrap(info.Env(), std::move(t), int64_t(bytes));
}

// unmap(file): the mapping ends with the last tensor in it.
void unmap(const Napi::CallbackInfo& info) { info[0].As<Napi::External<FileHandle>>().Data()->reset(); }

using Recording = std::vector<Environment::Recording>;

void startRecording(const Napi::CallbackInfo& info) {
  try {
    Environment::of(info.Env()).startRecording();
  } catch (const std::exception& e) {
    throw Napi::Error::New(info.Env(), e.what());
  }
}

Napi::Value stopRecording(const Napi::CallbackInfo& info) {
  auto* recording = new Recording(Environment::of(info.Env()).stopRecording());
  return Napi::External<Recording>::New(info.Env(), recording, [](Napi::Env, Recording* r) { delete r; });
}

void replay(const Napi::CallbackInfo& info) {
  for (const auto& [place, recorded] : *info[0].As<Napi::External<Recording>>().Data())
    Environment::of(info.Env()).queue(place).replay(recorded);
}

void dropRecording(const Napi::CallbackInfo& info) { info[0].As<Napi::External<Recording>>().Data()->clear(); }

// The formats that tensors can have; a format's place is its number.
Napi::Array formatList(Napi::Env env) {
  auto list = Napi::Array::New(env);
  for (const Format& f : formats) {
    auto entry = Napi::Object::New(env);
    entry["name"] = f.name;
    entry["blockElements"] = f.blockElements;
    entry["blockBytes"] = f.blockBytes;
    list[list.Length()] = entry;
  }
  return list;
}

}  // namespace

void addTensors(Napi::Env env, Napi::Object exports) {
  exports["formats"] = formatList(env);
  exports["create"] = Napi::Function::New(env, create, "create");
  exports["view"] = Napi::Function::New(env, view, "view");
  exports["write"] = Napi::Function::New(env, writeTensor, "write");
  exports["transfer"] = Napi::Function::New(env, transferTensor, "transfer");
  exports["read"] = Napi::Function::New(env, readTensor, "read");
  exports["release"] = Napi::Function::New(env, release, "release");
  exports["mapFile"] = Napi::Function::New(env, mapFile, "mapFile");
  exports["mappedBytes"] = Napi::Function::New(env, mappedBytes, "mappedBytes");
  exports["mappedTensor"] = Napi::Function::New(env, mappedTensor, "mappedTensor");
  exports["unmap"] = Napi::Function::New(env, unmap, "unmap");
  exports["startRecording"] = Napi::Function::New(env, startRecording, "startRecording");
  exports["stopRecording"] = Napi::Function::New(env, stopRecording, "stopRecording");
  exports["replay"] = Napi::Function::New(env, replay, "replay");
  exports["dropRecording"] = Napi::Function::New(env, dropRecording, "dropRecording");
}
