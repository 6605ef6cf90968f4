// What a body also is whose changes may be done and not below yet, or whose devices say that
// somebody is writing: a flush sends the changes there, and with kQuiet the devices say that nobody
// is. A device over one is flushed so before it is closed, where it was open for writing.
#pragma once

namespace ashlar {

// THREAD: any.
class KeepsDirty {
 public:
  virtual ~KeepsDirty() = default;
  // Something is not below at this moment, or not said.
  virtual bool dirty() const noexcept = 0;
};

}  // namespace ashlar
