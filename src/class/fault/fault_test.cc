// Goal: exactly the requests that the parameters describe fail, the same ones each time.
// Method: fault over memory; requests one after another, the pattern of errors against what the
// page says. `after` is told from `before` by what the medium holds.
#include <algorithm>

#include "test/rig.h"

namespace ashlar {
namespace {

using test::Opened;
using test::pattern;
using test::Rig;

class FaultTest : public testing::Test {
 protected:
  Opened over_memory(ParameterTexts parameters) {
    memory_ = &rig_.make("memory", "disk", {}, {{"size", "1MiB"}});
    fault_ = &rig_.make("fault", "fault", {memory_}, std::move(parameters));
    return rig_.open(*fault_);
  }

  std::string status(std::string_view key) {
    for (const auto& [name, value] : fault_->geom->body().status()) {
      if (name == key) return value;
    }
    return "absent";
  }

  // The numbers, from 1, of the reads that fail among `count`.
  static std::vector<int> failures(Opened& device, int count) {
    std::vector<int> failed;
    std::vector<std::byte> block(512);
    for (int i = 1; i <= count; ++i) {
      if (device.read(0, block) != Errc::ok) failed.push_back(i);
    }
    return failed;
  }

  Rig rig_;
  Provider* memory_ = nullptr;
  Provider* fault_ = nullptr;
};

TEST_F(FaultTest, fails_everything_without_parameters) {
  Opened device = over_memory({});
  std::vector<std::byte> block(512);
  EXPECT_EQ(device.read(0, block), Errc::io);
  EXPECT_EQ(device.write(0, block), Errc::io);
  EXPECT_EQ(device.flush(), Errc::io);
  EXPECT_EQ(device.discard(0, 4096), Errc::io);
  EXPECT_EQ(device.write_zeroes(0, 4096), Errc::io);
  EXPECT_EQ(status("matched"), "5");
  EXPECT_EQ(status("failed"), "5");
}

TEST_F(FaultTest, fails_only_the_operations_named) {
  Opened device = over_memory({{"op", "write,discard"}, {"error", "no_space"}});
  std::vector<std::byte> block(512);
  EXPECT_EQ(device.read(0, block), Errc::ok);
  EXPECT_EQ(device.write(0, block), Errc::no_space);
  EXPECT_EQ(device.flush(), Errc::ok);
  EXPECT_EQ(device.discard(0, 4096), Errc::no_space);
  EXPECT_EQ(device.write_zeroes(0, 4096), Errc::ok);
  EXPECT_EQ(status("matched"), "2");
}

TEST_F(FaultTest, a_place_fails_for_every_request_that_touches_it) {
  Opened device = over_memory({{"offset", "4KiB"}, {"length", "512"}});
  std::vector<std::byte> buffer(4096);
  EXPECT_EQ(device.read(0, buffer), Errc::ok);
  EXPECT_EQ(device.read(512, buffer), Errc::io);
  EXPECT_EQ(device.read(4096, ByteSpan(buffer).first(512)), Errc::io);
  EXPECT_EQ(device.read(4096 + 512, buffer), Errc::ok);
  EXPECT_EQ(device.flush(), Errc::ok);
}

TEST_F(FaultTest, an_offset_alone_reaches_to_the_end) {
  Opened device = over_memory({{"offset", "512KiB"}});
  std::vector<std::byte> block(512);
  EXPECT_EQ(device.read(512 * kKiB - 512, block), Errc::ok);
  EXPECT_EQ(device.read(512 * kKiB, block), Errc::io);
  EXPECT_EQ(device.read(kMiB - 512, block), Errc::io);
}

TEST_F(FaultTest, every_third_request_fails) {
  Opened device = over_memory({{"every", "3"}});
  EXPECT_EQ(failures(device, 10), (std::vector<int>{3, 6, 9}));
}

TEST_F(FaultTest, only_the_fourth_request_fails) {
  Opened device = over_memory({{"nth", "4"}});
  EXPECT_EQ(failures(device, 10), (std::vector<int>{4}));
}

TEST_F(FaultTest, no_more_than_count_fail) {
  Opened device = over_memory({{"every", "2"}, {"count", "2"}});
  EXPECT_EQ(failures(device, 10), (std::vector<int>{2, 4}));
  EXPECT_EQ(status("failed"), "2");
  EXPECT_EQ(status("matched"), "10");
}

TEST_F(FaultTest, a_rate_is_met_and_the_same_seed_fails_the_same_requests) {
  constexpr int kRequests = 4000;
  std::vector<std::vector<int>> runs;
  for (const char* seed : {"7", "7", "8"}) {
    Rig rig;
    Provider& disk = rig.make("memory", "disk", {}, {{"size", "64KiB"}});
    Opened device =
        rig.open(rig.make("fault", "fault", {&disk}, {{"rate", "0.25"}, {"seed", seed}}));
    runs.push_back(failures(device, kRequests));
  }
  EXPECT_EQ(runs[0], runs[1]);
  EXPECT_NE(runs[0], runs[2]);
  // 1000 expected, standard deviation 27: the seeds are fixed, so this cannot fail by chance.
  EXPECT_NEAR(static_cast<double>(runs[0].size()), kRequests / 4.0, 110);
}

TEST_F(FaultTest, rates_of_nothing_and_of_all) {
  Opened never = over_memory({{"rate", "0"}});
  EXPECT_TRUE(failures(never, 200).empty());
  Provider& all = rig_.make("fault", "all", {memory_}, {{"rate", "1"}});
  Opened always = rig_.open(all);
  EXPECT_EQ(failures(always, 200).size(), 200u);
}

TEST_F(FaultTest, before_leaves_the_medium_alone_and_after_does_not) {
  const auto bytes = pattern(512);
  std::vector<std::byte> back(512);
  Opened before = over_memory({{"op", "write"}});
  EXPECT_EQ(before.program().steps[1].on_complete, nullptr);
  EXPECT_EQ(before.write(0, bytes), Errc::io);
  EXPECT_EQ(before.read(0, back), Errc::ok);
  EXPECT_EQ(back, std::vector<std::byte>(512));

  Opened after =
      rig_.open(rig_.make("fault", "after", {memory_}, {{"op", "write"}, {"when", "after"}}));
  EXPECT_EQ(after.write(0, bytes), Errc::io);
  EXPECT_EQ(after.read(0, back), Errc::ok);
  EXPECT_EQ(back, bytes);
}

TEST_F(FaultTest, an_error_from_below_is_not_replaced) {
  over_memory({{"error", "corrupt"}});
  Opened device = rig_.open(rig_.make("fault", "upper", {fault_}, {{"when", "after"}}));
  std::vector<std::byte> block(512);
  EXPECT_EQ(device.read(0, block), Errc::corrupt);
}

TEST_F(FaultTest, refuses_parameters_that_make_no_sense) {
  Provider& disk = rig_.make("memory", "disk", {}, {{"size", "64KiB"}});
  const std::vector<ParameterTexts> wrong = {
      {{"op", "wipe"}},
      {{"error", "ok"}},
      {{"error", "cancelled"}},
      {{"when", "during"}},
      {{"rate", "1.5"}},
      {{"rate", "-1"}},
      {{"every", "0"}},
      {{"nth", "-1"}},
      {{"offset", "0xffffffffffffffff"}, {"length", "512"}},
  };
  for (const ParameterTexts& each : wrong) {
    const auto geom = rig_.try_make("fault", "bad", {&disk}, each);
    ASSERT_FALSE(geom.ok()) << each.begin()->first << " = " << each.begin()->second;
    EXPECT_EQ(geom.error().code, Errc::invalid);
    EXPECT_EQ(geom.error().message.rfind("fault: ", 0), 0u) << geom.error().message;
  }
}

}  // namespace
}  // namespace ashlar
