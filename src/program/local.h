// State of a body for each context that runs it, and the set of these states.
//
//   class Stats final : public StepClass<Stats, StatsPad> {
//    public:
//     struct Local final : LocalState {                 // one lane's counts
//       Local(Stats& stats, Context& cx) : member(stats.locals, *this, cx) {}
//       std::atomic<std::uint64_t> reads{0};            // written here, read by status()
//       LocalSet<Local>::Member member;                 // last: it leaves the set first
//     };
//     std::unique_ptr<Local> make_local(Context& cx) { return std::make_unique<Local>(*this, cx); }
//     LocalSet<Local> locals;
//
//     Verdict on_request(Bio& bio, StatsPad& pad, Context& cx) noexcept {
//       Local& mine = local_of(*this, cx);              // no lock, one probe of a small table
//       ...
//     }
//   };
//
// A state ends when the last channel of its lane that leads through the body is closed: a class
// that counts adds what the state had to a total of its own in ~Local.
#pragma once

#include <algorithm>
#include <vector>

#include "base/mutex.h"
#include "program/context.h"

namespace ashlar {

inline constexpr LockClass kLocalSetLock{"local.set"};

// What `body` keeps in `cx`. Never fails in a lane, where it was made before the first request;
// a worker makes it at its first request (and ends the process when it has no memory for it).
// THREAD: the context's.
template <typename Body>
typename Body::Local& local_of(Body& body, Context& cx) noexcept {
  LocalState* state = cx.locals().find(&body);
  if (state == nullptr) [[unlikely]] {
    const MakeLocalFn make = [](void* its, Context& there) -> std::unique_ptr<LocalState> {
      return static_cast<Body*>(its)->make_local(there);
    };
    state = &cx.locals().find_or_make(&body, make, cx);
  }
  return *static_cast<typename Body::Local*>(state);
}

// The states that a body has at the moment; a member of the body.
template <typename Local>
class LocalSet {
 public:
  // A member of the state: puts it into the set for as long as it lives.
  class Member {
   public:
    Member(LocalSet& set, Local& local, Context& cx) : set_(set), local_(local) {
      const MutexLock lock(set_.mutex_);
      set_.entries_.push_back({&local, &cx});
    }
    Member(const Member&) = delete;
    Member& operator=(const Member&) = delete;
    ~Member() {
      const MutexLock lock(set_.mutex_);
      std::erase_if(set_.entries_, [this](const Entry& each) { return each.local == &local_; });
    }

   private:
    LocalSet& set_;
    Local& local_;
  };

  // Calls visit(Local&) for each, with the set's lock held: what it reads must be atomic.
  // THREAD: any.
  template <typename Visit>
  void for_each(Visit&& visit) {
    const MutexLock lock(mutex_);
    for (const Entry& each : entries_) visit(*each.local);
  }

  // Each state's attend() is called some time later, on its context's thread. THREAD: any.
  void request_attention() {
    const MutexLock lock(mutex_);
    for (const Entry& each : entries_) each.cx->request_attention();
  }

 private:
  struct Entry {
    Local* local;
    Context* cx;
  };
  Mutex mutex_{kLocalSetLock};
  std::vector<Entry> entries_ ASHLAR_GUARDED_BY(mutex_);
};

}  // namespace ashlar
