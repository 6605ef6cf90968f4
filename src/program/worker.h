// A worker: a context with a thread of its own, for detached classes and for queued dispatch.
// It sleeps when its inbox is empty and no timer is armed; no CPU is used then.
#pragma once

#include <condition_variable>
#include <mutex>
#include <string>
#include <thread>

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

  void request_cancel_scan() noexcept override;
  void request_attention() override { request_cancel_scan(); }

 private:
  void main() noexcept;
  void wait(std::unique_lock<std::mutex>& lock) noexcept;

  std::mutex mutex_;
  std::condition_variable wake_;
  RunList inbox_;             // guarded by mutex_
  bool stop_ = false;         // guarded by mutex_
  bool scan_wanted_ = false;  // guarded by mutex_
  std::thread thread_;        // last: it starts when all else is there
};

}  // namespace ashlar
