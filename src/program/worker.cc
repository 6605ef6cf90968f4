// The worker's loop: sleep, take the inbox, run.
#include "program/worker.h"

#include <chrono>

namespace ashlar {

Worker::Worker(const Clock& clock) : Context(clock), thread_([this] { main(); }) {}

Worker::~Worker() {
  {
    const std::lock_guard lock(mutex_);
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
  const std::lock_guard lock(mutex_);
  const bool was_empty = inbox_.empty();
  inbox_.push_back(bio);
  if (was_empty) wake_.notify_one();
}

void Worker::request_cancel_scan() noexcept {
  const std::lock_guard lock(mutex_);
  scan_wanted_ = true;
  wake_.notify_one();
}

void Worker::wait(std::unique_lock<std::mutex>& lock) noexcept {
  const auto ready = [this] { return stop_ || scan_wanted_ || !inbox_.empty(); };
  if (has_work()) return;
  const std::int64_t nap = until_timer_ns();
  if (nap < 0) {
    wake_.wait(lock, ready);
  } else if (nap > 0) {
    wake_.wait_for(lock, std::chrono::nanoseconds(nap), ready);
  }
}

void Worker::main() noexcept {
  for (;;) {
    RunList arrived;
    bool scan = false;
    {
      std::unique_lock lock(mutex_);
      wait(lock);
      arrived.splice_back(inbox_);
      scan = std::exchange(scan_wanted_, false);
      if (stop_ && arrived.empty() && !has_work()) return;
    }
    receive(arrived);
    if (scan) {
      scan_for_cancelled();
      locals().attend(*this);
    }
    run_timers();
    run();
  }
}

}  // namespace ashlar
