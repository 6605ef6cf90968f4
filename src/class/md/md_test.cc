// Goal: an array over given devices is what their superblocks say, in any order of them; what they
// contradict is refused with a sentence; requests move the right bytes at every level.
// Method: superblocks built here on disks in memory, and the conformance suite for each level.
#include <gtest/gtest.h>

#include <map>

#include "class/md/md_test_util.h"
#include "class/md/members.h"
#include "conformance/conformance.h"
#include "test/rig.h"

namespace ashlar {
namespace {

using test::put_superblock;
using test::superblock_of;
using test::TestArray;

// --- what every class is asked, for each level ---------------------------------------------------

struct Asked {
  const char* name;
  TestArray array;
  bool recorded = false;  // with superblocks that are kept, as for users
};

class MdConformance : public testing::TestWithParam<Asked> {};

TEST_P(MdConformance, holds) {
  const TestArray array = GetParam().array;
  conformance::Options options{.parameters = test::writable_array(), .disks = {array.members}};
  if (GetParam().recorded) {
    options.parameters = {};
    options.carries_through = true;
  }
  options.disk_bytes = array.data_offset_bytes + array.component_bytes;
  options.prepare = [array](const conformance::FreshDisk& disk) {
    put_superblock(superblock_of(array, disk.number, disk.bytes.size()), disk.bytes);
  };
  for (const std::string& wrong : conformance::run(*find_builtin_class("md"), options)) {
    ADD_FAILURE() << wrong;
  }
}

constexpr std::uint32_t kAlternate = 2;

INSTANTIATE_TEST_SUITE_P(
    Levels, MdConformance,
    testing::Values(Asked{"linear", {.level = md::kLevelLinear, .members = 3, .chunk_bytes = 0}},
                    Asked{"raid0", {.level = 0, .members = 3, .layout = kAlternate}},
                    Asked{"raid1", {.level = 1, .members = 3}},
                    Asked{"raid10_near", {.level = 10, .members = 3, .layout = 0x102}},
                    Asked{"raid10_far", {.level = 10, .members = 2, .layout = 0x201}},
                    Asked{"raid10_offset", {.level = 10, .members = 3, .layout = 0x10201}},
                    Asked{"raid1_recorded", {.level = 1, .members = 3}, true},
                    Asked{"raid5_recorded", {.level = 5, .members = 3, .layout = 2}, true}),
    [](const auto& test) { return std::string(test.param.name); });

// --- what is refused -----------------------------------------------------------------------------

constexpr std::uint64_t kDiskBytes = 192 * kKiB;

// A disk in memory with a superblock, which a reader of the test's hands out.
class Disks {
 public:
  Disks() {
    rig_.topology().set_reader_factory(
        [this](Provider& provider) { return std::make_unique<Reader>(*this, provider); });
  }

  Provider& add_empty(std::uint64_t bytes) {
    const std::string name = fmt::format("disk{}", disks_++);
    contents_[name].resize(bytes);
    return rig_.make("memory", name, {}, {{"size", std::to_string(bytes)}});
  }
  void put(const Provider& device, const md::Superblock& superblock) {
    auto& content = contents_[device.name];
    content.resize(device.size_bytes);
    put_superblock(superblock, content);
  }
  Provider& add(const md::Superblock& superblock, std::uint64_t bytes) {
    Provider& disk = add_empty(bytes);
    put(disk, superblock);
    return disk;
  }
  // The devices of an array, the last one first.
  std::vector<Provider*> add_all(const TestArray& array) {
    std::vector<Provider*> all;
    for (std::uint32_t i = array.members; i-- > 0;) {
      const std::uint64_t bytes = array.data_offset_bytes + array.component_bytes;
      all.push_back(&add(superblock_of(array, i, bytes), bytes));
    }
    return all;
  }
  std::string refusal(std::vector<Provider*> over, ParameterTexts parameters = {}) {
    const auto made = rig_.try_make("md", "array", std::move(over), std::move(parameters));
    return made ? "made" : made.error().message;
  }
  test::Rig& rig() { return rig_; }

 private:
  class Reader final : public TasteReader {
   public:
    Reader(Disks& disks, Provider& provider) : disks_(disks), provider_(provider) {}
    Result<void> read(std::uint64_t offset, ByteSpan into) override {
      const auto& content = disks_.contents_[provider_.name];
      if (!within(offset, into.size(), content.size())) return Error{Errc::out_of_range, "past"};
      std::copy_n(content.begin() + static_cast<std::ptrdiff_t>(offset), into.size(), into.begin());
      return {};
    }
    std::uint64_t size_bytes() const override { return provider_.size_bytes; }
    std::uint32_t block_size_bytes() const override { return 512; }
    const std::string& name() const override { return provider_.name; }

   private:
    Disks& disks_;
    Provider& provider_;
  };

  std::map<std::string, std::vector<std::byte>> contents_;
  unsigned disks_ = 0;
  test::Rig rig_;
};

TEST(MdClass, makes_an_array_over_devices_in_any_order) {
  Disks disks;
  Provider& array =
      disks.rig().make("md", "array", disks.add_all({.level = 10, .members = 3, .layout = 0x102}));
  EXPECT_EQ(array.size_bytes, 192 * kKiB);
  EXPECT_FALSE(array.read_only);
  EXPECT_EQ(array.detail, "raid10");
  // The second chunk lies on the third member, and then on the first one.
  const auto places = array.geom->body().locate(0, 16 * kKiB, 3);
  ASSERT_EQ(places.size(), 2u);
  EXPECT_EQ(places[0].consumer, 0u);
  EXPECT_EQ(places[0].offset, 64 * kKiB);
  EXPECT_EQ(places[1].consumer, 2u);
  EXPECT_EQ(places[1].offset, 80 * kKiB);
}

TEST(MdClass, refuses_a_device_without_a_superblock) {
  Disks disks;
  auto over = disks.add_all({});
  over.push_back(&disks.add_empty(kDiskBytes));
  EXPECT_EQ(disks.refusal(over), "md: disk2: it is no member of an array");
}

TEST(MdClass, refuses_members_of_two_arrays) {
  Disks disks;
  auto over = disks.add_all({});
  md::Superblock other = superblock_of({}, 0, kDiskBytes);
  other.set_uuid.fill(std::byte{0x77});
  other.name = "other";
  over.push_back(&disks.add(other, kDiskBytes));
  EXPECT_EQ(disks.refusal(over), "md: the devices belong to 2 arrays: 'here:test', 'other'");
}

TEST(MdClass, refuses_what_the_level_cannot_do_without) {
  Disks disks;
  auto over = disks.add_all({.level = 0, .members = 3, .layout = kAlternate});
  over.pop_back();
  EXPECT_EQ(disks.refusal(over),
            "md: 'here:test': 1 of 3 members are missing, and raid0 can do without none");
}

TEST(MdClass, refuses_parity_of_which_more_is_missing_than_it_can_lose) {
  Disks disks;
  auto over = disks.add_all({.level = 5, .members = 4, .layout = 2});
  over.resize(2);
  EXPECT_EQ(disks.refusal(over),
            "md: 'here:test': 2 members are missing (places 0, 1), and the array can do without 1");
}

TEST(MdClass, refuses_more_members_than_it_can_keep_account_of) {
  Disks disks;
  EXPECT_EQ(disks.refusal(disks.add_all({.level = 1, .members = kMaxMdMembers + 1})),
            "md: 'here:test': it has 33 members; 32 are supported");
}

TEST(MdClass, refuses_data_that_begin_within_a_block) {
  Disks disks;
  TestArray array;
  array.data_offset_bytes += 512;
  std::vector<Provider*> over;
  for (Provider* each : disks.add_all(array)) {
    each->limits.block_bytes = 4096;
    over.push_back(each);
  }
  EXPECT_EQ(disks.refusal(over), "md: disk1: data begin at byte 66048, within a block of 4096");
}

TEST(MdClass, only_reads_what_it_cannot_keep_up) {
  Disks disks;
  std::vector<Provider*> over;
  for (std::uint32_t i = 0; i < 2; ++i) {
    md::Superblock superblock = superblock_of({}, i, kDiskBytes);
    superblock.has_bitmap = true;  // and there is none
    superblock.bitmap_offset_bytes = 8192;
    over.push_back(&disks.add(superblock, kDiskBytes));
  }
  Provider& array = disks.rig().make("md", "array", over);
  EXPECT_TRUE(array.read_only);
  ASSERT_EQ(array.geom->doubts().size(), 1u);
  EXPECT_TRUE(array.geom->doubts()[0].starts_with("it can only be read: md: "))
      << array.geom->doubts()[0];
  std::vector<std::byte> bytes(4096);
  EXPECT_EQ(disks.rig().open(array).read(0, bytes), Errc::ok);
}

// --- degraded arrays -----------------------------------------------------------------------------

TEST(MdClass, attaches_a_stale_member_and_leaves_it_alone) {
  Disks disks;
  md::Superblock fresh = superblock_of({}, 0, kDiskBytes);
  fresh.events = 30;
  fresh.roles[1] = md::kRoleFaulty;
  std::vector<Provider*> over = {&disks.add(superblock_of({}, 1, kDiskBytes), kDiskBytes),
                                 &disks.add(fresh, kDiskBytes)};
  Provider& array = disks.rig().make("md", "array", over);
  EXPECT_EQ(array.geom->consumers().size(), 2u);
  const auto status = array.geom->body().status();
  ASSERT_EQ(status.size(), 3u);
  EXPECT_EQ(status[0].second, "raid1, 1 of 2 members");
  EXPECT_EQ(status[1], std::pair(std::string("place 1"), std::string("nobody has it")));
  EXPECT_EQ(status[2].second,
            "disk0 is stale: it has 20 events, the array 30, and records it as failed");
  EXPECT_EQ(array.geom->body().locate(0, 0, 2).size(), 1u);
}

// --- members that fail ---------------------------------------------------------------------------

// A raid1 of two, the first member behind faults, open for writing or not.
struct FaultyPair {
  explicit FaultyPair(std::vector<ParameterTexts> faults, bool writing = true) {
    Provider* first = &disks.add_empty(kDiskBytes);
    for (ParameterTexts& each : faults) {
      const std::string name = fmt::format("{}x", first->name);
      first = &disks.rig().make("fault", name, {first}, std::move(each));
    }
    disks.put(*first, superblock_of({}, 0, kDiskBytes));
    Provider& second = disks.add(superblock_of({}, 1, kDiskBytes), kDiskBytes);
    array = &disks.rig().make("md", "array", {&second, first}, test::writable_array());
    Consumer* user = disks.rig().topology().attach(*array, "test");
    const auto opened = disks.rig().topology().set_access(*user, {1, writing ? 1 : 0, 0});
    EXPECT_TRUE(opened.ok()) << opened.error().message;
  }
  std::string status(const std::string& key) const {
    for (const auto& [name, value] : array->geom->body().status()) {
      if (name == key) return value;
    }
    return {};
  }

  Disks disks;
  Provider* array;
};

// Bytes 8192 to 8704 of the data.
ParameterTexts fault_of(const char* op) {
  return {{"op", op}, {"offset", std::to_string(64 * kKiB + 8192)}, {"length", "512"}};
}

// Reads everything, twice, so that each member is read.
void expect_contents(test::Opened& device, const std::vector<std::byte>& bytes) {
  std::vector<std::byte> back(bytes.size());
  for (int i = 0; i < 2; ++i) {
    EXPECT_EQ(device.read(0, back), Errc::ok);
    EXPECT_EQ(back, bytes);
  }
}

TEST(MdCopies, what_a_member_cannot_read_is_written_to_it) {
  FaultyPair pair({fault_of("read")});
  auto device = pair.disks.rig().open(*pair.array);
  const auto bytes = test::pattern(128 * kKiB);
  ASSERT_EQ(device.write(0, bytes), Errc::ok);
  expect_contents(device, bytes);
  EXPECT_EQ(pair.status("level"), "raid1, 2 of 2 members");
  EXPECT_EQ(pair.status("corrected"), "4096 bytes that a member could not read");
}

TEST(MdCopies, a_member_that_cannot_be_corrected_is_dropped) {
  // The first write is the one that fills it.
  ParameterTexts writes = fault_of("write");
  writes["nth"] = "2";
  FaultyPair pair({fault_of("read"), writes});
  auto device = pair.disks.rig().open(*pair.array);
  const auto bytes = test::pattern(128 * kKiB);
  ASSERT_EQ(device.write(0, bytes), Errc::ok);
  expect_contents(device, bytes);
  EXPECT_EQ(pair.status("level"), "raid1, 1 of 2 members");
  EXPECT_EQ(pair.status("place 0"), "disk0xx was dropped: write failed: I/O error");
}

TEST(MdCopies, nothing_is_corrected_where_nobody_writes) {
  FaultyPair pair({fault_of("read"), fault_of("write")}, false);
  auto device = pair.disks.rig().open(*pair.array);
  expect_contents(device, std::vector<std::byte>(128 * kKiB));
  EXPECT_EQ(pair.status("level"), "raid1, 2 of 2 members");
  EXPECT_EQ(pair.status("corrected"), "");
}

TEST(MdCopies, a_member_that_fails_a_change_is_dropped) {
  FaultyPair pair({fault_of("write")});
  auto device = pair.disks.rig().open(*pair.array);
  const auto bytes = test::pattern(128 * kKiB);
  ASSERT_EQ(device.write(0, bytes), Errc::ok);
  EXPECT_EQ(pair.status("level"), "raid1, 1 of 2 members");
  expect_contents(device, bytes);
  EXPECT_EQ(device.flush(), Errc::ok);
}

TEST(MdCopies, the_last_member_is_not_dropped) {
  FaultyPair pair({fault_of("write")});
  pair.disks.rig().topology().orphan(*pair.array->geom->consumers()[0]->provider, Errc::gone);
  EXPECT_EQ(pair.status("place 1"), "disk1 was dropped: the device is gone");
  auto device = pair.disks.rig().open(*pair.array);
  EXPECT_EQ(device.write(0, test::pattern(128 * kKiB)), Errc::io);
  EXPECT_EQ(pair.status("level"), "raid1, 1 of 2 members");
  EXPECT_EQ(pair.status("uneven"), "copies may differ from byte 0 on");
}

}  // namespace
}  // namespace ashlar
