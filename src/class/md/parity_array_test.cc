// Goal: an array with parity keeps what was written, with any members missing or failing, and its
// parity always fits its data.
// Method: the suite that every class is asked, over arrays of each level; random requests against a
// plain copy, with members that fail, and afterwards each permitted set of members left out.
#include <gtest/gtest.h>

#include <bit>
#include <random>

#include "class/md/parity_test_util.h"
#include "conformance/conformance.h"
#include "md/parity_math.h"
#include "test/rig.h"

namespace ashlar::test {
namespace {

struct Shape {
  const char* level;
  const char* layout;
  const char* chunk;
  std::uint32_t disks;
  std::uint32_t parities;
};

std::ostream& operator<<(std::ostream& out, const Shape& shape) {
  return out << "raid" << shape.level << ", layout " << shape.layout << ", " << shape.chunk << ", "
             << shape.disks << " disks";
}

class ParityShapes : public testing::TestWithParam<Shape> {};

// The suite takes a while; what the shapes differ in is asked below.
class ParitySuite : public testing::TestWithParam<Shape> {};

TEST_P(ParitySuite, conforms) {
  const Shape& shape = GetParam();
  conformance::Options options;
  options.parameters = {{"level", shape.level}, {"layout", shape.layout}, {"chunk", shape.chunk}};
  options.disks = {shape.disks};
  options.carries_through = true;
  // Zeros: their parity is zero.
  options.prepare = [](const conformance::FreshDisk&) {};
  for (const std::string& each : conformance::run(parity_test_class(), options)) {
    ADD_FAILURE() << each;
  }
}

INSTANTIATE_TEST_SUITE_P(Some, ParitySuite,
                         testing::Values(Shape{"5", "2", "4KiB", 3, 1},
                                         Shape{"6", "2", "8KiB", 5, 2}));

// An array over memory, opened with some members missing.
class Array {
 public:
  static constexpr std::uint64_t kDiskBytes = 128 * kKiB;

  explicit Array(const Shape& shape) : shape_(shape) {
    for (std::uint32_t i = 0; i < shape.disks; ++i) {
      disks_.push_back(&rig.make("memory", fmt::format("disk{}", i), {},
                                 {{"size", std::to_string(kDiskBytes)}}));
      members_.push_back(disks_.back());
    }
  }
  // Errors of `disk` as the class `fault` makes them.
  void add_fault(std::uint32_t disk, ParameterTexts parameters) {
    members_[disk] = &rig.make("fault", fmt::format("fault{}", disk), {disks_[disk]}, parameters);
  }
  Provider& make(std::uint32_t missing = 0) {
    auto geom =
        rig.topology().create(parity_test_class(), {fmt::format("array{}", count_++),
                                                    members_,
                                                    {{"level", shape_.level},
                                                     {"layout", shape_.layout},
                                                     {"chunk", shape_.chunk},
                                                     {"missing", std::to_string(missing)}}});
    EXPECT_TRUE(geom.ok()) << (geom.ok() ? "" : geom.error().message);
    return *(*geom)->providers().front();
  }
  md::Layout layout() const {
    md::Geometry geometry;
    geometry.level = std::stoi(shape_.level);
    geometry.layout = static_cast<std::uint32_t>(std::stoul(shape_.layout));
    geometry.chunk_bytes = parse_bytes(shape_.chunk).value();
    geometry.raid_disks = shape_.disks;
    geometry.component_bytes = kDiskBytes - 4096 - (kDiskBytes - 4096) % geometry.chunk_bytes;
    return md::Layout::make(geometry).value();
  }
  // Changes a byte of a member's data behind the array's back.
  void flip(std::uint32_t role, std::uint64_t offset) {
    Opened disk = rig.open(*disks_[role]);
    std::vector<std::byte> block(512);
    const std::uint64_t at = offset + parity_test_data_offset(role);
    ASSERT_EQ(disk.read(at / 512 * 512, block), Errc::ok);
    block[at % 512] ^= std::byte{0x40};
    ASSERT_EQ(disk.write(at / 512 * 512, block), Errc::ok);
  }

  Rig rig;

 private:
  const Shape shape_;
  std::vector<Provider*> disks_;
  std::vector<Provider*> members_;
  int count_ = 0;
};

// Random writes and reads, compared with a copy; what failed leaves the copy unknown there.
class Player {
 public:
  Player(std::uint64_t size, unsigned seed) : copy(size), random_(seed) {}

  void play(Opened& opened, int rounds, std::uint32_t block = 512) {
    for (int i = 0; i < rounds && !testing::Test::HasFailure(); ++i) {
      const std::uint64_t blocks = copy.size() / block;
      const std::uint64_t offset = random_() % blocks * block;
      const std::uint64_t most = random_() % 4 == 0 ? blocks : 24;
      const std::uint64_t length =
          std::min(copy.size() - offset, (1 + random_() % most) * std::uint64_t{block});
      if (random_() % 3 != 0) {
        const std::vector<std::byte> bytes = pattern(length, random_());
        ASSERT_EQ(opened.write(offset, bytes), Errc::ok);
        std::copy(bytes.begin(), bytes.end(), copy.begin() + static_cast<std::ptrdiff_t>(offset));
      } else {
        expect(opened, offset, length);
      }
    }
  }
  void expect(Opened& opened, std::uint64_t offset, std::uint64_t length) const {
    std::vector<std::byte> bytes(length);
    ASSERT_EQ(opened.read(offset, bytes), Errc::ok) << offset;
    const auto at = copy.begin() + static_cast<std::ptrdiff_t>(offset);
    ASSERT_TRUE(std::equal(bytes.begin(), bytes.end(), at)) << offset << "+" << length;
  }
  void expect_all(Opened& opened) const { expect(opened, 0, copy.size()); }

  std::vector<std::byte> copy;

 private:
  std::mt19937 random_;
};

// Every set of at most `parities` roles.
std::vector<std::uint32_t> permitted_sets(const Shape& shape) {
  std::vector<std::uint32_t> sets;
  for (std::uint32_t set = 0; set < 1u << shape.disks; ++set) {
    if (static_cast<std::uint32_t>(std::popcount(set)) <= shape.parities) sets.push_back(set);
  }
  return sets;
}

TEST_P(ParityShapes, whatever_is_missing_all_is_there) {
  Array array(GetParam());
  Provider& whole = array.make();
  Player player(whole.size_bytes, 1);
  {
    Opened opened = array.rig.open(whole);
    player.play(opened, 150);
    player.expect_all(opened);
  }
  for (const std::uint32_t missing : permitted_sets(GetParam())) {
    Opened opened = array.rig.open(array.make(missing));
    player.expect_all(opened);
    player.play(opened, 20);
    if (HasFailure()) FAIL() << "missing " << missing;
    // What was written without them is stale on those that were missing; it is not read again.
    Opened again = array.rig.open(array.make(missing));
    player.expect_all(again);
    if (missing != 0) {
      // They come back with what they should have: the array is written anew.
      Opened healthy = array.rig.open(array.make());
      ASSERT_EQ(healthy.write(0, player.copy), Errc::ok);
    }
  }
}

std::uint64_t mismatches(Provider& array) { return array.geom->body().upkeep()->mismatches(); }

TEST_P(ParityShapes, a_repair_finds_and_mends_parity_that_is_wrong) {
  Array array(GetParam());
  Provider& whole = array.make();
  Player player(whole.size_bytes, 2);
  Opened opened = array.rig.open(whole);
  player.play(opened, 60);
  const std::uint64_t all = whole.size_bytes;
  ASSERT_EQ(opened.run(Op::repair, 0, all, {}, kCheck), Errc::ok);
  EXPECT_EQ(mismatches(whole), 0u);

  // A bit in one block of each of three stripes, on the members with P.
  const md::ParityLayout layout = *array.layout().parity();
  for (const std::uint64_t number : {0, 1, 5}) {
    const std::uint32_t p = layout.stripe(number).p;
    array.flip(p, layout.member_offset(number) + 17);
  }
  ASSERT_EQ(opened.run(Op::repair, 0, all, {}, kCheck), Errc::ok);
  EXPECT_EQ(mismatches(whole), 3 * 8u) << "whole blocks are counted";
  ASSERT_EQ(opened.run(Op::repair, 0, all, {}, kCheck), Errc::ok);
  EXPECT_EQ(mismatches(whole), 6 * 8u) << "a check mends nothing";
  ASSERT_EQ(opened.run(Op::repair, 0, all, {}), Errc::ok);
  EXPECT_EQ(mismatches(whole), 9 * 8u);
  ASSERT_EQ(opened.run(Op::repair, 0, all, {}, kCheck), Errc::ok);
  EXPECT_EQ(mismatches(whole), 9 * 8u);
  player.expect_all(opened);
  for (const std::uint32_t missing : permitted_sets(GetParam())) {
    Opened degraded = array.rig.open(array.make(missing));
    player.expect_all(degraded);
  }
}

TEST_P(ParityShapes, a_repair_is_of_whole_stripes) {
  Array array(GetParam());
  Opened opened = array.rig.open(array.make());
  EXPECT_EQ(opened.run(Op::repair, 512, 4096, {}), Errc::invalid);
  EXPECT_EQ(opened.run(Op::write_zeroes, 0, 4096, {}, kCheck), Errc::unsupported);
}

INSTANTIATE_TEST_SUITE_P(
    All, ParityShapes,
    testing::Values(Shape{"4", "0", "4KiB", 3, 1}, Shape{"5", "2", "4KiB", 3, 1},
                    Shape{"5", "0", "16KiB", 4, 1}, Shape{"5", "2", "8KiB", 2, 1},
                    Shape{"5", "3", "4KiB", 5, 1}, Shape{"6", "2", "4KiB", 4, 2},
                    Shape{"6", "8", "8KiB", 5, 2}, Shape{"6", "10", "4KiB", 6, 2},
                    Shape{"6", "16", "16KiB", 5, 2}));

}  // namespace
}  // namespace ashlar::test
