// How a leg is copied to while requests run: the book of changes, and the one range that is locked.
//
//   begin(leg)   changes go to the leg too, and are kept in the book
//   (those that began before end; whoever copies knows when)
//   lock(R)      changes of R wait at the gate; when those in the book have left it, R is copied
//   unlock()     whoever waits tries again
//   finish(leg)  the leg is live
//
// So a byte of the leg is either what a change wrote there since begin(), or what the copy wrote
// with no change of it under way: never an old byte over a new one. Reads are not concerned.
//
// No leg is joining: no book, no lock, one look at the word of legs.h.
#pragma once

#include <mutex>
#include <optional>
#include <vector>

#include "base/extent.h"
#include "base/list.h"
#include "class/mirror/legs.h"
#include "program/local.h"

namespace ashlar {

inline constexpr LockClass kLegGateLock{"mirror.gate"};

// A change while a leg is joining; lies in the bio's pad.
struct Change {
  Change(Bio& its_bio, Extent its_range) : bio(&its_bio), range(its_range) {}
  ListLink link;  // in the book, or in the list of a context's waiting changes
  Bio* bio;
  Extent range;  // empty: a flush, which waits for no range
};

class LegGate final : public CopyGate {
 public:
  using Changes = List<Change, &Change::link>;

  // One context's changes that wait. THREAD: the context's.
  class Local final : public LocalState {
   public:
    Local(LegGate& gate, Context& cx) : member_(gate.locals_, *this, cx) {}
    void wait(Change& change) noexcept { waiting_.push_back(change); }
    void attend(Context& cx) noexcept override;

   private:
    Changes waiting_;
    LocalSet<Local>::Member member_;  // last: it leaves the set first
  };

  explicit LegGate(Legs& legs) : legs_(legs) {}

  // A leg is being copied to, or is about to be. THREAD: the control thread.
  bool busy() const noexcept { return (legs_.sets().joining | legs_.waiting()) != 0; }

  // --- changes. THREAD: any context's.
  // False: its range is locked; it is to wait() in its context, and comes back by Context::again.
  bool enter(Change& change) noexcept;
  // It has ended. REQUIRES: entered.
  void leave(Change& change) noexcept;
  // A change of `range` ended midway: the legs may differ there.
  void spoil(Extent range) noexcept;

  // --- CopyGate
  void begin(std::uint32_t leg) noexcept override;
  bool wanted(std::uint32_t leg) const noexcept override {
    return (legs_.sets().joining & leg_bit(leg)) != 0;
  }
  bool lock(Extent range, std::function<void()> ready) override;
  void unlock() noexcept override;
  std::optional<Extent> next_spoiled() override;
  void progress(std::uint32_t leg, std::uint64_t done_bytes,
                std::uint64_t total_bytes) noexcept override;
  bool finish(std::uint32_t leg) noexcept override;
  void fail(std::uint32_t leg, Errc error) noexcept override;

 private:
  bool in_the_way(const Change& change) const noexcept ASHLAR_REQUIRES(mutex_);

  Legs& legs_;
  LocalSet<Local> locals_;
  Mutex mutex_{kLegGateLock};
  Changes book_ ASHLAR_GUARDED_BY(mutex_);
  std::optional<Extent> locked_ ASHLAR_GUARDED_BY(mutex_);
  std::uint64_t before_ ASHLAR_GUARDED_BY(mutex_) = 0;  // in the book, in the locked range
  std::function<void()> ready_ ASHLAR_GUARDED_BY(mutex_);
  bool waited_for_ ASHLAR_GUARDED_BY(mutex_) = false;
  std::vector<Extent> spoiled_ ASHLAR_GUARDED_BY(mutex_);
};

}  // namespace ashlar
