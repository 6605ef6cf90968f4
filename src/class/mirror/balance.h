// Which leg of a mirror the next read goes to.
//
// Each lane decides from what it did itself, in a cache line of its own: a decision costs no shared
// cache line. Lanes find their line by the address of their context, so two of them may meet in
// one; they then balance together, which is slower and no less right.
//
// THREAD: any.
#pragma once

#include <array>
#include <atomic>
#include <memory>
#include <optional>
#include <string_view>

#include "class/mirror/legs.h"

namespace ashlar {

class Context;

enum class BalanceKind : std::uint8_t {
  least_busy,   // the leg with the fewest reads of this lane under way; in turn where equal
  round_robin,  // in turn
  nearest,      // the leg whose last read ended nearest; in turn where equal
  first,        // the live leg with the lowest number
};

// By its name in the parameter `balance`.
std::optional<BalanceKind> parse_balance(std::string_view text);

class Balance {
 public:
  explicit Balance(BalanceKind kind) : kind_(kind), lanes_(std::make_unique<Lanes>()) {}
  Balance(const Balance&) = delete;
  Balance& operator=(const Balance&) = delete;

  // The leg for `bio`, a read, among `candidates`. end() follows when the read is over.
  // REQUIRES: candidates is not empty.
  std::uint32_t begin(LegSet candidates, const Bio& bio, const Context& cx) noexcept;
  void end(std::uint32_t leg, const Context& cx) noexcept;

 private:
  struct alignas(64) LaneState {
    std::atomic<std::uint32_t> last = kMaxLegs - 1;  // the leg that had its turn
    std::array<std::atomic<std::uint32_t>, kMaxLegs> busy{};
    std::array<std::atomic<std::uint64_t>, kMaxLegs> head{};  // where the leg's last read ended
  };
  static constexpr std::size_t kMaxLanes = 16;  // beyond so many contexts, some share a state
  struct Lanes {
    std::array<LaneState, kMaxLanes> states;
    // Who has which state, in the order of first use: that the choice of a leg does not depend on
    // addresses makes a run repeatable. Written once each.
    std::array<std::atomic<const Context*>, kMaxLanes> owners{};
  };

  LaneState& lane_of(const Context& cx) noexcept;

  const BalanceKind kind_;
  const std::unique_ptr<Lanes> lanes_;
};

}  // namespace ashlar
