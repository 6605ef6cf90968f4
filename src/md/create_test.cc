// Goal: what is planned is an array that assembles, with sizes and offsets that mdadm would choose;
// what cannot be is refused with a sentence.
// Method: every level with every version of superblock is planned, written and read again; sizes
// beside those of real arrays (test/md_create_test.cc compares whole superblocks) are worked out by
// hand from mdadm's rules.
#include "md/create.h"

#include <gtest/gtest.h>

#include <algorithm>

#include "md/assembly.h"
#include "md/names.h"

namespace ashlar::md {
namespace {

using Devices = std::vector<std::optional<NewDevice>>;

Devices disks(std::size_t count, std::uint64_t bytes) {
  Devices devices;
  for (std::size_t i = 0; i < count; ++i) {
    devices.push_back(NewDevice{bytes, Uuid{std::byte(i + 1)}});
  }
  return devices;
}

CreateOptions level(std::int32_t level, Version version = Version::v1_2) {
  CreateOptions options;
  options.level = level;
  options.version = version;
  options.set_uuid = {std::byte{7}, std::byte{8}};
  options.created_seconds = 1700000000;
  return options;
}

NewArray plan(const CreateOptions& options, const Devices& devices) {
  Result<NewArray> array = plan_array(options, devices);
  EXPECT_TRUE(array) << array.error().message;
  return std::move(*array);
}

std::string refusal(const CreateOptions& options, const Devices& devices) {
  const Result<NewArray> array = plan_array(options, devices);
  return array ? "" : array.error().message;
}

Assembly assemble_all(const NewArray& array) {
  std::vector<Candidate> candidates;
  for (std::size_t i = array.superblocks.size(); i-- > 0;) {
    if (array.superblocks[i]) candidates.push_back({fmt::format("{}", i), *array.superblocks[i]});
  }
  std::vector<Assembly> arrays = assemble(candidates);
  EXPECT_EQ(arrays.size(), 1u);
  return arrays[0];
}

void expect_assembles(const CreateOptions& options, const Devices& devices) {
  SCOPED_TRACE(fmt::format("{} {} {}", level_name(options.level), options.layout.value_or(0),
                           to_string(options.version)));
  const NewArray array = plan(options, devices);
  const Assembly assembly = assemble_all(array);
  EXPECT_TRUE(assembly.runs()) << assembly.refusal << assembly.needs_insistence;
  EXPECT_TRUE(assembly.left_out.empty());
  EXPECT_TRUE(assembly.doubts.empty());
  EXPECT_EQ(assembly.degraded, 0u);
  ASSERT_TRUE(assembly.layout);
  EXPECT_EQ(assembly.layout->array_bytes(), array.layout.array_bytes());
  EXPECT_EQ(assembly.dirty(), options.level > 0);
  for (std::size_t i = 0; i < devices.size(); ++i) {
    EXPECT_EQ(array.superblocks[i]->role(), i);
    EXPECT_EQ(assembly.members[i]->candidate, devices.size() - 1 - i);
  }
}

TEST(MdCreate, EveryLevelWithEverySuperblockAssembles) {
  for (const Version version : kVersions) {
    for (const std::int32_t each : {kLevelLinear, 0, 1, 4, 5, 6, 10}) {
      CreateOptions options = level(each, version);
      if (each != 1) options.chunk_bytes = 64 * kKiB;
      expect_assembles(options, disks(5, 16 * kMiB));
      if (each <= 0) continue;
      options.bitmap = CreateOptions::Bitmap::internal;
      options.bitmap_chunk_bytes = 64 * kKiB;
      expect_assembles(options, disks(5, 16 * kMiB + 1234));
    }
  }
}

TEST(MdCreate, EveryLayoutAssembles) {
  const auto expect_layouts = [](std::int32_t each, std::initializer_list<const char*> names) {
    for (const char* name : names) {
      CreateOptions options = level(each);
      options.chunk_bytes = 64 * kKiB;
      options.layout = *layout_of(each, name);
      EXPECT_EQ(layout_name(each, *options.layout), name);
      expect_assembles(options, disks(5, 16 * kMiB));
    }
  };
  expect_layouts(0, {"original", "alternate"});
  expect_layouts(5, {"left-asymmetric", "right-asymmetric", "left-symmetric", "right-symmetric",
                     "parity-first", "parity-last"});
  expect_layouts(6, {"left-asymmetric", "right-asymmetric", "left-symmetric", "right-symmetric",
                     "parity-first", "parity-last", "ddf-zero-restart", "ddf-N-restart",
                     "ddf-N-continue", "left-asymmetric-6", "right-asymmetric-6",
                     "left-symmetric-6", "right-symmetric-6", "parity-first-6"});
  expect_layouts(10, {"n2", "n3", "f2", "f3", "o2", "o3"});
}

struct Offset {
  std::uint64_t device_bytes;
  std::uint64_t data_offset_bytes;
};

// Worked out from mdadm's rule: 12 KiB, the room for a bitmap, a headroom of at most 1/1024 of the
// device in powers of two, rounded up to a MiB.
TEST(MdCreate, DataBeginWhereMdadmPutsThem) {
  for (const Offset& each : std::vector<Offset>{{16 * kMiB, 2 * kMiB},
                                                {4 * kGiB, 5 * kMiB},
                                                {kGiB, 2 * kMiB},
                                                {100 * kGiB, 65 * kMiB},
                                                {1000 * kGiB, 129 * kMiB}}) {
    const NewArray array = plan(level(5), disks(3, each.device_bytes));
    EXPECT_EQ(array.any().data_offset_bytes, each.data_offset_bytes) << each.device_bytes;
  }
  const NewArray at_the_end = plan(level(5, Version::v1_0), disks(3, kGiB));
  EXPECT_EQ(at_the_end.any().data_offset_bytes, 0u);
  CreateOptions given = level(5);
  given.data_offset_bytes = 8 * kMiB;
  EXPECT_EQ(plan(given, disks(3, kGiB)).any().data_offset_bytes, 8 * kMiB);
}

TEST(MdCreate, MembersUseWhatTheSmallestHas) {
  Devices devices = disks(3, 16 * kMiB);
  devices[1]->bytes = 9 * kMiB + 700 * kKiB;
  const NewArray array = plan(level(5), devices);
  EXPECT_EQ(array.any().component_bytes, 7 * kMiB + 512 * kKiB);
  EXPECT_EQ(array.superblocks[0]->data_bytes, 14 * kMiB);
  CreateOptions smaller = level(5);
  smaller.size_bytes = 2 * kMiB + 1;
  EXPECT_EQ(plan(smaller, devices).any().component_bytes, 2 * kMiB);
  // raid1 in 64 KiB.
  EXPECT_EQ(plan(level(1), devices).any().component_bytes, 8 * kMiB + 640 * kKiB);
}

TEST(MdCreate, BitmapBySizeOrByWish) {
  EXPECT_FALSE(plan(level(5), disks(3, 100 * kGiB)).bitmap);
  const NewArray large = plan(level(5), disks(3, 102 * kGiB));
  ASSERT_TRUE(large.bitmap);
  EXPECT_EQ(large.bitmap->chunk_bytes, 64 * kMiB);
  CreateOptions options = level(5);
  options.bitmap = CreateOptions::Bitmap::none;
  EXPECT_FALSE(plan(options, disks(3, 102 * kGiB)).bitmap);
  options.bitmap = CreateOptions::Bitmap::internal;
  options.bitmap_chunk_bytes = kMiB;
  const NewArray wanted = plan(options, disks(3, 16 * kMiB));
  ASSERT_TRUE(wanted.bitmap);
  EXPECT_EQ(wanted.bitmap->bits(), 14u);
  // 64 KiB of bitmap hold half a million bits, and 1 MiB times that is 512 GiB.
  EXPECT_EQ(plan(options, disks(3, 100 * kGiB)).bitmap->chunk_bytes, kMiB);
  options.bitmap_chunk_bytes = 4 * kKiB;
  EXPECT_NE(refusal(options, disks(3, 100 * kGiB)).find("powers of two from"), std::string::npos);
}

TEST(MdCreate, BitmapSaysWhatIsToBeResynced) {
  CreateOptions options = level(10);
  options.bitmap = CreateOptions::Bitmap::internal;
  options.bitmap_chunk_bytes = 64 * kKiB;
  for (const bool clean : {false, true}) {
    options.assume_clean = clean;
    const NewArray array = plan(options, disks(3, 16 * kMiB));
    const std::vector<std::byte> bytes = new_bitmap_bytes(array);
    EXPECT_EQ(bytes.size() % 4096, 0u);
    const auto header = parse_bitmap(bytes, bitmap_room_bytes(array.any(), 16 * kMiB));
    ASSERT_TRUE(header) << header.error().message;
    EXPECT_EQ(*distrust_bitmap(*header, array.any(), array.layout.sync_bytes()), "");
    const auto ranges = bitmap_ranges(*header, ByteView(bytes).subspan(kBitmapHeaderBytes));
    EXPECT_EQ(ranges.size(), clean ? 0u : 1u);
    if (!clean) {
      EXPECT_EQ(ranges[0].length, array.layout.sync_bytes());
    }
  }
}

TEST(MdCreate, MissingMembers) {
  Devices devices = disks(4, 16 * kMiB);
  devices[2].reset();
  for (const std::int32_t each : {1, 4, 5, 10}) {
    const NewArray array = plan(level(each), devices);
    const Assembly assembly = assemble_all(array);
    EXPECT_TRUE(assembly.runs()) << assembly.refusal << assembly.needs_insistence;
    EXPECT_EQ(assembly.degraded, 1u);
    EXPECT_FALSE(array.superblocks[2]);
    EXPECT_FALSE(assembly.members[2]);
    // With parity missing, nobody can tell whether the rest is right.
    EXPECT_EQ(array.any().clean(), each == 4 || each == 5);
  }
}

TEST(MdCreate, Raid6WithOneMissingBeginsWithASpare) {
  Devices devices = disks(5, 16 * kMiB);
  devices[4].reset();
  CreateOptions options = level(6);
  const Assembly assembly = assemble_all(plan(options, devices));
  EXPECT_TRUE(assembly.runs()) << assembly.refusal;
  EXPECT_EQ(assembly.degraded, 2u);
  EXPECT_EQ(assembly.spares.size(), 1u);
  EXPECT_FALSE(assembly.members[3]);
  options.assume_clean = true;
  EXPECT_EQ(assemble_all(plan(options, devices)).degraded, 1u);
  devices[0].reset();
  EXPECT_EQ(assemble_all(plan(options, devices)).degraded, 2u);
  options.version = Version::v0_90;
  EXPECT_EQ(assemble_all(plan(options, devices)).degraded, 2u);
}

struct Refused {
  const char* sentence;
  CreateOptions options;
  Devices devices;
};

TEST(MdCreate, WhatCannotBeIsRefused) {
  const auto with = [](CreateOptions options, auto change) {
    change(options);
    return options;
  };
  Devices none = disks(3, kMiB);
  for (auto& each : none) each.reset();
  Devices two_missing = disks(3, 16 * kMiB);
  two_missing[0].reset();
  two_missing[1].reset();
  Devices unequal = disks(3, 16 * kMiB);
  unequal[0]->bytes = unequal[1]->bytes = 32 * kMiB;
  const Devices three = disks(3, 16 * kMiB);
  const std::vector<Refused> all = {
      {"none are given", level(5), {}},
      {"all members are missing", level(1), none},
      {"none can be missing", level(0), two_missing},
      {"can do without 1", level(5), two_missing},
      {"at least 4 members", level(6), three},
      {"at least 2 members", level(5), disks(1, 16 * kMiB)},
      {"too few for a superblock", level(1), disks(2, 8 * kKiB)},
      {"is too small", level(1), disks(2, kMiB)},
      {"is too small", level(5), disks(3, kMiB + 256 * kKiB)},
      {"is too small", with(level(5), [](auto& o) { o.size_bytes = 16 * kMiB; }), three},
      {"raid1 has no chunks", with(level(1), [](auto& o) { o.chunk_bytes = 4096; }), three},
      {"no number of KiB", with(level(5), [](auto& o) { o.chunk_bytes = 1000; }), three},
      {"power of two", with(level(5), [](auto& o) { o.chunk_bytes = 12 * kKiB; }), three},
      {"layout 77", with(level(5), [](auto& o) { o.layout = 77; }), three},
      {"layout 0x402", with(level(10), [](auto& o) { o.layout = 0x402; }), three},
      {"no size can be set", with(level(0), [](auto& o) { o.size_bytes = kMiB; }), three},
      {"data cannot begin", with(level(5), [](auto& o) { o.data_offset_bytes = 4096; }), three},
      {"begin at 0", with(level(5, Version::v0_90), [](auto& o) { o.data_offset_bytes = kMiB; }),
       three},
      {"31 are possible", with(level(5), [](auto& o) { o.name.assign(32, 'x'); }), three},
      {"no room for a name", with(level(5, Version::v0_90), [](auto& o) { o.name = "x"; }), three},
      {"nothing that a bitmap",
       with(level(0), [](auto& o) { o.bitmap = CreateOptions::Bitmap::internal; }), three},
      {"there is to be none", with(level(5), [](auto& o) { o.bitmap_chunk_bytes = kMiB; }), three},
      {"several sizes", with(level(0, Version::v0_90), [](auto&) {}), unequal},
      {"fewer than 27", level(1, Version::v0_90), disks(27, 16 * kMiB)},
      {"at most 255", level(6), disks(256, 16 * kMiB)},
      {"fewer than 1920", level(1), disks(1920, 16 * kMiB)},
  };
  for (const Refused& each : all) {
    const std::string said = refusal(each.options, each.devices);
    EXPECT_NE(said.find(each.sentence), std::string::npos) << each.sentence << ": " << said;
  }
}

TEST(MdCreate, NamesOfLevelsLayoutsVersions) {
  EXPECT_EQ(*level_of("raid10"), 10);
  EXPECT_EQ(*level_of("linear"), kLevelLinear);
  EXPECT_EQ(*level_of("6"), 6);
  EXPECT_FALSE(level_of("7"));
  EXPECT_FALSE(level_of(""));
  EXPECT_EQ(*version_of("0.9"), Version::v0_90);
  EXPECT_EQ(*version_of("1.0"), Version::v1_0);
  EXPECT_FALSE(version_of("2.0"));
  EXPECT_EQ(*layout_of(10, "o3"), 0x10301u);
  for (const char* odd : {"", "n", "n0", "n256", "x2", "2", "n2 ", "n-1"}) {
    EXPECT_FALSE(layout_of(10, odd)) << odd;
  }
  EXPECT_EQ(*layout_of(5, "ls"), 2u);
  EXPECT_FALSE(layout_of(5, "ddf-N-restart"));
  EXPECT_FALSE(layout_of(1, "n2"));
  EXPECT_EQ(layout_name(1, 0), "");
  EXPECT_EQ(layout_name(10, 0x40301), "0x40301");
}

TEST(MdCreate, UuidsReadAsTheyArePrinted) {
  const std::string text = "01234567:89abcdef:fedcba98:76543210";
  for (const Version version : kVersions) {
    Superblock superblock;
    superblock.version = version;
    superblock.set_uuid = *uuid_of(text, version);
    EXPECT_EQ(uuid_text(superblock), text);
  }
  EXPECT_TRUE(uuid_of("01234567-89ab-cdef-fedc-ba9876543210", Version::v1_2));
  for (const char* odd :
       {"", "0", "01234567:89abcdef:fedcba98:7654321", "01234567:89abcdef:fedcba98:765432100",
        "x1234567:89abcdef:fedcba98:7654"}) {
    EXPECT_FALSE(uuid_of(odd, Version::v1_2)) << odd;
  }
}

}  // namespace
}  // namespace ashlar::md
