// Goal: the members' bytes lie one behind the other, in order, and no byte ever moves.
// Method: members of all sizes and block sizes over memory against a model, in both dispatch
// modes; each member is read back alone and compared with its part of the model.
#include "test/model.h"

namespace ashlar {
namespace {

using test::Model;
using test::Opened;
using test::pattern;
using test::Rig;

class ConcatModes : public testing::TestWithParam<Dispatch> {};

INSTANTIATE_TEST_SUITE_P(Dispatch, ConcatModes, testing::Values(Dispatch::direct, Dispatch::queued),
                         [](const auto& each) {
                           return each.param == Dispatch::direct ? "direct" : "queued";
                         });

struct Member {
  std::string size;
  std::string block;
  std::uint64_t part;  // bytes of it in the concat
};

// Makes the members and the concat, exercises it, and looks for every byte on the members.
void check_placement(Dispatch dispatch, const std::vector<Member>& members) {
  Rig rig;
  std::vector<Provider*> below;
  std::uint64_t size = 0;
  std::uint64_t block = 512;
  for (const Member& each : members) {
    const std::string name = "disk" + std::to_string(below.size());
    below.push_back(each.size == "0" ? &rig.make("null", name, {}, {{"size", "0"}})
                                     : &rig.make("memory", name, {},
                                                 {{"size", each.size}, {"block", each.block}}));
    size += each.part;
    block = std::max<std::uint64_t>(block, std::stoul(each.block));
  }
  Provider& whole = rig.make("concat", "whole", below);
  ASSERT_EQ(whole.size_bytes, size);
  ASSERT_EQ(whole.limits.block_bytes, block);
  Opened device = rig.open(whole, dispatch);
  Model model(size, block);
  model.exercise(device, 11, 600);
  EXPECT_EQ(device.flush(), Errc::ok);
  EXPECT_EQ(test::contents(device, size), model.bytes());
  std::uint64_t at = 0;
  for (std::size_t i = 0; i < members.size(); ++i) {
    if (members[i].part == 0) continue;
    Opened alone = rig.open(*below[i]);
    const auto part = ByteView(model.bytes()).subspan(at, members[i].part);
    EXPECT_EQ(test::contents(alone, members[i].part), std::vector(part.begin(), part.end()))
        << "member " << i;
    at += members[i].part;
  }
}

TEST_P(ConcatModes, members_of_unequal_size) {
  check_placement(
      GetParam(),
      {{"64KiB", "512", 64 * kKiB}, {"512", "512", 512}, {"100KiB", "512", 100 * kKiB}});
}

TEST_P(ConcatModes, one_member) { check_placement(GetParam(), {{"64KiB", "512", 64 * kKiB}}); }

TEST_P(ConcatModes, empty_members_take_no_part) {
  check_placement(GetParam(), {{"0", "512", 0},
                               {"16KiB", "512", 16 * kKiB},
                               {"0", "512", 0},
                               {"16KiB", "512", 16 * kKiB},
                               {"0", "512", 0}});
}

TEST_P(ConcatModes, block_sizes_mixed) {
  check_placement(GetParam(), {{"21KiB", "512", 20 * kKiB},
                               {"64KiB", "4096", 64 * kKiB},
                               {"3KiB", "512", 0},
                               {"30KiB", "512", 28 * kKiB}});
}

TEST_P(ConcatModes, more_members_than_one_request_has_children) {
  check_placement(GetParam(), std::vector<Member>(200, {"512", "512", 512}));
}

TEST(Concat, a_request_ends_where_the_last_member_ends) {
  Rig rig;
  Provider& a = rig.make("memory", "a", {}, {{"size", "4096"}});
  Provider& b = rig.make("memory", "b", {}, {{"size", "4096"}});
  Opened device = rig.open(rig.make("concat", "whole", {&a, &b}));
  std::vector<std::byte> back(4096);
  EXPECT_EQ(device.read(4096, back), Errc::ok);
  EXPECT_EQ(device.read(4096 + 512, back), Errc::out_of_range);
}

TEST_P(ConcatModes, an_error_of_one_member_fails_the_request) {
  Rig rig;
  Provider& a = rig.make("memory", "a", {}, {{"size", "4096"}});
  Provider& b = rig.make("memory", "b", {}, {{"size", "4096"}});
  Provider& bad = rig.make("fault", "bad", {&b});
  Opened device = rig.open(rig.make("concat", "whole", {&a, &bad}), GetParam());
  std::vector<std::byte> back(4096);
  EXPECT_EQ(device.read(0, back), Errc::ok);
  EXPECT_EQ(device.read(4096, back), Errc::io);
  EXPECT_EQ(device.read(512, back), Errc::io);
  EXPECT_EQ(device.flush(), Errc::io);
}

TEST(Concat, only_its_end_may_move) {
  Rig rig;
  Provider& a = rig.make("null", "a", {}, {{"size", "64KiB"}});
  Provider& b = rig.make("null", "b", {}, {{"size", "64KiB"}});
  Provider& whole = rig.make("concat", "whole", {&a, &b});
  rig.topology().resize(b, 100 * kKiB + 100);
  EXPECT_EQ(whole.size_bytes, 164 * kKiB);
  rig.topology().resize(a, 128 * kKiB);
  EXPECT_EQ(whole.size_bytes, 164 * kKiB);
  EXPECT_EQ(whole.map[1].start, 64 * kKiB);
  rig.topology().resize(a, 32 * kKiB);
  EXPECT_EQ(whole.size_bytes, 32 * kKiB);
  rig.topology().resize(a, 64 * kKiB);
  EXPECT_EQ(whole.size_bytes, 164 * kKiB);
  rig.topology().resize(b, 0);
  EXPECT_EQ(whole.size_bytes, 64 * kKiB);
}

TEST(Concat, refuses_what_has_no_room_or_too_much) {
  Rig rig;
  Provider& empty = rig.make("null", "empty", {}, {{"size", "0"}});
  Provider& huge = rig.make("null", "huge", {}, {{"size", "9223372036854775296"}});
  const auto nothing = rig.try_make("concat", "whole", {&empty, &empty});
  ASSERT_FALSE(nothing.ok());
  EXPECT_EQ(nothing.error().message, "concat: no device has room for one block of 512 bytes");
  const auto too_much = rig.try_make("concat", "whole", {&huge, &huge, &huge});
  ASSERT_FALSE(too_much.ok());
  EXPECT_EQ(too_much.error().message,
            "concat: with huge the device would have more than 9223372036854775296 bytes");
  EXPECT_FALSE(rig.try_make("concat", "whole").ok());
}

}  // namespace
}  // namespace ashlar
