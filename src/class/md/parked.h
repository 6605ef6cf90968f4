// Bios of an array that wait for something another context may set free: a lock, room, a record.
//
// OWNERSHIP: the one who waits keeps its MdParked until it was woken. THREAD: wake() any, the rest
// the context's.
#pragma once

#include <atomic>

#include "base/list.h"
#include "base/mutex.h"
#include "program/context.h"

namespace ashlar {

inline constexpr LockClass kMdWokenLock{"md.woken"};

class MdLocal;

struct MdParked {
  Bio* bio = nullptr;
  MdLocal* local = nullptr;
  ListLink link;
};

// What an array keeps in a context: those that were woken.
class MdLocal : public LocalState {
 public:
  explicit MdLocal(Context& cx) : cx_(cx) {}
  ~MdLocal() override = default;

  // The bio is asked again (Context::ask_again), on its context. THREAD: any.
  void wake(MdParked& parked) noexcept {
    bool first = false;
    {
      const MutexLock lock(mutex_);
      first = woken_.empty();
      woken_.push_back(parked);
    }
    if (first) cx_.request_attention();
  }

  // A request of a user, while somebody looks after the array.
  void count() noexcept {
    requests_.store(requests_.load(std::memory_order_relaxed) + 1, std::memory_order_relaxed);
  }
  // THREAD: any.
  std::uint64_t requests() const noexcept { return requests_.load(std::memory_order_relaxed); }

  void attend(Context& cx) noexcept override {
    Woken woken;
    {
      const MutexLock lock(mutex_);
      woken.splice_back(woken_);
    }
    while (MdParked* each = woken.pop_front()) cx.ask_again(*each->bio);
  }

 private:
  using Woken = List<MdParked, &MdParked::link>;

  Context& cx_;
  Mutex mutex_{kMdWokenLock};
  Woken woken_ ASHLAR_GUARDED_BY(mutex_);
  std::atomic<std::uint64_t> requests_{0};
};

}  // namespace ashlar
