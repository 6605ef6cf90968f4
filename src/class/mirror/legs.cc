// The set of live legs of a mirror: how legs leave it.
#include "class/mirror/legs.h"

#include <fmt/core.h>

namespace ashlar {

Legs::Legs(std::uint32_t count)
    : count_(count), live_(static_cast<LegSet>((std::uint64_t{1} << count) - 1)) {
  ASHLAR_ASSERT(count >= 1 && count <= kMaxLegs);
}

bool Legs::settle(LegSet good, LegSet bad, Op op, Errc error) noexcept {
  LegSet live = live_.load(std::memory_order_relaxed);
  for (;;) {
    if ((live & good) == 0) return false;
    if ((live & bad) == 0) return true;
    if (live_.compare_exchange_weak(live, live & ~bad, std::memory_order_relaxed)) break;
  }
  note(live & bad, op, error);
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
  const LegSet now = live();
  std::vector<std::pair<std::string, std::string>> lines;
  lines.emplace_back("legs", fmt::format("{} of {}", std::popcount(now), count_));
  for (std::uint32_t leg = 0; leg < count_; ++leg) {
    if ((now & leg_bit(leg)) != 0) continue;
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
