// The ways of choosing a leg. The counts are exact, because what begins in a context ends there,
// and where contexts share a state they count with locked instructions; turns and heads are hints
// and may be lost.
#include "class/balance.h"

namespace ashlar {
namespace {

struct BalanceName {
  std::string_view name;
  BalanceKind kind;
};

constexpr std::array kNames = {
    BalanceName{"least_busy", BalanceKind::least_busy},
    BalanceName{"round_robin", BalanceKind::round_robin},
    BalanceName{"nearest", BalanceKind::nearest},
    BalanceName{"first", BalanceKind::first},
};

// The first candidate behind `last`, in a circle.
std::uint32_t next_leg(ChoiceSet candidates, std::uint32_t last) noexcept {
  const ChoiceSet behind = candidates & ~(choice_bit(last) | (choice_bit(last) - 1));
  return first_choice(behind != 0 ? behind : candidates);
}

// The candidate of the least cost, the earliest in turn where several cost the same.
template <typename Cost>
std::uint32_t cheapest(ChoiceSet candidates, std::uint32_t last, Cost cost) noexcept {
  std::uint32_t best = next_leg(candidates, last);
  auto least = cost(best);
  ChoiceSet left = candidates & ~choice_bit(best);
  for (std::uint32_t leg = best; left != 0; left &= ~choice_bit(leg)) {
    leg = next_leg(left, leg);
    const auto its = cost(leg);
    if (its >= least) continue;
    least = its;
    best = leg;
  }
  return best;
}

}  // namespace

std::optional<BalanceKind> parse_balance(std::string_view text) {
  for (const BalanceName& each : kNames) {
    if (each.name == text) return each.kind;
  }
  return std::nullopt;
}

Balance::LaneState& Balance::lane_of(const Context& cx) noexcept {
  for (std::size_t i = 0; i < kOwnStates; ++i) {
    const Context* owner = lanes_->owners[i].load(std::memory_order_relaxed);
    if (owner == &cx) [[likely]]
      return lanes_->states[i];
    if (owner == nullptr && lanes_->owners[i].compare_exchange_strong(owner, &cx)) {
      return lanes_->states[i];
    }
  }
  // The address is a multiple of a cache line at the least.
  const std::size_t at = reinterpret_cast<std::uintptr_t>(&cx) / 64 % kSharedStates;
  return lanes_->states[kOwnStates + at];
}

// `by` is 1, or its negative modulo 2^32.
void Balance::change_busy(LaneState& lane, std::uint32_t leg, std::uint32_t by) noexcept {
  constexpr auto kRelaxed = std::memory_order_relaxed;
  std::atomic<std::uint32_t>& busy = lane.busy[leg];
  if (lane.shared) [[unlikely]] {
    busy.fetch_add(by, kRelaxed);
  } else {
    busy.store(busy.load(kRelaxed) + by, kRelaxed);
  }
}

std::uint32_t Balance::begin(ChoiceSet candidates, const Bio& bio, const Context& cx) noexcept {
  if (kind_ == BalanceKind::first) return first_choice(candidates);
  constexpr auto kRelaxed = std::memory_order_relaxed;
  LaneState& lane = lane_of(cx);
  const std::uint32_t last = lane.last.load(kRelaxed);
  std::uint32_t leg = 0;
  switch (kind_) {
    case BalanceKind::least_busy:
      leg =
          cheapest(candidates, last, [&](std::uint32_t k) { return lane.busy[k].load(kRelaxed); });
      change_busy(lane, leg, 1);
      break;
    case BalanceKind::nearest:
      leg = cheapest(candidates, last, [&](std::uint32_t k) {
        const std::uint64_t head = lane.head[k].load(kRelaxed);
        return head < bio.offset ? bio.offset - head : head - bio.offset;
      });
      lane.head[leg].store(bio.end(), kRelaxed);
      break;
    case BalanceKind::round_robin:
    case BalanceKind::first:
      leg = next_leg(candidates, last);
      break;
  }
  lane.last.store(leg, kRelaxed);
  return leg;
}

void Balance::end(std::uint32_t leg, const Context& cx) noexcept {
  if (kind_ == BalanceKind::least_busy) change_busy(lane_of(cx), leg, ~std::uint32_t{0});
}

}  // namespace ashlar
