// What a body also is whose changes may be done and not below yet: a flush sends them there. A
// device over one is flushed before it is closed, where it was open for writing.
#pragma once

namespace ashlar {

// THREAD: any.
class KeepsDirty {
 public:
  virtual ~KeepsDirty() = default;
  // Something is not below at this moment.
  virtual bool dirty() const noexcept = 0;
};

}  // namespace ashlar
