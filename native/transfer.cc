// How a transfer comes about: each queue holds its storage and reports; the later report starts the copy.
#include "transfer.h"
#include <cstring>
#include <mutex>
#include <stdexcept>

void fill(Lane& lane, const Tensor& to, const void* from, size_t bytes) {
  void* target = to.view<Out>().bytes;
  if (lane.gpu) cuda::upload(*lane.gpu, target, from, bytes);
  else if (bytes) std::memcpy(target, from, bytes);  // no bytes have no address
}

void bring(Lane& lane, const Tensor& from, void* to, size_t bytes, std::function<void(Failure)> done) {
  if (const Failure failure = from.storage->failed()) return done(failure);
  const void* source = from.view<In>().bytes;
  if (lane.gpu) return cuda::download(*lane.gpu, to, source, bytes, std::move(done));
  if (bytes) std::memcpy(to, source, bytes);
  done(from.storage->failed());
}

namespace {

class Transfer : public std::enable_shared_from_this<Transfer> {
 public:
  Transfer(Lane& source, Lane& target, Tensor from, Tensor to)
      : source_(source), target_(target), from_(std::move(from)), to_(std::move(to)) {}

  void queue() {
    source_.queue->push([self = shared_from_this()] { self->atSource(); }, {{from_.storage.get(), false}});
    target_.queue->push([self = shared_from_this()] { self->atTarget(); }, {{to_.storage.get(), true}});
  }

 private:
  void atSource() {
    source_.queue->hold(from_.storage.get(), false);
    Failure failure = from_.storage->failed();
    if (!failure) failure = attempt([&] { bytesFrom_ = from_.view<In>().bytes; });
    report(std::move(failure));
  }

  void atTarget() {
    target_.queue->hold(to_.storage.get(), true);
    const Failure failure = attempt([&] {
      bytesTo_ = to_.view<Out>().bytes;
      // Another GPU's stream must not write a block that this one's earlier kernels still use.
      if (source_.gpu && target_.gpu)
        cuda::whenReached(*target_.gpu,
                          [self = shared_from_this()](Failure failure) { self->report(std::move(failure)); });
    });
    if (failure || !source_.gpu || !target_.gpu) report(failure);
  }

  // Once for each side, from any thread.
  void report(Failure failure) {
    {
      std::lock_guard lock(mutex_);
      if (failure && !failure_) failure_ = std::move(failure);
      if (++reports_ < 2) return;
    }
    if (failure_) return end(failure_);
    Lane& copying = source_.gpu ? source_ : target_;
    copying.queue->interrupt([self = shared_from_this()] {
      if (const Failure failure = attempt([&] { self->copy(); })) self->end(failure);
    });
  }

  void copy() {
    const size_t bytes = from_.byteCount();
    const auto done = [self = shared_from_this()](Failure failure) { self->end(std::move(failure)); };
    if (source_.gpu && target_.gpu)
      return cuda::copyAcross(*source_.gpu, *target_.gpu, bytesTo_, bytesFrom_, bytes, done);
    if (source_.gpu) return cuda::download(*source_.gpu, bytesTo_, bytesFrom_, bytes, done);
    fill(target_, to_, bytesFrom_, bytes);
    done(from_.storage->failed());
  }

  // From any thread.
  void end(Failure failure) {
    source_.queue->interrupt([self = shared_from_this()] { self->source_.queue->release(self->from_.storage.get()); });
    target_.queue->interrupt([self = shared_from_this(), failure = std::move(failure)] {
      if (failure) self->to_.storage->failure = failure;
      self->target_.queue->release(self->to_.storage.get());
    });
  }

  template <class Body>
  static Failure attempt(Body body) {
    try {
      body();
      return nullptr;
    } catch (const std::exception& e) {
      return std::make_shared<std::string>(std::string("transfer: ") + e.what());
    }
  }

  Lane &source_, &target_;
  const Tensor from_, to_;
  void *bytesFrom_ = nullptr, *bytesTo_ = nullptr;
  std::mutex mutex_;
  Failure failure_;
  int reports_ = 0;
};

}  // namespace

void transfer(Lane& source, Lane& target, Tensor from, Tensor to) {
  std::make_shared<Transfer>(source, target, std::move(from), std::move(to))->queue();
}
