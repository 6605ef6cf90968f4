// Goal: every live leg holds every acknowledged change, and one leg is always live, whatever lanes
// do at the same time.
// Method: settle() by hand for each case; then threads that end changes with random failures, and
// at the end each acknowledged change is looked for on each leg that is still live.
#include "class/mirror/legs.h"

#include <gtest/gtest.h>

#include <random>
#include <thread>

namespace ashlar {
namespace {

using Lines = std::vector<std::pair<std::string, std::string>>;

TEST(Legs, all_are_live_at_first) {
  EXPECT_EQ(Legs(1).live(), 0b1u);
  EXPECT_EQ(Legs(3).live(), 0b111u);
  EXPECT_EQ(Legs(kMaxLegs).live(), ~LegSet{0});
  EXPECT_EQ(Legs(2).report(), (Lines{{"legs", "2 of 2"}}));
}

TEST(Legs, who_failed_what_another_did_is_dropped) {
  Legs legs(3);
  EXPECT_TRUE(legs.settle(0b101, 0b010, Op::write, Errc::no_space));
  EXPECT_EQ(legs.live(), 0b101u);
  EXPECT_EQ(legs.report(),
            (Lines{{"legs", "2 of 3"}, {"leg 1", "dropped: write failed: no space left"}}));
}

TEST(Legs, nobody_is_dropped_when_all_failed) {
  Legs legs(2);
  EXPECT_FALSE(legs.settle(0, 0b11, Op::write, Errc::io));
  EXPECT_EQ(legs.live(), 0b11u);
}

TEST(Legs, what_only_a_dropped_leg_holds_is_not_acknowledged) {
  Legs legs(2);
  EXPECT_TRUE(legs.settle(0b01, 0b10, Op::write, Errc::io));
  EXPECT_FALSE(legs.settle(0b10, 0b01, Op::write, Errc::io));
  EXPECT_EQ(legs.live(), 0b01u);
}

TEST(Legs, a_leg_is_dropped_once_and_its_first_reason_stays) {
  Legs legs(2);
  EXPECT_TRUE(legs.settle(0b01, 0b10, Op::read, Errc::corrupt));
  EXPECT_TRUE(legs.settle(0b01, 0b10, Op::write, Errc::io));
  EXPECT_EQ(legs.report()[1].second, "dropped: read failed: corrupt");
}

TEST(Legs, the_last_one_cannot_be_lost) {
  Legs legs(2);
  EXPECT_TRUE(legs.lose(1));
  EXPECT_TRUE(legs.lose(1));
  EXPECT_FALSE(legs.lose(0));
  EXPECT_EQ(legs.live(), 0b01u);
  EXPECT_EQ(legs.report()[1].second, "dropped: the device is gone");
}

TEST(Legs, report_names_the_leg_that_is_read_when_uneven) {
  Legs legs(2);
  legs.set_uneven();
  EXPECT_TRUE(legs.lose(0));
  EXPECT_EQ(legs.report().back(), (std::pair<std::string, std::string>{
                                      "uneven", "a change ended midway; leg 1 is read"}));
}

// Ends `changes` changes of which each leg fails one in `rarity`; the sets of legs that carried out
// the acknowledged ones.
std::vector<LegSet> end_changes(Legs& legs, unsigned seed, int changes, unsigned rarity) {
  std::mt19937 random(seed);
  std::vector<LegSet> acknowledged;
  for (int i = 0; i < changes; ++i) {
    const LegSet sent = legs.live();
    LegSet bad = 0;
    for (std::uint32_t leg = 0; leg < legs.count(); ++leg) {
      if (random() % rarity == 0) bad |= leg_bit(leg) & sent;
    }
    if (random() % 16 == 0) std::this_thread::yield();
    if (legs.settle(sent & ~bad, bad, Op::write, Errc::io)) acknowledged.push_back(sent & ~bad);
  }
  return acknowledged;
}

TEST(Legs, live_legs_hold_what_any_thread_acknowledged) {
  constexpr unsigned kThreads = 4;
  for (unsigned round = 0; round < 50; ++round) {
    SCOPED_TRACE("seed " + std::to_string(round));
    Legs legs(8);
    std::array<std::vector<LegSet>, kThreads> acknowledged;
    std::vector<std::thread> threads;
    for (unsigned i = 0; i < kThreads; ++i) {
      threads.emplace_back(
          [&, i] { acknowledged[i] = end_changes(legs, round * kThreads + i, 300, 150); });
    }
    for (std::thread& each : threads) each.join();
    ASSERT_NE(legs.live(), 0u);
    for (const auto& mine : acknowledged) {
      for (const LegSet holders : mine) ASSERT_EQ(legs.live() & ~holders, 0u);
    }
  }
}

}  // namespace
}  // namespace ashlar
