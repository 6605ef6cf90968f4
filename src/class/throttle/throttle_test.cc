// Goal: no more than the limit goes, nothing waits that need not, lanes have their turn, limits
// change while requests wait, and a cancelled request gives its tokens back.
// Method: a lane with a clock of the test's own, which advances it to the nanosecond.
#include <gtest/gtest.h>

#include <algorithm>
#include <memory>

#include "class/throttle/bucket.h"
#include "test/async.h"
#include "test/rig.h"

namespace ashlar {
namespace {

using test::Async;
using test::Opened;
using test::Rig;

constexpr std::uint64_t kMs = 1'000'000;

class TestClock final : public Clock {
 public:
  std::uint64_t now_ns() const noexcept override { return now; }
  std::uint64_t now = 1'000'000'000'000;
};

class ThrottleTest : public testing::Test {
 protected:
  Opened open(ParameterTexts parameters) {
    Provider& disk = rig_.make("memory", "disk", {}, {{"size", "1MiB"}});
    throttle_ = &rig_.make("throttle", "calm", {&disk}, std::move(parameters));
    return rig_.open(*throttle_);
  }
  std::vector<std::unique_ptr<Async>> reads(Opened& device, std::size_t count,
                                            std::uint64_t bytes = 512) {
    std::vector<std::unique_ptr<Async>> all;
    for (std::size_t i = 0; i < count; ++i) {
      all.push_back(
          std::make_unique<Async>(device.channel(), Op::read, 0, ByteSpan(memory_).first(bytes)));
    }
    return all;
  }
  static std::size_t ended(const std::vector<std::unique_ptr<Async>>& all) {
    return static_cast<std::size_t>(
        std::count_if(all.begin(), all.end(), [](const auto& each) { return each->ended(); }));
  }
  void advance(std::uint64_t ns) {
    clock_.now += ns;
    for (int i = 0; i < 4; ++i) rig_.lane().poll();
  }
  void set(const ParameterTexts& texts) {
    const auto done = rig_.topology().set(*throttle_->geom, texts);
    ASSERT_TRUE(done.ok()) << done.error().message;
    advance(0);
  }

  TestClock clock_;
  Rig rig_{LaneOptions{.clock = &clock_}};
  Provider* throttle_ = nullptr;
  std::vector<std::byte> memory_ = std::vector<std::byte>(64 * kKiB);
};

TEST_F(ThrottleTest, so_many_requests_a_second) {
  Opened device = open({{"iops", "1000"}, {"burst", "0"}});
  auto all = reads(device, 5);
  EXPECT_EQ(ended(all), 1u);
  advance(kMs - 1);
  EXPECT_EQ(ended(all), 1u);
  advance(1);
  EXPECT_EQ(ended(all), 2u);
  advance(kMs);
  EXPECT_EQ(ended(all), 3u);
  advance(2 * kMs);
  EXPECT_EQ(ended(all), 5u);
}

TEST_F(ThrottleTest, so_many_bytes_a_second) {
  Opened device = open({{"bytes", "1MiB"}, {"burst", "62500us"}});  // 64 KiB
  auto all = reads(device, 3, 64 * kKiB);
  EXPECT_EQ(ended(all), 1u);
  advance(62'499'999);
  EXPECT_EQ(ended(all), 1u);
  advance(1);
  EXPECT_EQ(ended(all), 2u);
  advance(62'500'000);
  EXPECT_EQ(ended(all), 3u);
}

TEST_F(ThrottleTest, both_limits_hold) {
  Opened device = open({{"iops", "10"}, {"bytes", "1GiB"}, {"burst", "1ms"}});
  auto all = reads(device, 3, 64 * kKiB);
  advance(100 * kMs);
  EXPECT_EQ(ended(all), 2u);
  set({{"iops", "1000000"}, {"bytes", "64KiB"}});
  advance(998 * kMs);
  EXPECT_EQ(ended(all), 2u);
  advance(2 * kMs);
  EXPECT_EQ(ended(all), 3u);
}

TEST_F(ThrottleTest, unused_time_is_made_up_for_up_to_the_burst) {
  Opened device = open({{"iops", "1000"}, {"burst", "4ms"}});
  advance(1000 * kMs);
  auto all = reads(device, 10);
  EXPECT_EQ(ended(all), 4u);
  advance(6 * kMs);
  EXPECT_EQ(ended(all), 10u);
}

TEST_F(ThrottleTest, no_limit_lets_all_pass) {
  Opened device = open({});
  auto all = reads(device, 100);
  EXPECT_EQ(ended(all), 100u);
}

TEST_F(ThrottleTest, what_does_not_count_passes) {
  Opened device = open({{"iops", "1"}, {"burst", "0"}});
  auto all = reads(device, 2);
  EXPECT_EQ(device.flush(), Errc::ok);
  EXPECT_EQ(ended(all), 1u);
  advance(1000 * kMs);
  EXPECT_EQ(ended(all), 2u);
}

// Waiting under a request an hour must not outlive the limit.
TEST_F(ThrottleTest, other_limits_hold_for_what_waits_already) {
  Opened device = open({{"bytes", "1"}, {"burst", "0"}});
  auto all = reads(device, 4);
  EXPECT_EQ(ended(all), 0u);
  set({{"bytes", "1MiB"}});
  advance(2 * kMs);
  EXPECT_EQ(ended(all), 4u);
  auto more = reads(device, 2, 64 * kKiB);
  set({{"bytes", "0"}});
  EXPECT_EQ(ended(more), 2u);
}

TEST_F(ThrottleTest, a_cancelled_request_gives_its_tokens_back) {
  Opened device = open({{"iops", "10"}, {"burst", "0"}});
  auto all = reads(device, 4);
  EXPECT_EQ(ended(all), 1u);
  all[2]->cancel();
  EXPECT_EQ(all[2]->wait(), Errc::cancelled);
  all[1]->cancel();  // the first that waits
  EXPECT_EQ(all[1]->wait(), Errc::cancelled);
  advance(100 * kMs);
  EXPECT_TRUE(all[3]->ended());
}

TEST_F(ThrottleTest, a_wrong_value_changes_nothing) {
  Opened device = open({{"iops", "10"}, {"burst", "0"}});
  Topology& topology = rig_.topology();
  EXPECT_EQ(topology.set(*throttle_->geom, {{"iops", "many"}}).error().code, Errc::invalid);
  EXPECT_EQ(topology.set(*throttle_->geom, {{"op", "jump"}}).error().code, Errc::invalid);
  EXPECT_EQ(topology.set(*throttle_->geom, {{"speed", "1"}}).error().code, Errc::invalid);
  EXPECT_EQ(throttle_->geom->parameters().at("iops"), "10");
  auto all = reads(device, 2);
  EXPECT_EQ(ended(all), 1u);
  advance(200 * kMs);
  EXPECT_EQ(ended(all), 2u);
}

// Each lane has one request that has taken tokens: a deep queue does not push out a shallow one.
TEST_F(ThrottleTest, lanes_take_turns) {
  Opened device = open({{"iops", "1000"}, {"burst", "0"}});
  auto lane = Lane::create({.clock = &clock_}).value();
  auto channel = Channel::open(*lane, device.program(), {}).value();
  auto many = reads(device, 20);
  Async one(*channel, Op::read, 0, ByteSpan(memory_).first(512));
  for (int i = 0; i < 3; ++i) {
    advance(kMs);
    lane->poll();
  }
  EXPECT_TRUE(one.ended());
  EXPECT_LE(ended(many), 4u);
  advance(40 * kMs);
}

TEST(Bucket, high_rates_are_exact) {
  Bucket bucket;
  bucket.set_rate(3'000'000);
  std::uint64_t last = 0;
  const std::uint64_t start = 1'000'000'000;
  for (int i = 0; i < 3'000'000; ++i) last = bucket.take(1, 0, start, start);
  EXPECT_NEAR(static_cast<double>(last - start), 1e9, 1e6);
}

}  // namespace
}  // namespace ashlar
