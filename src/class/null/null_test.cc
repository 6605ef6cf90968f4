// Goal: null takes everything, gives zeros, and leaves the payload alone when asked to.
// Method: each operation in both dispatch modes; what a read leaves in the caller's memory.
#include "test/model.h"

namespace ashlar {
namespace {

using test::Opened;
using test::pattern;
using test::Rig;

class NullModes : public testing::TestWithParam<Dispatch> {};

INSTANTIATE_TEST_SUITE_P(Dispatch, NullModes, testing::Values(Dispatch::direct, Dispatch::queued),
                         [](const auto& each) {
                           return each.param == Dispatch::direct ? "direct" : "queued";
                         });

TEST_P(NullModes, forgets_what_was_written) {
  Rig rig;
  Opened device = rig.open(rig.make("null", "disk"), GetParam());
  auto bytes = pattern(4096);
  EXPECT_EQ(device.write(512, bytes), Errc::ok);
  EXPECT_EQ(device.write(512, bytes, kFua), Errc::ok);
  EXPECT_EQ(device.flush(), Errc::ok);
  EXPECT_EQ(device.discard(0, kGiB), Errc::ok);
  EXPECT_EQ(device.write_zeroes(0, kGiB), Errc::ok);
  EXPECT_EQ(device.read(512, bytes), Errc::ok);
  EXPECT_EQ(bytes, std::vector<std::byte>(4096));
}

TEST_P(NullModes, leaves_the_payload_alone_without_zero) {
  Rig rig;
  Opened device = rig.open(rig.make("null", "disk", {}, {{"zero", "false"}}), GetParam());
  auto bytes = pattern(4096);
  EXPECT_EQ(device.read(512, bytes), Errc::ok);
  EXPECT_EQ(bytes, pattern(4096));
}

TEST(Null, has_whole_blocks) {
  Rig rig;
  EXPECT_EQ(rig.make("null", "default").size_bytes, kGiB);
  EXPECT_EQ(rig.make("null", "odd", {}, {{"size", "1000"}}).size_bytes, 512u);
  Provider& empty = rig.make("null", "empty", {}, {{"size", "0"}});
  EXPECT_EQ(empty.size_bytes, 0u);
  std::vector<std::byte> block(512);
  Opened device = rig.open(empty);
  EXPECT_EQ(device.read(0, block), Errc::out_of_range);
  EXPECT_EQ(device.flush(), Errc::ok);
}

TEST(Null, refuses_nonsense) {
  Rig rig;
  const auto flag = rig.try_make("null", "disk", {}, {{"zero", "perhaps"}});
  ASSERT_FALSE(flag.ok());
  EXPECT_EQ(flag.error().message, "null: zero = 'perhaps' is not true or false");
  EXPECT_FALSE(rig.try_make("null", "disk", {}, {{"size", "9223372036854775808"}}).ok());
}

}  // namespace
}  // namespace ashlar
