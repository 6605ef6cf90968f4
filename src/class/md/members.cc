// Which members of a redundant array are in use.
#include "class/md/members.h"

namespace ashlar {

bool Members::finish(std::uint32_t role) noexcept {
  std::uint64_t word = word_.load(std::memory_order_acquire);
  const MemberSet bit = member_bit(role);
  for (;;) {
    const MemberSets before = unpack(word);
    if ((before.filling & bit) == 0) return false;
    const MemberSets after = {before.live | bit, before.filling & ~bit};
    if (word_.compare_exchange_weak(word, pack(after), std::memory_order_acq_rel)) return true;
  }
}

void Members::change(std::uint32_t role, bool live, bool filling) noexcept {
  places_[role].error.store(Errc::ok, std::memory_order_release);
  std::uint64_t word = word_.load(std::memory_order_acquire);
  const MemberSet bit = member_bit(role);
  for (;;) {
    const MemberSets before = unpack(word);
    const MemberSets after = {live ? before.live | bit : before.live & ~bit,
                              filling ? before.filling | bit : before.filling & ~bit};
    if (word_.compare_exchange_weak(word, pack(after), std::memory_order_acq_rel)) return;
  }
}

void Members::note(MemberSet dropped, Op op, Errc error) noexcept {
  for (MemberSet left = dropped; left != 0; left &= left - 1) {
    Of& place = places_[first_member(left)];
    place.op.store(op, std::memory_order_relaxed);
    place.error.store(error, std::memory_order_release);
  }
}

}  // namespace ashlar
