// Keeps changes of a range apart from the correction of what a member could not read there.
//
//   correction   lock(R) --> read R from another copy --> write it to the member --> unlock(R)
//   change       enter(R) --> write R to all members --> leave(R)
//
// A change between the read and the write of a correction would be overwritten with what was there
// before it. So a correction waits for the changes of its range that are under way, and further
// ones wait for it. Reads are not concerned. Nobody holds more than one range, so nobody waits for
// ever.
//
// THREAD: any context's.
#pragma once

#include <atomic>

#include "base/extent.h"
#include "base/list.h"
#include "class/md/parked.h"
#include "program/local.h"

namespace ashlar {

inline constexpr LockClass kCorrectionGateLock{"md.correction_gate"};

class CorrectionGate {
 public:
  // A change or a correction; lies in the bio's pad.
  struct Entry {
    Entry(Bio& its_bio, Extent its_range) : bio(&its_bio), range(its_range) {}
    ListLink link;          // in the gate
    ListLink waiting_link;  // in the list of its context
    Bio* bio;
    Extent range;  // of the array
  };

  // What waits in one context. THREAD: the context's.
  class Local final : public MdLocal {
   public:
    Local(CorrectionGate& gate, Context& cx) : MdLocal(cx), member_(gate.locals_, *this, cx) {}
    // A change comes back by Context::again, which makes its entry anew; a correction by ask_again.
    void wait_to_change(Entry& entry) noexcept { changes_.push_back(entry); }
    void wait_to_correct(Entry& entry) noexcept { corrections_.push_back(entry); }
    void attend(Context& cx) noexcept override;

   private:
    using Waiting = List<Entry, &Entry::waiting_link>;
    Waiting changes_;
    Waiting corrections_;
    LocalSet<Local>::Member member_;  // last: it leaves the set first
  };

  // Of users, in all contexts, while somebody looked after the array.
  std::uint64_t requests() const noexcept;

  // False: it is to wait.
  bool enter(Entry& change) noexcept;
  // REQUIRES: entered.
  void leave(Entry& change) noexcept;
  // False: it is to wait, and to call lock() again.
  bool lock(Entry& correction) noexcept;
  // It is over, or waits no more. REQUIRES: lock() was called.
  void unlock(Entry& correction) noexcept;

 private:
  using Entries = List<Entry, &Entry::link>;
  static bool any_overlaps(Entries& entries, const Entry& with) noexcept;

  mutable LocalSet<Local> locals_;
  // TODO(perf): one lock for all changes of an array; a gate for each region of it would do.
  Mutex mutex_{kCorrectionGateLock};
  Entries changes_ ASHLAR_GUARDED_BY(mutex_);
  Entries corrections_ ASHLAR_GUARDED_BY(mutex_);  // changes of their ranges wait from now on
};

}  // namespace ashlar
