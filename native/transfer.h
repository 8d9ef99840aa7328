// Copies of tensors: between devices, and between a device and the host.
#pragma once
#include <cstddef>
#include <functional>
#include "lane.h"
#include "tensor.h"

// Fills a contiguous tensor from host memory, on its queue's thread. @throws std::runtime_error
void fill(Lane& lane, const Tensor& to, const void* from, size_t bytes);

// Brings the bytes of a contiguous tensor to host memory, on its queue's thread; `done` may be called on another.
// @throws std::runtime_error
void bring(Lane& lane, const Tensor& from, void* to, size_t bytes, std::function<void(Failure)> done);

// Queues a copy between contiguous tensors of two devices. It starts when both queues have come to it, and no queue waits
// for it: only tasks that use the two storages do (Queue::hold). A failure of the source becomes the target's.
void transfer(Lane& source, Lane& target, Tensor from, Tensor to);
