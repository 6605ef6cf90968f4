// Goal: a passthrough changes nothing, in neither direction.
// Method: random requests against a model through towers, in both dispatch modes; errors from
// below; limits and size are those of the consumer.
#include "test/model.h"

namespace ashlar {
namespace {

using test::Model;
using test::Opened;
using test::Rig;

class PassthroughModes : public testing::TestWithParam<Dispatch> {};

INSTANTIATE_TEST_SUITE_P(Dispatch, PassthroughModes,
                         testing::Values(Dispatch::direct, Dispatch::queued), [](const auto& each) {
                           return each.param == Dispatch::direct ? "direct" : "queued";
                         });

TEST_P(PassthroughModes, changes_no_byte) {
  Rig rig;
  Provider& disk = rig.make("memory", "disk", {}, {{"size", "128KiB"}, {"block", "4096"}});
  Provider* top = &disk;
  for (int i = 0; i < 3; ++i) top = &rig.make("passthrough", "p" + std::to_string(i), {top});
  EXPECT_EQ(top->size_bytes, disk.size_bytes);
  EXPECT_EQ(top->limits, disk.limits);
  Opened device = rig.open(*top, GetParam());
  Model model(top->size_bytes, 4096);
  model.exercise(device, 5, 300);
  EXPECT_EQ(device.flush(), Errc::ok);
  Opened below = rig.open(disk);
  EXPECT_EQ(test::contents(below, disk.size_bytes), model.bytes());
}

TEST_P(PassthroughModes, hands_errors_up) {
  Rig rig;
  Provider& disk = rig.make("memory", "disk", {}, {{"size", "128KiB"}});
  Provider& bad = rig.make("fault", "bad", {&disk}, {{"op", "write"}, {"error", "no_space"}});
  Opened device = rig.open(rig.make("passthrough", "pass", {&bad}), GetParam());
  std::vector<std::byte> block(512);
  EXPECT_EQ(device.write(0, block), Errc::no_space);
  EXPECT_EQ(device.read(0, block), Errc::ok);
}

TEST(Passthrough, follows_its_device) {
  Rig rig;
  Provider& disk = rig.make("null", "disk", {}, {{"size", "64KiB"}});
  Provider& pass = rig.make("passthrough", "pass", {&disk});
  rig.topology().resize(disk, 128 * kKiB);
  EXPECT_EQ(pass.size_bytes, 128 * kKiB);
  rig.topology().resize(disk, 512);
  EXPECT_EQ(pass.size_bytes, 512u);
}

TEST(Passthrough, is_over_one_device) {
  Rig rig;
  Provider& disk = rig.make("null", "disk");
  const auto none = rig.try_make("passthrough", "pass");
  ASSERT_FALSE(none.ok());
  EXPECT_EQ(none.error().message, "passthrough: 'pass' is over 0 devices, the class takes 1 to 1");
  EXPECT_FALSE(rig.try_make("passthrough", "pass", {&disk, &disk}).ok());
}

}  // namespace
}  // namespace ashlar
