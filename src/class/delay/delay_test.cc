// Goal: requests wait at least as long as asked, in any number, without keeping their thread; a
// cancelled one stops waiting.
// Method: delay over memory with waits of milliseconds, where only the lower bound is asked for, or
// of an hour, which no test would survive unless the wait were cut short.
#include <deque>
#include <memory>

#include "base/random.h"
#include "program/context.h"
#include "test/async.h"
#include "test/rig.h"

namespace ashlar {
namespace {

using test::Async;
using test::Opened;
using test::pattern;
using test::Rig;

class DelayTest : public testing::TestWithParam<Dispatch> {
 protected:
  Opened over_memory(ParameterTexts parameters) {
    memory_ = &rig_.make("memory", "disk", {}, {{"size", "1MiB"}});
    delay_ = &rig_.make("delay", "delay", {memory_}, std::move(parameters));
    return rig_.open(*delay_, GetParam());
  }

  std::string status(std::string_view key) {
    for (const auto& [name, value] : delay_->geom->body().status()) {
      if (name == key) return value;
    }
    return "absent";
  }

  Rig rig_;
  Provider* memory_ = nullptr;
  Provider* delay_ = nullptr;
};

INSTANTIATE_TEST_SUITE_P(Dispatch, DelayTest, testing::Values(Dispatch::direct, Dispatch::queued),
                         [](const auto& each) {
                           return each.param == Dispatch::direct ? "direct" : "queued";
                         });

TEST_P(DelayTest, waits_at_least_as_long_as_asked_and_keeps_the_bytes) {
  Opened device = over_memory({{"time", "3ms"}, {"jitter", "2ms"}});
  const auto bytes = pattern(4096);
  std::vector<std::byte> back(bytes.size());
  const std::uint64_t began = system_clock().now_ns();
  EXPECT_EQ(device.write(512, bytes), Errc::ok);
  EXPECT_EQ(device.flush(), Errc::ok);
  EXPECT_EQ(device.read(512, back), Errc::ok);
  EXPECT_GE(system_clock().now_ns() - began, 9'000'000u);
  EXPECT_EQ(back, bytes);
  EXPECT_EQ(status("delayed"), "3");
  EXPECT_EQ(status("held"), "0");
}

TEST_P(DelayTest, only_the_operations_named_wait) {
  Opened device = over_memory({{"time", "3600s"}, {"op", "write"}});
  auto bytes = pattern(512);
  std::vector<std::byte> back(512, std::byte{1});
  Async write(device.channel(), Op::write, 0, bytes);
  EXPECT_EQ(device.read(0, back), Errc::ok);
  EXPECT_EQ(device.flush(), Errc::ok);
  EXPECT_EQ(back, std::vector<std::byte>(512));
  EXPECT_FALSE(write.ended());
  write.cancel();
  EXPECT_EQ(write.wait(), Errc::cancelled);
  EXPECT_EQ(device.read(0, back), Errc::ok);
  EXPECT_EQ(back, std::vector<std::byte>(512));
  EXPECT_EQ(status("delayed"), "1");
}

TEST_P(DelayTest, any_number_waits_and_each_can_be_cancelled) {
  constexpr int kRequests = 2000;
  Opened device = over_memory({{"time", "3600s"}});
  std::vector<std::byte> buffer(512);
  std::deque<Async> requests;
  for (int i = 0; i < kRequests; ++i) requests.emplace_back(device.channel(), Op::read, 0, buffer);
  EXPECT_EQ(device.channel().in_flight(), kRequests);
  Random random(11);
  for (int i = 0; i < kRequests; ++i) {
    // Some twice, which must change nothing.
    Async& picked = requests[random.below(kRequests)];
    if (!picked.ended()) picked.cancel();
    if (random.one_in(8)) rig_.lane().poll();
  }
  for (Async& each : requests) {
    if (!each.ended()) each.cancel();
    EXPECT_EQ(each.wait(), Errc::cancelled);
  }
  EXPECT_EQ(device.channel().in_flight(), 0u);
  EXPECT_EQ(status("held"), "0");
}

TEST_P(DelayTest, a_short_wait_overtakes_a_long_one) {
  memory_ = &rig_.make("memory", "disk", {}, {{"size", "1MiB"}});
  Provider& slow = rig_.make("delay", "slow", {memory_}, {{"time", "3600s"}});
  delay_ = &rig_.make("delay", "fast", {memory_}, {{"time", "1ms"}});
  Opened slow_device = rig_.open(slow, GetParam());
  Opened fast_device = rig_.open(*delay_, GetParam());
  std::vector<std::byte> buffer(512);
  Async first(slow_device.channel(), Op::read, 0, buffer);
  Async second(fast_device.channel(), Op::read, 0, buffer);
  EXPECT_EQ(second.wait(), Errc::ok);
  EXPECT_FALSE(first.ended());
  first.cancel();
}

TEST_P(DelayTest, delays_over_one_another_add_up) {
  Provider* top = &rig_.make("memory", "disk", {}, {{"size", "1MiB"}});
  for (int i = 0; i < 3; ++i) {
    top = &rig_.make("delay", "d" + std::to_string(i), {top}, {{"time", "1ms"}});
  }
  Opened device = rig_.open(*top, GetParam());
  const std::uint64_t began = system_clock().now_ns();
  EXPECT_EQ(device.flush(), Errc::ok);
  EXPECT_GE(system_clock().now_ns() - began, 3'000'000u);
}

TEST(Delay, refuses_parameters_that_make_no_sense) {
  Rig rig;
  Provider& disk = rig.make("memory", "disk", {}, {{"size", "64KiB"}});
  const std::vector<ParameterTexts> wrong = {
      {{"time", "5"}}, {{"time", "3601s"}}, {{"jitter", "2h"}}, {{"op", "none"}}};
  for (const ParameterTexts& each : wrong) {
    EXPECT_FALSE(rig.try_make("delay", "bad", {&disk}, each).ok()) << each.begin()->second;
  }
}

}  // namespace
}  // namespace ashlar
