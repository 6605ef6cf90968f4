// Goal: reads under way are counted exactly, by lanes with a state of their own and by those that
// share one: a count that drifts would starve a leg for ever.
// Method: more contexts than there are states begin and end reads, one after the other and all at
// once, from threads; afterwards the choice must be what it is when nothing is under way.
#include "class/balance.h"

#include <gtest/gtest.h>

#include <memory>
#include <thread>
#include <vector>

#include "program/lane.h"

namespace ashlar {
namespace {

constexpr unsigned kLanes = 48;  // the first 16 have states of their own
constexpr ChoiceSet kBoth = 3;

std::vector<std::unique_ptr<Lane>> make_lanes() {
  std::vector<std::unique_ptr<Lane>> lanes;
  for (unsigned i = 0; i < kLanes; ++i) {
    lanes.push_back(Lane::create({.engine = {.choice = EngineChoice::none}}).value());
  }
  return lanes;
}

// Where nothing is under way, two reads go to both legs, and the second two as well.
void expect_idle(Balance& balance, const Lane& lane) {
  const Bio bio{};
  for (int i = 0; i < 2; ++i) {
    const std::uint32_t first = balance.begin(kBoth, bio, lane);
    const std::uint32_t second = balance.begin(kBoth, bio, lane);
    EXPECT_NE(first, second);
    balance.end(first, lane);
    // The leg that is free again, although it had its turn before the other.
    EXPECT_EQ(balance.begin(kBoth, bio, lane), first);
    balance.end(first, lane);
    balance.end(second, lane);
  }
}

TEST(Balance, lanes_that_share_a_state_count_exactly) {
  Balance balance(BalanceKind::least_busy);
  const auto lanes = make_lanes();
  for (const auto& lane : lanes) expect_idle(balance, *lane);
}

TEST(Balance, lanes_that_share_a_state_count_exactly_at_once) {
  Balance balance(BalanceKind::least_busy);
  const auto lanes = make_lanes();
  const auto work = [&](unsigned from) {
    const Bio bio{};
    for (int i = 0; i < 2000; ++i) {
      for (unsigned k = from; k < kLanes; k += 4) {
        balance.end(balance.begin(kBoth, bio, *lanes[k]), *lanes[k]);
      }
    }
  };
  std::vector<std::thread> threads;
  for (unsigned i = 0; i < 4; ++i) threads.emplace_back(work, i);
  for (std::thread& each : threads) each.join();
  for (const auto& lane : lanes) expect_idle(balance, *lane);
}

}  // namespace
}  // namespace ashlar
