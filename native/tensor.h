// Tensor: a shaped, strided view of a Storage that keeps the Storage alive. Copying a Tensor copies no bytes.
#pragma once
#include "storage.h"
#include "view.h"

struct Tensor {
  std::shared_ptr<Storage> storage;
  int64_t offset = 0;  // elements from the start of the storage to the first one
  View layout;         // its `bytes` stay null: they are known when the call runs

  Place place() const { return storage->place; }

  // Bytes from the first element to the last of a contiguous tensor.
  size_t byteCount() const {
    const Format& f = format(layout.dtype);
    return size_t(layout.size() / f.blockElements * f.blockBytes);
  }

  // The view for a kernel that is about to run.
  template <class Kind>
  Kind view() const {
    Kind view;
    if (!storage) return view;
    static_cast<View&>(view) = layout;
    const Format& f = format(layout.dtype);
    view.bytes = static_cast<char*>(storage->bytes()) + offset / f.blockElements * f.blockBytes;
    return view;
  }
};
