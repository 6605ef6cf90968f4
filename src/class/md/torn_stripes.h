// Stripes of which a change failed midway on more members than the array can do without: their
// parity may not fit their data, so nothing may be computed from it, until it is written anew.
//
// THREAD: any. Where there is none, has() is one load.
#pragma once

#include <atomic>
#include <cstdint>
#include <new>
#include <unordered_set>

#include "base/mutex.h"

namespace ashlar {

inline constexpr LockClass kTornStripesLock{"md.torn"};

class TornStripes {
 public:
  bool any() const noexcept { return count_.load(std::memory_order_acquire) != 0; }
  std::uint64_t count() const noexcept { return count_.load(std::memory_order_relaxed); }

  bool has(std::uint64_t stripe) const noexcept {
    if (!any()) return false;
    const MutexLock lock(mutex_);
    return all_ || stripes_.contains(stripe);
  }
  // REQUIRES: the stripe's part is locked. Without memory for it every stripe counts as torn.
  void add(std::uint64_t stripe) noexcept {
    const MutexLock lock(mutex_);
    try {
      stripes_.insert(stripe);
    } catch (const std::bad_alloc&) {
      all_ = true;
    }
    set_count();
  }
  // All of its parity was written. REQUIRES: all of the stripe is locked.
  void remove(std::uint64_t stripe) noexcept {
    if (!any()) return;
    const MutexLock lock(mutex_);
    stripes_.erase(stripe);
    set_count();
  }

 private:
  void set_count() noexcept ASHLAR_REQUIRES(mutex_) {
    count_.store(stripes_.size() + (all_ ? 1 : 0), std::memory_order_release);
  }

  mutable Mutex mutex_{kTornStripesLock};
  std::unordered_set<std::uint64_t> stripes_ ASHLAR_GUARDED_BY(mutex_);
  bool all_ ASHLAR_GUARDED_BY(mutex_) = false;
  std::atomic<std::uint64_t> count_{0};
};

}  // namespace ashlar
