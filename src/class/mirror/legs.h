// Which legs of a mirror are live: one word that all lanes read and now and then change.
//
//   live      [ 1 1 0 1 ]      bit k: leg k holds every change that was acknowledged
//   joining   [ 0 0 1 0 ]      bit k: leg k gets every change, and is being copied to; not read
//
// The one invariant: EVERY LIVE LEG HOLDS EVERY ACKNOWLEDGED CHANGE, and one leg is always live.
//
// Why it holds, with any number of lanes at once:
//   - A change goes to all legs that are live or joining when it starts. A leg becomes live only
//     when every change that started before it was joining has ended (CopyGate), so every leg that
//     is live when a change ends was among those that it went to.
//   - settle() ends a change with one compare-exchange: with the set as it is now, the change is
//     acknowledged only if a live leg carried it out, and in the same exchange every live leg that
//     did not leaves the set. All exchanges on the word have one order, so two lanes cannot each
//     drop the leg that the other one counted on: of two changes that failed on opposite legs,
//     the second finds its only good leg gone and fails, and nobody was told that it succeeded.
//   - A read picks a live leg. If the leg is dropped while the read is under way, the change that
//     dropped it had not been acknowledged when the read was submitted, or its submitter could have
//     seen the leg gone: acknowledgement to a submitter that learns of it is a happens-before, and
//     reads of one atomic word follow that order even when relaxed. So such a read and such a
//     change are concurrent, and the old bytes and the new ones are both right.
//   - A change that no longer sees a leg joining is not in the gate's book; what the copy read and
//     wrote before has to be over for it: the word is released by who ends a copy, and acquired by
//     requests. On the path of a request it is a plain load of a cache line that nobody writes.
//
// A change that was not acknowledged (cancelled, or failed on every leg) may have left different
// bytes on the legs. Reads must not tell the one now and the other later, so from then on they all
// go to one leg: uneven().
//
// THREAD: any; create and destroy on the control thread.
#pragma once

#include <array>
#include <atomic>
#include <bit>
#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "bio/bio.h"

namespace ashlar {

// A set of legs fits a word, and a pad. More copies than this are no use to anybody.
inline constexpr std::uint32_t kMaxLegs = 32;

// Bit k is leg k.
using LegSet = std::uint32_t;

constexpr LegSet leg_bit(std::uint32_t leg) { return LegSet{1} << leg; }

// REQUIRES: not empty.
constexpr std::uint32_t first_leg(LegSet legs) {
  return static_cast<std::uint32_t>(std::countr_zero(legs));
}

struct LegSets {
  LegSet live = 0;
  LegSet joining = 0;

  LegSet all() const noexcept { return live | joining; }
};

class Legs {
 public:
  // REQUIRES: 1 to kMaxLegs.
  explicit Legs(std::uint32_t count);
  Legs(const Legs&) = delete;
  Legs& operator=(const Legs&) = delete;

  std::uint32_t count() const noexcept { return count_; }
  LegSet live() const noexcept { return sets().live; }
  LegSets sets() const noexcept { return unpack(word_.load(std::memory_order_acquire)); }
  bool uneven() const noexcept { return uneven_.load(std::memory_order_relaxed); }

  // Ends a request that `good` legs carried out and `bad` legs failed with `error`: drops the bad
  // ones, also those that are joining, when a live leg did better. False: no live leg carried it
  // out, and nothing was dropped.
  bool settle(LegSet good, LegSet bad, Op op, Errc error) noexcept;

  // The device of `leg` is gone. False: no other leg is live, and nothing has changed.
  bool lose(std::uint32_t leg) noexcept {
    return settle(~leg_bit(leg), leg_bit(leg), {}, Errc::gone);
  }

  // --- legs that come and go. THREAD: the control thread, or whoever copies.
  // A place for a further leg: free, or a new one. It is not used before begin().
  void add(std::uint32_t leg) noexcept;
  // It gets every change from now on.
  void begin(std::uint32_t leg) noexcept;
  // It is read from now on. False where it is not joining any more.
  bool finish(std::uint32_t leg) noexcept;
  // It is taken out. False: it is the only live one, and nothing has changed.
  bool leave(std::uint32_t leg) noexcept;
  // Of a leg that is joining, for report().
  void set_progress(std::uint32_t leg, std::uint32_t percent) noexcept {
    reasons_[leg].percent.store(percent, std::memory_order_relaxed);
  }
  // Legs that were added, and that no begin() has followed.
  LegSet waiting() const noexcept { return waiting_; }

  // A change ended without an acknowledgement, some way through.
  void set_uneven() noexcept { uneven_.store(true, std::memory_order_relaxed); }

  // What became of the legs, for status(): {"legs", "1 of 2"}, {"leg 1", "dropped: ..."}.
  std::vector<std::pair<std::string, std::string>> report() const;

 private:
  // Why a leg was dropped; written once, by whoever took it out of the set.
  struct Reason {
    std::atomic<Op> op{};
    std::atomic<Errc> error = Errc::ok;  // ok: not yet written
    std::atomic<std::uint32_t> percent = 0;
  };

  static constexpr std::uint64_t pack(LegSets sets) {
    return std::uint64_t{sets.joining} << kMaxLegs | sets.live;
  }
  static constexpr LegSets unpack(std::uint64_t word) {
    return {static_cast<LegSet>(word), static_cast<LegSet>(word >> kMaxLegs)};
  }
  void note(LegSet dropped, Op op, Errc error) noexcept;

  std::uint32_t count_;  // places
  LegSet empty_ = 0;     // places without a leg
  LegSet waiting_ = 0;
  std::array<Reason, kMaxLegs> reasons_;
  alignas(64) std::atomic<std::uint64_t> word_;  // LegSets
  std::atomic<bool> uneven_ = false;
};

}  // namespace ashlar
