// The set of live legs of a mirror: how legs leave it.
#include "class/mirror/legs.h"

#include <fmt/core.h>

#include <algorithm>

namespace ashlar {

Legs::Legs(std::uint32_t count)
    : count_(count), word_(pack({static_cast<LegSet>((std::uint64_t{1} << count) - 1), 0})) {
  ASHLAR_ASSERT(count >= 1 && count <= kMaxLegs);
}

bool Legs::settle(LegSet good, LegSet bad, Op op, Errc error) noexcept {
  std::uint64_t word = word_.load(std::memory_order_relaxed);
  LegSets sets;
  do {
    sets = unpack(word);
    if ((sets.live & good) == 0) return false;
    if ((sets.all() & bad) == 0) return true;
  } while (!word_.compare_exchange_weak(word, pack({sets.live & ~bad, sets.joining & ~bad}),
                                        std::memory_order_acq_rel, std::memory_order_relaxed));
  note(sets.all() & bad, op, error);
  return true;
}

void Legs::add(std::uint32_t leg) noexcept {
  ASHLAR_ASSERT(leg < kMaxLegs && (sets().all() & leg_bit(leg)) == 0);
  count_ = std::max(count_, leg + 1);
  empty_ &= ~leg_bit(leg);
  waiting_ |= leg_bit(leg);
  reasons_[leg].error.store(Errc::ok, std::memory_order_relaxed);
  set_progress(leg, 0);
}

void Legs::begin(std::uint32_t leg) noexcept {
  waiting_ &= ~leg_bit(leg);
  word_.fetch_or(pack({0, leg_bit(leg)}));
}

bool Legs::finish(std::uint32_t leg) noexcept {
  std::uint64_t word = word_.load();
  LegSets sets;
  do {
    sets = unpack(word);
    if ((sets.joining & leg_bit(leg)) == 0) return false;
  } while (!word_.compare_exchange_weak(
      word, pack({sets.live | leg_bit(leg), sets.joining & ~leg_bit(leg)})));
  return true;
}

bool Legs::leave(std::uint32_t leg) noexcept {
  std::uint64_t word = word_.load();
  LegSets sets;
  do {
    sets = unpack(word);
    if ((sets.live & ~leg_bit(leg)) == 0) return false;
  } while (!word_.compare_exchange_weak(
      word, pack({sets.live & ~leg_bit(leg), sets.joining & ~leg_bit(leg)})));
  waiting_ &= ~leg_bit(leg);
  empty_ |= leg_bit(leg);
  return true;
}

void Legs::note(LegSet dropped, Op op, Errc error) noexcept {
  for (; dropped != 0; dropped &= dropped - 1) {
    Reason& reason = reasons_[first_leg(dropped)];
    reason.op.store(op, std::memory_order_relaxed);
    reason.error.store(error, std::memory_order_release);
  }
}

std::vector<std::pair<std::string, std::string>> Legs::report() const {
  const LegSets all = sets();
  const LegSet now = all.live;
  std::vector<std::pair<std::string, std::string>> lines;
  lines.emplace_back("legs", fmt::format("{} of {}", std::popcount(now),
                                         count_ - static_cast<unsigned>(std::popcount(empty_))));
  for (std::uint32_t leg = 0; leg < count_; ++leg) {
    if (((now | empty_) & leg_bit(leg)) != 0) continue;
    if (((all.joining | waiting_) & leg_bit(leg)) != 0) {
      lines.emplace_back(fmt::format("leg {}", leg),
                         fmt::format("copying: {} %", reasons_[leg].percent.load()));
      continue;
    }
    const Errc error = reasons_[leg].error.load(std::memory_order_acquire);
    const Op op = reasons_[leg].op.load(std::memory_order_relaxed);
    lines.emplace_back(fmt::format("leg {}", leg),
                       error == Errc::gone ? "dropped: the device is gone"
                                           : fmt::format("dropped: {} failed: {}", to_string(op),
                                                         to_string(error)));
  }
  if (uneven()) {
    lines.emplace_back("uneven",
                       fmt::format("a change ended midway; leg {} is read", first_leg(now)));
  }
  return lines;
}

}  // namespace ashlar
