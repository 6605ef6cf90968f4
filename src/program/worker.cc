// The worker's loop: sleep, take the inbox, run.
#include "program/worker.h"

#include <utility>

namespace ashlar {
namespace {

constexpr LockClass kInboxLock{"worker.inbox"};

}  // namespace

Worker::Worker(const Clock& clock)
    : Context(clock), mutex_(kInboxLock), thread_([this] { main(); }) {}

Worker::~Worker() {
  {
    const MutexLock lock(mutex_);
    stop_ = true;
  }
  wake_.notify_one();
  thread_.join();
  locals().clear();
  ASHLAR_ASSERT(inbox_.empty());
}

// Under the lock: a bio that is out of the inbox may be the worker's last, and then nobody may be
// on the way to its condition variable.
void Worker::post(Bio& bio) noexcept {
  const MutexLock lock(mutex_);
  const bool was_empty = inbox_.empty();
  inbox_.push_back(bio);
  if (was_empty) wake_.notify_one();
}

void Worker::request_cancel_scan() noexcept {
  const MutexLock lock(mutex_);
  scan_wanted_ = true;
  wake_.notify_one();
}

void Worker::forget(const void* body) {
  const MutexLock lock(mutex_);
  while (to_forget_ != nullptr) forgotten_.wait(mutex_);
  to_forget_ = body;
  wake_.notify_one();
  while (to_forget_ == body) forgotten_.wait(mutex_);
}

bool Worker::ready() const noexcept {
  return stop_ || scan_wanted_ || to_forget_ != nullptr || !const_cast<RunList&>(inbox_).empty();
}

void Worker::wait() noexcept {
  if (has_work()) return;
  const std::int64_t nap = until_timer_ns();
  if (nap < 0) {
    while (!ready()) wake_.wait(mutex_);
    return;
  }
  // The clock of timers is injected; the nap is on the system's.
  const auto end = static_cast<long long>(system_clock().now_ns()) + nap;
  while (nap > 0 && !ready() && wake_.wait_until(mutex_, end)) {
  }
}

void Worker::forget_now(const void* body) {
  if (locals().find(body) != nullptr) locals().forget(body);
  const MutexLock lock(mutex_);
  to_forget_ = nullptr;
  forgotten_.notify_all();
}

void Worker::main() noexcept {
  for (;;) {
    RunList arrived;
    bool scan = false;
    const void* forgotten = nullptr;
    {
      const MutexLock lock(mutex_);
      wait();
      arrived.splice_back(inbox_);
      scan = std::exchange(scan_wanted_, false);
      forgotten = to_forget_;
      if (stop_ && arrived.empty() && !has_work()) return;
    }
    receive(arrived);
    if (scan) {
      scan_for_cancelled();
      locals().attend(*this);
    }
    if (forgotten != nullptr) forget_now(forgotten);
    run_timers();
    run();
  }
}

}  // namespace ashlar
