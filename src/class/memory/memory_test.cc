// Goal: a memory device holds exactly what was written, and nothing of what was discarded.
// Method: random requests against a model in both dispatch modes, with both block sizes; discards
// that begin and end within pages; payloads in several segments; every misfit of the parameters.
#include "test/model.h"

namespace ashlar {
namespace {

using test::Model;
using test::Opened;
using test::pattern;
using test::Rig;

struct Mode {
  Dispatch dispatch;
  std::uint64_t block;
};

class MemoryModes : public testing::TestWithParam<Mode> {};

INSTANTIATE_TEST_SUITE_P(Dispatch, MemoryModes,
                         testing::Values(Mode{Dispatch::direct, 512}, Mode{Dispatch::direct, 4096},
                                         Mode{Dispatch::queued, 512}, Mode{Dispatch::queued, 4096}),
                         [](const auto& each) {
                           return (each.param.dispatch == Dispatch::direct ? "direct_"
                                                                           : "queued_") +
                                  std::to_string(each.param.block);
                         });

TEST_P(MemoryModes, holds_what_was_written) {
  const auto [dispatch, block] = GetParam();
  Rig rig;
  Provider& disk =
      rig.make("memory", "disk", {}, {{"size", "256KiB"}, {"block", std::to_string(block)}});
  EXPECT_EQ(disk.limits.block_bytes, block);
  Opened device = rig.open(disk, dispatch);
  Model model(disk.size_bytes, block);
  model.exercise(device, 3, 800);
  EXPECT_EQ(test::contents(device, disk.size_bytes), model.bytes());
}

TEST(Memory, reads_as_zeros_before_it_is_written) {
  Rig rig;
  Opened device = rig.open(rig.make("memory", "disk", {}, {{"size", "64KiB"}}));
  EXPECT_EQ(test::contents(device, 65536), std::vector<std::byte>(65536));
}

TEST(Memory, zeroes_no_byte_beside_the_range) {
  Rig rig;
  Opened device = rig.open(rig.make("memory", "disk", {}, {{"size", "64KiB"}}));
  auto expected = pattern(65536);
  const std::pair<std::uint64_t, std::uint64_t> ranges[] = {
      {512, 512}, {4096, 4096}, {8192 - 512, 1024}, {12288 + 512, 3 * 4096}, {65536 - 512, 512}};
  for (const auto& [offset, length] : ranges) {
    ASSERT_EQ(device.write(0, expected), Errc::ok);
    ASSERT_EQ(device.discard(offset, length), Errc::ok);
    auto zeroed = expected;
    std::fill_n(zeroed.begin() + static_cast<std::ptrdiff_t>(offset), length, std::byte{0});
    EXPECT_EQ(test::contents(device, 65536), zeroed) << length << " bytes at " << offset;
  }
}

TEST(Memory, takes_a_payload_in_pieces) {
  Rig rig;
  Opened device = rig.open(rig.make("memory", "disk", {}, {{"size", "64KiB"}}));
  auto bytes = pattern(4096);
  const std::vector<Segment> pieces = {{bytes.data(), 1},
                                       {bytes.data() + 1, 0},
                                       {bytes.data() + 1, 1000},
                                       {bytes.data() + 1001, 3095}};
  EXPECT_EQ(device.run(Op::write, 512, 4096, pieces), Errc::ok);
  std::vector<std::byte> back(4096);
  EXPECT_EQ(device.read(512, back), Errc::ok);
  EXPECT_EQ(back, bytes);
  std::fill(bytes.begin(), bytes.end(), std::byte{0});
  EXPECT_EQ(device.run(Op::read, 512, 4096, pieces), Errc::ok);
  EXPECT_EQ(back, bytes);
}

TEST(Memory, untouched_pages_take_no_room) {
  Rig rig;
  // More than most machines have, and less than ThreadSanitizer leaves of the address space.
  Provider& disk = rig.make("memory", "disk", {}, {{"size", "256GiB"}});
  Opened device = rig.open(disk);
  const auto bytes = pattern(4096);
  std::vector<std::byte> back(4096);
  EXPECT_EQ(device.write(disk.size_bytes - 4096, bytes), Errc::ok);
  EXPECT_EQ(device.read(disk.size_bytes - 4096, back), Errc::ok);
  EXPECT_EQ(back, bytes);
}

TEST(Memory, a_last_part_of_a_block_is_left_out) {
  Rig rig;
  Provider& disk = rig.make("memory", "disk", {}, {{"size", "10000"}, {"block", "4096"}});
  EXPECT_EQ(disk.size_bytes, 8192u);
}

TEST(Memory, refuses_what_makes_no_device) {
  struct Case {
    ParameterTexts parameters;
    std::string_view sentence;
  };
  const Case cases[] = {
      {{},
       "memory: the parameter 'size' (the device's size, rounded down to its block size) is "
       "required"},
      {{{"size", "1MiB"}, {"block", "1536"}}, "memory: block = 1536 is not a power of two"},
      {{{"size", "2048"}, {"block", "4096"}}, "memory: the size is less than one block"},
      {{{"size", "511"}}, "memory: size = '511' is outside 512 to 70368744177664"},
      {{{"size", "1MiB"}, {"block", "128KiB"}}, "memory: block = '128KiB' is outside 512 to 65536"},
      {{{"size", "many"}}, "memory: size = 'many' is not a size such as 64KiB"},
      {{{"size", "1MiB"}, {"colour", "red"}}, "memory: there is no parameter 'colour'"},
  };
  Rig rig;
  for (const Case& each : cases) {
    const auto refused = rig.try_make("memory", "disk", {}, each.parameters);
    ASSERT_FALSE(refused.ok()) << each.sentence;
    EXPECT_EQ(refused.error().message, each.sentence);
  }
}

}  // namespace
}  // namespace ashlar
