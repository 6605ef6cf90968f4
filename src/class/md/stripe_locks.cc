// Locks of parts of stripes, in order of arrival.
#include "class/md/stripe_locks.h"

namespace ashlar {

// None that came earlier is in its way.
bool StripeLocks::is_first(Locks& locks, const StripeLock& lock) noexcept {
  for (StripeLock* each = &locks.front(); each != &lock; each = locks.next(*each)) {
    if (each->overlaps(lock)) return false;
  }
  return true;
}

bool StripeLocks::lock(StripeLock& lock) noexcept {
  Bucket& bucket = bucket_of(lock.stripe);
  const MutexLock guard(bucket.mutex);
  bucket.locks.push_back(lock);
  lock.held_ = is_first(bucket.locks, lock);
  return lock.held_;
}

// Those that waited for `gone`, which has left the bucket, and for nobody else.
void StripeLocks::let_through(Bucket& bucket, const StripeLock& gone, Woken& woken) noexcept {
  StripeLock* each = bucket.locks.empty() ? nullptr : &bucket.locks.front();
  for (; each != nullptr; each = bucket.locks.next(*each)) {
    if (each->held_ || !each->overlaps(gone) || !is_first(bucket.locks, *each)) continue;
    each->held_ = true;
    woken.push_back(*each);
  }
}

void StripeLocks::unlock(StripeLock& lock) noexcept {
  Bucket& bucket = bucket_of(lock.stripe);
  Woken woken;
  {
    const MutexLock guard(bucket.mutex);
    ASHLAR_ASSERT(lock.held_);
    lock.held_ = false;
    lock.link_.unlink();
    let_through(bucket, lock, woken);
  }
  while (StripeLock* each = woken.pop_front()) each->granted(*each);
}

bool StripeLocks::forget(StripeLock& lock) noexcept {
  Bucket& bucket = bucket_of(lock.stripe);
  Woken woken;
  {
    const MutexLock guard(bucket.mutex);
    if (lock.held_) return false;
    lock.link_.unlink();
    let_through(bucket, lock, woken);
  }
  while (StripeLock* each = woken.pop_front()) each->granted(*each);
  return true;
}

}  // namespace ashlar
