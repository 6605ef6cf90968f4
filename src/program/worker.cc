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
  wakes_.settle();
  locals().clear();
  ASHLAR_ASSERT(mail_.empty());
}

void Worker::deliver(Mailbox& box) noexcept {
  MutexLock lock(mutex_);
  if (!mail_.put(box)) return;
  const Wakes::Token token(wakes_);
  lock.unlock();
  wake_.notify_one();
}

void Worker::room_in(Mailbox& box) noexcept {
  MutexLock lock(mutex_);
  if (!box.room_link.linked()) mail_.room.push_back(box);
  const Wakes::Token token(wakes_);
  lock.unlock();
  wake_.notify_one();
}

void Worker::forget(Mailbox& box) noexcept {
  const MutexLock lock(mutex_);
  if (box.room_link.linked()) box.room_link.unlink();
}

void Worker::request_cancel_scan() noexcept {
  const MutexLock lock(mutex_);
  scan_wanted_ = true;
  wake_.notify_one();
}

bool Worker::ready() const noexcept {
  return stop_ || scan_wanted_ || !const_cast<Mail&>(mail_).empty();
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
    Arrived arrived;
    bool scan = false;
    {
      const MutexLock lock(mutex_);
      wait();
      take(mail_, arrived);
      scan = std::exchange(scan_wanted_, false);
      if (stop_ && arrived.bios.empty() && !has_work()) return;
    }
    receive(arrived);
    if (scan) {
      scan_for_cancelled();
      locals().attend(*this);
    }
    run_timers();
    run();
    flush_mail();
  }
}

}  // namespace ashlar
