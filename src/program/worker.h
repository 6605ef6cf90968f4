// A worker: a context with a thread of its own, for detached classes and for queued dispatch.
// It sleeps when its inbox is empty and no timer is armed; no CPU is used then.
//
// With a WorkerDriver it has no thread: the driver decides when it takes a turn. So a simulation
// runs lanes and workers on one thread, in an order that follows from its seed.
#pragma once

#include <thread>

#include "base/mutex.h"
#include "base/wakes.h"
#include "program/context.h"
#include "program/hop.h"

namespace ashlar {

class Worker;

// Runs workers that have no thread of their own. THREAD: the control thread calls these, and so
// does ~Worker; turns are taken on the same thread.
class WorkerDriver {
 public:
  virtual ~WorkerDriver() = default;
  // From now on `worker.turn()` is the driver's to call; not before add() has returned.
  virtual void add(Worker& worker) = 0;
  virtual void remove(Worker& worker) = 0;
};

class Worker final : public Context {
 public:
  // `driver`: null for a thread of its own; else it outlives the worker.
  explicit Worker(const Clock& clock, WorkerDriver* driver = nullptr);
  // Ends the thread. REQUIRES: no bio is in it.
  ~Worker() override;

  void deliver(Mailbox& box) noexcept override;
  void room_in(Mailbox& box) noexcept override;
  void drop(Mailbox& box) noexcept override;

  // Ends what this worker keeps for `body` (LocalState), and returns when that is done.
  // REQUIRES: no request runs `body` any more. THREAD: any but the worker's.
  void forget(const void* body);

  void request_cancel_scan() noexcept override;
  void request_attention() override { request_cancel_scan(); }

  // For drivers: takes the inbox, calls expired timers, runs; returns how many things happened.
  // REQUIRES: the worker has no thread.
  unsigned turn() noexcept;
  // True where a turn would do something now.
  bool wants_turn() const noexcept;
  using Context::until_timer_ns;

 private:
  void main() noexcept;
  void stop() noexcept;
  unsigned work(Arrived& arrived, bool scan) noexcept;
  bool ready() const noexcept ASHLAR_REQUIRES(mutex_);
  void wait() noexcept ASHLAR_REQUIRES(mutex_);
  void forget_now(const void* body);

  mutable Mutex mutex_;
  CondVar wake_;
  Wakes wakes_;
  Mail mail_ ASHLAR_GUARDED_BY(mutex_);
  bool stop_ ASHLAR_GUARDED_BY(mutex_) = false;
  bool scan_wanted_ ASHLAR_GUARDED_BY(mutex_) = false;
  WorkerDriver* const driver_;
  const void* to_forget_ ASHLAR_GUARDED_BY(mutex_) = nullptr;
  CondVar forgotten_;
  std::thread thread_;  // last: it starts when all else is there
};

}  // namespace ashlar
