// The worker's loop: sleep, take the inbox, run.
#include "program/worker.h"

#include <utility>

namespace ashlar {
namespace {

constexpr LockClass kInboxLock{"worker.inbox"};

}  // namespace

Worker::Worker(const Clock& clock, WorkerDriver* driver)
    : Context(clock), mutex_(kInboxLock), driver_(driver) {
  if (driver_ != nullptr) {
    driver_->add(*this);
  } else {
    thread_ = std::thread([this] { main(); });
  }
}

Worker::~Worker() {
  if (driver_ != nullptr) {
    driver_->remove(*this);
  } else {
    stop();
  }
  locals().clear();
  ASHLAR_ASSERT(inbox_.empty());
}

void Worker::stop() noexcept {
  {
    const MutexLock lock(mutex_);
    stop_ = true;
  }
  wake_.notify_one();
  thread_.join();
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

bool Worker::ready() const noexcept {
  return stop_ || scan_wanted_ || !const_cast<RunList&>(inbox_).empty();
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

void Worker::main() noexcept {
  for (;;) {
    RunList arrived;
    bool scan = false;
    {
      const MutexLock lock(mutex_);
      wait();
      arrived.splice_back(inbox_);
      scan = std::exchange(scan_wanted_, false);
      if (stop_ && arrived.empty() && !has_work()) return;
    }
    work(arrived, scan);
  }
}

unsigned Worker::work(RunList& arrived, bool scan) noexcept {
  receive(arrived);
  if (scan) {
    scan_for_cancelled();
    locals().attend(*this);
  }
  const unsigned timers = run_timers();
  return timers + run();
}

unsigned Worker::turn() noexcept {
  ASHLAR_ASSERT(driver_ != nullptr);
  RunList arrived;
  bool scan = false;
  {
    const MutexLock lock(mutex_);
    arrived.splice_back(inbox_);
    scan = std::exchange(scan_wanted_, false);
  }
  return work(arrived, scan) + (scan ? 1 : 0);
}

bool Worker::wants_turn() const noexcept {
  const MutexLock lock(mutex_);
  return ready() || has_work() || until_timer_ns() == 0;
}

}  // namespace ashlar
