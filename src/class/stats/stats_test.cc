// Goal: what passes is counted, once, under its operation, whichever context it passes in.
// Method: known requests over memory and over a layer that fails some; several lanes in threads on
// one geom, and the sums afterwards.
#include <thread>

#include "test/async.h"
#include "test/rig.h"

namespace ashlar {
namespace {

using test::Async;
using test::Opened;
using test::Rig;

std::string status(const Provider& provider, std::string_view key) {
  for (const auto& [name, value] : provider.geom->body().status()) {
    if (name == key) return value;
  }
  return "absent";
}

class StatsTest : public testing::TestWithParam<Dispatch> {
 protected:
  Rig rig_;
};

INSTANTIATE_TEST_SUITE_P(Dispatch, StatsTest, testing::Values(Dispatch::direct, Dispatch::queued),
                         [](const auto& each) {
                           return each.param == Dispatch::direct ? "direct" : "queued";
                         });

TEST_P(StatsTest, counts_requests_bytes_and_errors_by_operation) {
  Provider& disk = rig_.make("memory", "disk", {}, {{"size", "1MiB"}});
  Provider& bad = rig_.make("fault", "bad", {&disk}, {{"op", "write"}, {"offset", "512KiB"}});
  Provider& stats = rig_.make("stats", "stats", {&bad});
  Opened device = rig_.open(stats, GetParam());
  std::vector<std::byte> buffer(4096);
  for (int i = 0; i < 3; ++i) EXPECT_EQ(device.read(0, buffer), Errc::ok);
  EXPECT_EQ(device.write(0, buffer), Errc::ok);
  EXPECT_EQ(device.write(512 * kKiB, buffer), Errc::io);
  EXPECT_EQ(device.flush(), Errc::ok);
  EXPECT_EQ(device.discard(4096, 65536), Errc::ok);
  EXPECT_EQ(device.write_zeroes(0, 512), Errc::ok);

  EXPECT_EQ(status(stats, "read_requests"), "3");
  EXPECT_EQ(status(stats, "read_bytes"), "12288");
  EXPECT_EQ(status(stats, "read_errors"), "0");
  EXPECT_EQ(status(stats, "write_requests"), "2");
  EXPECT_EQ(status(stats, "write_bytes"), "4096");
  EXPECT_EQ(status(stats, "write_errors"), "1");
  EXPECT_EQ(status(stats, "flush_requests"), "1");
  EXPECT_EQ(status(stats, "flush_bytes"), "absent");
  EXPECT_EQ(status(stats, "discard_bytes"), "65536");
  EXPECT_EQ(status(stats, "write_zeroes_bytes"), "512");
  EXPECT_EQ(status(stats, "in_flight"), "0");
}

// In direct dispatch alone: there submit() has returned from the step.
TEST(Stats, counts_what_is_under_way) {
  Rig rig;
  Provider& disk = rig.make("memory", "disk", {}, {{"size", "1MiB"}});
  Provider& slow = rig.make("delay", "slow", {&disk}, {{"time", "3600s"}});
  Provider& stats = rig.make("stats", "stats", {&slow});
  Opened device = rig.open(stats);
  std::vector<std::byte> buffer(512);
  Async one(device.channel(), Op::read, 0, buffer);
  Async two(device.channel(), Op::read, 0, buffer);
  EXPECT_EQ(status(stats, "in_flight"), "2");
  one.cancel();
  EXPECT_EQ(one.wait(), Errc::cancelled);
  EXPECT_EQ(status(stats, "in_flight"), "1");
  EXPECT_EQ(status(stats, "read_errors"), "1");
  two.cancel();
}

TEST_P(StatsTest, measures_some) {
  Provider& disk = rig_.make("memory", "disk", {}, {{"size", "1MiB"}});
  Provider& slow = rig_.make("delay", "slow", {&disk}, {{"time", "2ms"}});
  Provider& stats = rig_.make("stats", "stats", {&slow}, {{"sample", "2"}});
  Provider& blind = rig_.make("stats", "blind", {&stats}, {{"sample", "0"}});
  Opened device = rig_.open(blind, GetParam());
  EXPECT_EQ(status(stats, "time_p50_ns"), "0");
  for (int i = 0; i < 3; ++i) EXPECT_EQ(device.flush(), Errc::ok);
  // The smallest power of two above 2 ms.
  EXPECT_GE(std::stoull(status(stats, "time_p50_ns")), 2'097'152u);
  EXPECT_GE(std::stoull(status(stats, "time_p99_ns")), std::stoull(status(stats, "time_p50_ns")));
  EXPECT_EQ(status(blind, "time_p99_ns"), "0");
}

TEST_P(StatsTest, loses_nothing_when_many_lanes_count) {
  constexpr int kLanes = 6;
  constexpr int kRequests = 3000;
  Provider& disk = rig_.make("memory", "disk", {}, {{"size", "1MiB"}});
  Provider& stats = rig_.make("stats", "stats", {&disk}, {{"sample", "1"}});
  std::vector<std::thread> threads;
  auto program = compile(stats, {.dispatch = GetParam()});
  ASSERT_TRUE(program.ok());
  for (int i = 0; i < kLanes; ++i) {
    threads.emplace_back([&program] {
      auto lane = Lane::create({}).value();
      auto channel = Channel::open(*lane, **program, {}).value();
      std::vector<std::byte> buffer(512);
      for (int j = 0; j < kRequests; ++j) Async(*channel, Op::read, 512, buffer).wait();
    });
  }
  for (std::thread& each : threads) each.join();
  EXPECT_EQ(status(stats, "read_requests"), std::to_string(kLanes * kRequests));
  EXPECT_EQ(status(stats, "read_bytes"), std::to_string(kLanes * kRequests * 512));
  EXPECT_EQ(status(stats, "in_flight"), "0");
}

// More contexts than rows: the rest share one, and the sums are right all the same.
TEST(Stats, more_lanes_than_rows) {
  constexpr int kLanes = 70;
  Rig rig;
  Provider& disk = rig.make("memory", "disk", {}, {{"size", "1MiB"}});
  Provider& stats = rig.make("stats", "stats", {&disk});
  auto program = compile(stats, {});
  ASSERT_TRUE(program.ok());
  LaneOptions small;
  small.engine.choice = EngineChoice::threads;
  std::vector<std::unique_ptr<Lane>> lanes;
  std::vector<std::byte> buffer(512);
  for (int i = 0; i < kLanes; ++i) {
    lanes.push_back(Lane::create(small).value());
    auto channel = Channel::open(*lanes.back(), **program, {}).value();
    for (int j = 0; j < 3; ++j) EXPECT_EQ(Async(*channel, Op::read, 0, buffer).wait(), Errc::ok);
  }
  EXPECT_EQ(status(stats, "read_requests"), std::to_string(kLanes * 3));
}

}  // namespace
}  // namespace ashlar
