// Goal: a window shows exactly the bytes it says, costs no step, and follows its device's size.
// Method: windows over memory against a model, in both dispatch modes; the bytes below and beside
// the window are looked at directly; every misfit of the parameters.
#include "test/model.h"

namespace ashlar {
namespace {

using test::Model;
using test::Opened;
using test::pattern;
using test::Rig;

class LinearModes : public testing::TestWithParam<Dispatch> {};

INSTANTIATE_TEST_SUITE_P(Dispatch, LinearModes, testing::Values(Dispatch::direct, Dispatch::queued),
                         [](const auto& each) {
                           return each.param == Dispatch::direct ? "direct" : "queued";
                         });

TEST_P(LinearModes, shows_its_window_and_nothing_else) {
  Rig rig;
  Provider& disk = rig.make("memory", "disk", {}, {{"size", "256KiB"}});
  Provider& window =
      rig.make("linear", "window", {&disk}, {{"offset", "64KiB"}, {"length", "128KiB"}});
  EXPECT_EQ(window.size_bytes, 128 * kKiB);
  Opened below = rig.open(disk);
  const auto ground = pattern(256 * kKiB);
  ASSERT_EQ(below.write(0, ground), Errc::ok);

  Opened device = rig.open(window, GetParam());
  Model model(window.size_bytes, 512);
  ASSERT_EQ(device.write_zeroes(0, window.size_bytes), Errc::ok);
  model.exercise(device, 7, 400);
  std::vector<std::byte> back(512);
  EXPECT_EQ(device.read(window.size_bytes - 512, back), Errc::ok);
  EXPECT_EQ(device.read(window.size_bytes, back), Errc::out_of_range);

  auto expected = ground;
  std::copy(model.bytes().begin(), model.bytes().end(), expected.begin() + 64 * kKiB);
  EXPECT_EQ(test::contents(below, 256 * kKiB), expected);
}

TEST_P(LinearModes, windows_on_windows_add_up) {
  Rig rig;
  Provider& disk = rig.make("memory", "disk", {}, {{"size", "64KiB"}});
  Provider* top = &disk;
  for (int i = 0; i < 16; ++i) {
    top = &rig.make("linear", "w" + std::to_string(i), {top}, {{"offset", "512"}});
  }
  EXPECT_EQ(top->size_bytes, 64 * kKiB - 16 * 512);
  Opened device = rig.open(*top, GetParam());
  const auto bytes = pattern(512);
  ASSERT_EQ(device.write(0, bytes), Errc::ok);
  Opened below = rig.open(disk);
  std::vector<std::byte> back(512);
  ASSERT_EQ(below.read(16 * 512, back), Errc::ok);
  EXPECT_EQ(back, bytes);
}

TEST(Linear, costs_no_step) {
  Rig rig;
  Provider& disk = rig.make("memory", "disk", {}, {{"size", "64KiB"}});
  Provider& one = rig.make("linear", "one", {&disk}, {{"offset", "512"}});
  Provider& two = rig.make("linear", "two", {&one}, {{"offset", "512"}});
  Opened bare = rig.open(disk);
  Opened tower = rig.open(two);
  EXPECT_EQ(tower.program().steps.size(), bare.program().steps.size());
  EXPECT_EQ(tower.program().frame_bytes, bare.program().frame_bytes);
  EXPECT_EQ(tower.program().entry.add_bytes, 1024u);
}

TEST(Linear, follows_the_end_of_its_device) {
  Rig rig;
  Provider& disk = rig.make("null", "disk", {}, {{"size", "64KiB"}});
  Provider& open_end = rig.make("linear", "open_end", {&disk}, {{"offset", "4096"}});
  Provider& fixed = rig.make("linear", "fixed", {&disk}, {{"offset", "4096"}, {"length", "8192"}});
  rig.topology().resize(disk, 128 * kKiB);
  EXPECT_EQ(open_end.size_bytes, 124 * kKiB);
  EXPECT_EQ(fixed.size_bytes, 8192u);
}

TEST_P(LinearModes, a_shrunken_device_cuts_the_window_off) {
  Rig rig;
  Provider& disk = rig.make("null", "disk", {}, {{"size", "64KiB"}});
  Provider& fixed = rig.make("linear", "fixed", {&disk}, {{"offset", "4096"}, {"length", "8192"}});
  Provider& above = rig.make("linear", "above", {&fixed}, {{"offset", "1024"}});
  rig.topology().resize(disk, 6000);
  EXPECT_EQ(fixed.size_bytes, 1536u);
  EXPECT_EQ(above.size_bytes, 512u);
  std::vector<std::byte> back(512);
  EXPECT_EQ(rig.open(above, GetParam()).read(0, back), Errc::ok);
  EXPECT_EQ(rig.open(above, GetParam()).read(512, back), Errc::out_of_range);

  rig.topology().resize(disk, 4096);
  EXPECT_EQ(fixed.size_bytes, 0u);
  EXPECT_EQ(above.size_bytes, 0u);
  Opened nothing_left = rig.open(above, GetParam());
  EXPECT_EQ(nothing_left.read(0, back), Errc::out_of_range);
  EXPECT_EQ(nothing_left.flush(), Errc::gone);

  rig.topology().resize(disk, 64 * kKiB);
  EXPECT_EQ(fixed.size_bytes, 8192u);
  EXPECT_EQ(rig.open(above, GetParam()).read(4096, back), Errc::ok);
}

TEST(Linear, keeps_to_the_block_size_below) {
  Rig rig;
  Provider& disk = rig.make("memory", "disk", {}, {{"size", "64KiB"}, {"block", "4096"}});
  Provider& window = rig.make("linear", "window", {&disk}, {{"offset", "4096"}});
  EXPECT_EQ(window.limits.block_bytes, 4096u);
  std::vector<std::byte> back(512);
  EXPECT_EQ(rig.open(window).read(0, back), Errc::invalid);
}

TEST(Linear, refuses_a_window_that_does_not_fit) {
  struct Case {
    ParameterTexts parameters;
    std::string_view sentence;
  };
  const Case cases[] = {
      {{{"offset", "1000"}},
       "linear: offset 1000 and length 0 must be multiples of the block size 512 of disk"},
      {{{"length", "100"}},
       "linear: offset 0 and length 100 must be multiples of the block size 512 of disk"},
      {{{"offset", "65536"}},
       "linear: bytes 65536 to the end do not lie within disk, which has 65536"},
      {{{"offset", "512"}, {"length", "65536"}},
       "linear: bytes 512 to 66048 do not lie within disk, which has 65536"},
      {{{"offset", "9223372036854775296"}},
       "linear: bytes 9223372036854775296 to the end do not lie within disk, which has 65536"},
      {{{"offset", "9223372036854775808"}},
       "linear: offset = '9223372036854775808' is outside 0 to 9223372036854775296"},
  };
  Rig rig;
  Provider& disk = rig.make("memory", "disk", {}, {{"size", "64KiB"}});
  for (const Case& each : cases) {
    const auto refused = rig.try_make("linear", "window", {&disk}, each.parameters);
    ASSERT_FALSE(refused.ok());
    EXPECT_EQ(refused.error().message, each.sentence);
  }
  Provider& empty = rig.make("null", "empty", {}, {{"size", "0"}});
  EXPECT_FALSE(rig.try_make("linear", "window", {&empty}).ok());
}

}  // namespace
}  // namespace ashlar
