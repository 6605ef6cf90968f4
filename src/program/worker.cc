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
  ASHLAR_ASSERT(custody.empty());
}

void Worker::post(Bio& bio) noexcept {
  bool was_empty = false;
  {
    const std::lock_guard lock(mutex_);
    was_empty = inbox_.empty();
    inbox_.push_back(bio);
  }
  if (was_empty) wake_.notify_one();
}

void Worker::request_cancel_scan() noexcept {
  {
    const std::lock_guard lock(mutex_);
    scan_wanted_ = true;
  }
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

void Worker::scan_for_cancelled() noexcept {
  for (CustodyRecord* record = custody.empty() ? nullptr : &custody.front(); record != nullptr;
       record = custody.next(*record)) {
    Bio& bio = *record->bio;
    if (!bio.cancel_requested()) continue;
    const std::uint16_t slot = __atomic_load_n(&bio.slot, __ATOMIC_RELAXED);
    if (!cancel_tree(bio, slot)) continue;
    for (const WorkerSlot& other : bio.home->program.workers) {
      if (other.worker != this) other.worker->request_cancel_scan();
    }
  }
}

}  // namespace ashlar
