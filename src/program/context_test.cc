// Goal: a context calls its timers at their time and in their order, and keeps no thread awake.
// Method: a lane on a clock that the test turns; real time only where sleeping itself is tested.
#include "program/context.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <vector>

#include "base/random.h"
#include "program/lane.h"

namespace ashlar {
namespace {

class ManualClock final : public Clock {
 public:
  std::uint64_t now_ns() const noexcept override { return now; }
  std::uint64_t now = 1000;
};

struct Alarm {
  Timer timer;
  std::vector<Alarm*>* rung = nullptr;

  explicit Alarm(std::vector<Alarm*>& order) : rung(&order) {
    timer.user = this;
    timer.expired = [](Timer& mine, Context&) noexcept {
      auto* alarm = static_cast<Alarm*>(mine.user);
      EXPECT_FALSE(mine.armed);
      alarm->rung->push_back(alarm);
    };
  }
};

class TimerTest : public testing::Test {
 protected:
  ManualClock clock_;
  std::unique_ptr<Lane> lane_ = Lane::create({.clock = &clock_}).value();
  std::vector<Alarm*> rung_;
};

TEST_F(TimerTest, ring_at_their_time_not_before) {
  Alarm alarm(rung_);
  lane_->arm(alarm.timer, 5000);
  lane_->poll();
  clock_.now = 4999;
  lane_->poll();
  EXPECT_TRUE(rung_.empty());
  EXPECT_TRUE(alarm.timer.armed);
  clock_.now = 5000;
  lane_->poll();
  EXPECT_EQ(rung_, std::vector{&alarm});
  lane_->poll();
  EXPECT_EQ(rung_.size(), 1u);
}

TEST_F(TimerTest, ring_in_the_order_of_their_deadlines_whatever_was_disarmed) {
  constexpr std::size_t kAlarms = 700;
  Random random(17);
  std::vector<std::unique_ptr<Alarm>> alarms;
  for (std::size_t i = 0; i < kAlarms; ++i) {
    alarms.push_back(std::make_unique<Alarm>(rung_));
    lane_->arm(alarms.back()->timer, 2000 + random.below(5000));
  }
  std::size_t left = kAlarms;
  for (auto& each : alarms) {
    if (!random.one_in(3)) continue;
    lane_->disarm(each->timer);
    if (random.one_in(2)) {
      lane_->arm(each->timer, 2000 + random.below(5000));
    } else {
      --left;
    }
  }
  while (rung_.size() < left) {
    const std::size_t before = rung_.size();
    clock_.now += 1 + random.below(40);
    lane_->poll();
    for (std::size_t i = before; i < rung_.size(); ++i) {
      EXPECT_LE(rung_[i]->timer.deadline_ns, clock_.now);
    }
    for (const auto& each : alarms) {
      if (each->timer.armed) {
        EXPECT_GT(each->timer.deadline_ns, clock_.now);
      }
    }
    ASSERT_LT(clock_.now, 20'000u);
  }
  EXPECT_TRUE(std::is_sorted(rung_.begin(), rung_.end(), [](const Alarm* a, const Alarm* b) {
    return a->timer.deadline_ns < b->timer.deadline_ns;
  }));
}

TEST_F(TimerTest, may_arm_themselves_and_disarm_others_when_they_ring) {
  struct Beat {
    Timer timer;
    Timer* other = nullptr;
    int beats = 0;
  } beat;
  Alarm victim(rung_);
  beat.other = &victim.timer;
  beat.timer.user = &beat;
  beat.timer.expired = [](Timer& mine, Context& cx) noexcept {
    auto& state = *static_cast<Beat*>(mine.user);
    if (++state.beats == 1) cx.disarm(*state.other);
    if (state.beats < 5) cx.arm(mine, mine.deadline_ns + 100);
  };
  lane_->arm(beat.timer, 2000);
  lane_->arm(victim.timer, 2000 + 1);
  clock_.now = 2001;
  lane_->poll();
  EXPECT_EQ(beat.beats, 1);
  EXPECT_TRUE(rung_.empty());
  for (int i = 2; i <= 5; ++i) {
    clock_.now += 100;
    lane_->poll();
    EXPECT_EQ(beat.beats, i);
  }
  EXPECT_FALSE(beat.timer.armed);
}

TEST(Timer, wakes_a_lane_that_sleeps) {
  auto lane = Lane::create({}).value();
  std::vector<Alarm*> rung;
  Alarm alarm(rung);
  const std::uint64_t began = lane->now_ns();
  lane->arm(alarm.timer, began + 3'000'000);
  while (rung.empty()) lane->wait(-1);
  EXPECT_GE(lane->now_ns() - began, 3'000'000u);
}

}  // namespace
}  // namespace ashlar
