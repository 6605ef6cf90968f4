// Which members of a redundant array are in use: one word that all lanes read and now and then
// change.
//
//   live      bit r: the member with role r holds every change that was acknowledged
//   filling   bit r: it gets every change, and is being rebuilt: what lies below filled(r) is right
//
// Invariant: what the live members have between them is the whole array. drop() takes a member out
// only where that stays true, in one exchange, so that two lanes cannot each drop the member that
// the other one counts on. Why a read that is under way on a member while it is dropped is right:
// class/mirror/legs.h.
//
// THREAD: any.
#pragma once

#include <array>
#include <atomic>
#include <bit>
#include <cstdint>

#include "base/errc.h"
#include "bio/op.h"
#include "md/superblock.h"

namespace ashlar {

// Members of a redundant array; a set of them fits a word. More are refused with a sentence.
inline constexpr std::uint32_t kMaxMdMembers = 32;

// Bit r is the member with role r.
using MemberSet = std::uint32_t;

constexpr MemberSet member_bit(std::uint32_t role) { return MemberSet{1} << role; }
// REQUIRES: not empty.
constexpr std::uint32_t first_member(MemberSet set) {
  return static_cast<std::uint32_t>(std::countr_zero(set));
}

struct MemberSets {
  MemberSet live = 0;
  MemberSet filling = 0;

  // Those that changes go to.
  MemberSet written() const noexcept { return live | filling; }
};

class Members {
 public:
  explicit Members(std::uint32_t count) : count_(count) {}
  Members(const Members&) = delete;
  Members& operator=(const Members&) = delete;

  std::uint32_t count() const noexcept { return count_; }
  MemberSets sets() const noexcept { return unpack(word_.load(std::memory_order_acquire)); }
  // Bytes of a filling member's data, from the start, that may be read.
  std::uint64_t filled_bytes(std::uint32_t role) const noexcept {
    return places_[role].filled.load(std::memory_order_acquire);
  }
  // Those whose bytes of data up to `end` may be read.
  MemberSet readable(std::uint64_t end) const noexcept {
    const MemberSets sets = this->sets();
    MemberSet readable = sets.live;
    for (MemberSet left = sets.filling; left != 0; left &= left - 1) {
      if (filled_bytes(first_member(left)) >= end) readable |= left & -left;
    }
    return readable;
  }

  // Every place has a member that changes go to.
  bool complete() const noexcept {
    return static_cast<std::uint32_t>(std::popcount(sets().written())) == count_;
  }

  // Takes `bad` out of both sets, because of `error` in `op`, where `enough(live)` says that the
  // members that stay have the whole array. False: they have not, and nothing has changed.
  template <typename Enough>
  bool drop(MemberSet bad, Op op, Errc error, Enough&& enough) noexcept {
    std::uint64_t word = word_.load(std::memory_order_acquire);
    for (;;) {
      const MemberSets before = unpack(word);
      const MemberSets after = {before.live & ~bad, before.filling & ~bad};
      if (after.live != before.live && !enough(after.live)) return false;
      if (after.written() == before.written()) return true;
      if (word_.compare_exchange_weak(word, pack(after), std::memory_order_acq_rel)) {
        note(before.written() & ~after.written(), op, error);
        return true;
      }
    }
  }

  // --- THREAD: the control thread, or whoever rebuilds.
  void set_live(std::uint32_t role) noexcept { change(role, true, false); }
  void set_filling(std::uint32_t role, std::uint64_t filled_bytes) noexcept {
    places_[role].filled.store(filled_bytes, std::memory_order_release);
    change(role, false, true);
  }
  void set_filled(std::uint32_t role, std::uint64_t bytes) noexcept {
    places_[role].filled.store(bytes, std::memory_order_release);
  }
  // It is filled, and live from now on. False: it was dropped meanwhile.
  bool finish(std::uint32_t role) noexcept;

  // Why a member was dropped; Errc::ok: it was not.
  Errc error_of(std::uint32_t role) const noexcept {
    return places_[role].error.load(std::memory_order_acquire);
  }
  Op op_of(std::uint32_t role) const noexcept {
    return places_[role].op.load(std::memory_order_relaxed);
  }

 private:
  struct Of {
    std::atomic<std::uint64_t> filled{0};
    std::atomic<Op> op{};
    std::atomic<Errc> error{Errc::ok};
  };

  static constexpr std::uint64_t pack(MemberSets sets) {
    return std::uint64_t{sets.filling} << kMaxMdMembers | sets.live;
  }
  static constexpr MemberSets unpack(std::uint64_t word) {
    return {static_cast<MemberSet>(word), static_cast<MemberSet>(word >> kMaxMdMembers)};
  }
  void change(std::uint32_t role, bool live, bool filling) noexcept;
  void note(MemberSet dropped, Op op, Errc error) noexcept;

  const std::uint32_t count_;
  std::array<Of, kMaxMdMembers> places_;
  alignas(64) std::atomic<std::uint64_t> word_{0};  // MemberSets
};

}  // namespace ashlar
