// Invariants: (1) a job is free, or a request's; (2) nobody waits for a job while one is free; (3)
// who wakes a context holds the lock until it has done so: the context cannot end before, since the
// request that is woken is in it.
#include "class/cache/job.h"

namespace ashlar::cache_layer {

Jobs::Jobs(cache::BufferCache& cache, std::uint32_t count, std::uint32_t pins_each)
    : cache_(cache), pins_each_(pins_each), all_(count) {
  const bool reserved = cache_.try_reserve(std::uint64_t{count} * pins_each);
  ASHLAR_ASSERT(reserved && count > 0 && pins_each <= kMostPins);
  const MutexLock lock(mutex_);
  for (Job& each : all_) {
    each.home = this;
    each.waiter.user = &each;
    each.waiter.wake = [](cache::Waiter& waiter) noexcept {
      Job& job = *static_cast<Job*>(waiter.user);
      const MutexLock its_lock(job.home->mutex_);
      job.home->wake(job);
    };
    free_.push_back(each);
  }
}

Jobs::~Jobs() {
  const MutexLock lock(mutex_);
  std::size_t free = 0;
  while (free_.pop_front() != nullptr) ++free;
  ASHLAR_ASSERT(free == all_.size() && turns_.empty());
  cache_.unreserve(std::uint64_t{pins_each_} * all_.size());
}

Job* Jobs::take(Bio& bio, CachePad& pad, Local& local) noexcept {
  const MutexLock lock(mutex_);
  Job* const job = free_.pop_front();
  if (job == nullptr) {
    pad.queued = true;
    turns_.push_back(*new (pad.bytes) Turn(bio, pad, local));
    return nullptr;
  }
  job->bio = &bio;
  job->pad = &pad;
  job->local = &local;
  pad.job = job;
  return job;
}

void Jobs::give(Job& job) noexcept {
  job.phase = Phase::begin;
  job.count = job.asked = job.through = job.runs = 0;
  const MutexLock lock(mutex_);
  Turn* const turn = turns_.pop_front();
  if (turn == nullptr) {
    free_.push_front(job);
    return;
  }
  job.bio = turn->bio;
  job.pad = turn->pad;
  job.local = turn->local;
  wake(job);
}

bool Jobs::forget(CachePad& pad) noexcept {
  const MutexLock lock(mutex_);
  if (!pad.turn().link.linked()) return false;
  pad.turn().link.unlink();
  std::destroy_at(&pad.turn());
  pad.queued = false;
  return true;
}

void Jobs::wake(Job& job) noexcept {
  Local& local = *job.local;
  local.woken_.push_back(job);
  local.cx_.request_attention();
}

void Local::attend(Context& cx) noexcept {
  Jobs::List woken;
  {
    const MutexLock lock(jobs_.mutex_);
    woken.splice_back(woken_);
  }
  while (Job* const job = woken.pop_front()) {
    CachePad& pad = *job->pad;
    if (pad.queued) {
      std::destroy_at(&pad.turn());
      pad.queued = false;
      pad.job = job;
    }
    cx.ask_again(*job->bio);
  }
}

}  // namespace ashlar::cache_layer
