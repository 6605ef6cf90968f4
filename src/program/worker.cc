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
  ASHLAR_ASSERT(mail_.empty());
}

void Worker::stop() noexcept {
  {
    const MutexLock lock(mutex_);
    stop_ = true;
  }
  wake_.notify_one();
  thread_.join();
  wakes_.settle();
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

void Worker::drop(Mailbox& box) noexcept {
  const MutexLock lock(mutex_);
  if (box.room_link.linked()) box.room_link.unlink();
}

void Worker::request_cancel_scan() noexcept {
  const MutexLock lock(mutex_);
  scan_wanted_ = true;
  wake_.notify_one();
}

void Worker::forget(const void* body) {
  if (driver_ != nullptr) {
    if (locals().find(body) != nullptr) locals().forget(body);
    return;
  }
  const MutexLock lock(mutex_);
  while (to_forget_ != nullptr) forgotten_.wait(mutex_);
  to_forget_ = body;
  wake_.notify_one();
  while (to_forget_ == body) forgotten_.wait(mutex_);
}

bool Worker::ready() const noexcept {
  return stop_ || scan_wanted_ || to_forget_ != nullptr || !const_cast<Mail&>(mail_).empty();
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
    Arrived arrived;
    bool scan = false;
    const void* forgotten = nullptr;
    {
      const MutexLock lock(mutex_);
      wait();
      take(mail_, arrived);
      scan = std::exchange(scan_wanted_, false);
      forgotten = to_forget_;
      if (stop_ && arrived.bios.empty() && !has_work()) return;
    }
    if (forgotten != nullptr) forget_now(forgotten);
    work(arrived, scan);
  }
}

unsigned Worker::work(Arrived& arrived, bool scan) noexcept {
  receive(arrived);
  if (scan) {
    scan_for_cancelled();
    locals().attend(*this);
  }
  const unsigned count = run_timers() + run();
  flush_mail();
  return count;
}

unsigned Worker::turn() noexcept {
  ASHLAR_ASSERT(driver_ != nullptr);
  Arrived arrived;
  bool scan = false;
  {
    const MutexLock lock(mutex_);
    take(mail_, arrived);
    scan = std::exchange(scan_wanted_, false);
  }
  return work(arrived, scan) + (scan ? 1 : 0);
}

bool Worker::wants_turn() const noexcept {
  const MutexLock lock(mutex_);
  return ready() || has_work() || until_timer_ns() == 0;
}

}  // namespace ashlar
