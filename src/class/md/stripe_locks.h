// One lock for each part of a stripe that is being changed, none for the array.
//
//   bucket  [ stripe 7: bytes 0..4095 of each chunk | stripe 7: 4096..8191 | stripe 39: ... ]
//
// A lock is a stripe and a range of its chunks; two that overlap are granted one after the other,
// in order of arrival. There is no lock per stripe in memory: those that are held or waited for lie
// in buckets by stripe.
//
// THREAD: any; a bucket's mutex is held for as long as it takes to look at its list.
#pragma once

#include <array>
#include <cstdint>

#include "base/list.h"
#include "base/mutex.h"

namespace ashlar {

inline constexpr LockClass kStripeBucketLock{"md.stripes"};

// OWNERSHIP: the user's, who keeps it from lock() to unlock().
struct StripeLock {
  // Called without a lock, on the thread of whoever let it through.
  void (*granted)(StripeLock& lock) noexcept = nullptr;
  void* user = nullptr;

  std::uint64_t stripe = 0;
  std::uint32_t begin = 0;  // bytes into the chunk
  std::uint32_t end = 0;

 private:
  friend class StripeLocks;
  bool overlaps(const StripeLock& other) const noexcept {
    return stripe == other.stripe && begin < other.end && other.begin < end;
  }
  bool held_ = false;
  ListLink link_;
  ListLink woken_;
};

class StripeLocks {
 public:
  // True: it is held. False: granted() is called when it is.
  bool lock(StripeLock& lock) noexcept;
  void unlock(StripeLock& lock) noexcept;
  // One that waits gives up. False: it is held, or granted() is being called.
  bool forget(StripeLock& lock) noexcept;

 private:
  // Far more than requests that change stripes at once.
  static constexpr std::size_t kBuckets = 256;
  using Locks = List<StripeLock, &StripeLock::link_>;
  using Woken = List<StripeLock, &StripeLock::woken_>;

  struct Bucket {
    Mutex mutex{kStripeBucketLock};
    Locks locks ASHLAR_GUARDED_BY(mutex);  // in order of arrival
  };
  Bucket& bucket_of(std::uint64_t stripe) noexcept {
    // Neighbouring stripes in different buckets.
    return buckets_[stripe % kBuckets];
  }
  static bool is_first(Locks& locks, const StripeLock& lock) noexcept;
  static void let_through(Bucket& bucket, const StripeLock& gone, Woken& woken) noexcept
      ASHLAR_REQUIRES(bucket.mutex);

  std::array<Bucket, kBuckets> buckets_;
};

}  // namespace ashlar
