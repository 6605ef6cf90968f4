// A worker: a context with a thread of its own, for detached classes and for queued dispatch.
// It sleeps when its inbox is empty and no timer is armed; no CPU is used then.
#pragma once

#include <thread>

#include "base/mutex.h"
#include "base/wakes.h"
#include "program/context.h"
#include "program/hop.h"

namespace ashlar {

class Worker final : public Context {
 public:
  explicit Worker(const Clock& clock);
  // Ends the thread. REQUIRES: no bio is in it.
  ~Worker() override;

  void deliver(Mailbox& box) noexcept override;
  void room_in(Mailbox& box) noexcept override;
  void forget(Mailbox& box) noexcept override;
  void request_cancel_scan() noexcept override;
  void request_attention() override { request_cancel_scan(); }

 private:
  void main() noexcept;
  bool ready() const noexcept ASHLAR_REQUIRES(mutex_);
  void wait() noexcept ASHLAR_REQUIRES(mutex_);

  Mutex mutex_;
  CondVar wake_;
  Wakes wakes_;
  Mail mail_ ASHLAR_GUARDED_BY(mutex_);
  bool stop_ ASHLAR_GUARDED_BY(mutex_) = false;
  bool scan_wanted_ ASHLAR_GUARDED_BY(mutex_) = false;
  std::thread thread_;  // last: it starts when all else is there
};

}  // namespace ashlar
