// A worker: a context with a thread of its own, for detached classes and for queued dispatch.
// It sleeps when its inbox is empty and no timer is armed; no CPU is used then.
#pragma once

#include <thread>

#include "base/mutex.h"
#include "program/context.h"
#include "program/hop.h"

namespace ashlar {

class Worker final : public Context {
 public:
  explicit Worker(const Clock& clock);
  // Ends the thread. REQUIRES: no bio is in it.
  ~Worker() override;

  // THREAD: any but the worker's.
  void post(Bio& bio) noexcept override;

  // Ends what this worker keeps for `body` (LocalState), and returns when that is done.
  // REQUIRES: no request runs `body` any more. THREAD: any but the worker's.
  void forget(const void* body);

  void request_cancel_scan() noexcept override;
  void request_attention() override { request_cancel_scan(); }

 private:
  void main() noexcept;
  bool ready() const noexcept ASHLAR_REQUIRES(mutex_);
  void wait() noexcept ASHLAR_REQUIRES(mutex_);
  void forget_now(const void* body);

  Mutex mutex_;
  CondVar wake_;
  RunList inbox_ ASHLAR_GUARDED_BY(mutex_);
  bool stop_ ASHLAR_GUARDED_BY(mutex_) = false;
  bool scan_wanted_ ASHLAR_GUARDED_BY(mutex_) = false;
  const void* to_forget_ ASHLAR_GUARDED_BY(mutex_) = nullptr;
  CondVar forgotten_;
  std::thread thread_;  // last: it starts when all else is there
};

}  // namespace ashlar
