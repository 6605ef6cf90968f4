// Which copy the next read goes to: for the classes that keep several (mirror, md).
//
// Each lane decides from what it did itself, in cache lines of its own, of which it is the only
// writer: a decision costs no shared line and no locked instruction. Lanes beyond the first
// kOwnStates share a few; those balance together, which is slower and no less right.
//
// THREAD: any.
#pragma once

#include <array>
#include <atomic>
#include <bit>
#include <cstdint>
#include <memory>
#include <optional>
#include <string_view>

#include "bio/bio.h"

namespace ashlar {

class Context;

// What may be chosen fits a word; bit k is leg k.
inline constexpr std::uint32_t kMaxChoices = 32;
using ChoiceSet = std::uint32_t;

constexpr ChoiceSet choice_bit(std::uint32_t leg) { return ChoiceSet{1} << leg; }
// REQUIRES: not empty.
constexpr std::uint32_t first_choice(ChoiceSet set) {
  return static_cast<std::uint32_t>(std::countr_zero(set));
}

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
  std::uint32_t begin(ChoiceSet candidates, const Bio& bio, const Context& cx) noexcept;
  void end(std::uint32_t leg, const Context& cx) noexcept;

 private:
  struct alignas(64) LaneState {
    std::atomic<std::uint32_t> last = kMaxChoices - 1;  // the leg that had its turn
    std::array<std::atomic<std::uint32_t>, kMaxChoices> busy{};
    std::array<std::atomic<std::uint64_t>, kMaxChoices> head{};  // where the leg's last read ended
    bool shared = false;
  };
  static constexpr std::size_t kOwnStates = 16;
  static constexpr std::size_t kSharedStates = 4;
  struct Lanes {
    Lanes() {
      for (std::size_t i = 0; i < kSharedStates; ++i) states[kOwnStates + i].shared = true;
    }
    std::array<LaneState, kOwnStates + kSharedStates> states;
    // Who has which state, in the order of first use: that the choice of a leg does not depend on
    // addresses makes a run repeatable. Written once each.
    std::array<std::atomic<const Context*>, kOwnStates> owners{};
  };

  LaneState& lane_of(const Context& cx) noexcept;
  static void change_busy(LaneState& lane, std::uint32_t leg, std::uint32_t by) noexcept;

  const BalanceKind kind_;
  const std::unique_ptr<Lanes> lanes_;
};

}  // namespace ashlar
