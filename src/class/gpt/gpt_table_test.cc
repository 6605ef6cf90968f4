// Goal: read_gpt finds the partitions of a GPT from whichever copy is whole, with sectors of 512
// and 4096 bytes and any shape of array that UEFI allows.
// Method: tables written byte by byte on a sparse device, with checksums computed from the
// polynomial. What hostile tables do is in gpt_damage_test.cc.
#include "class/gpt/gpt_table.h"

#include <gtest/gtest.h>

#include "test/partition_images.h"

namespace ashlar {
namespace {

using test::extents_text;
using test::GptLayout;
using test::kS;
using test::last_lba;
using test::mentions;
using test::put_gpt;
using test::put_mbr;
using test::seal_gpt;
using test::SparseImage;

constexpr std::uint64_t kImageBytes = 40 * kMiB;

PartitionTable read_good(SparseImage& image) {
  Result<PartitionTable> table = read_gpt(image);
  EXPECT_TRUE(table) << table.error().message;
  return table ? *table : PartitionTable{};
}

GptLayout two_partitions() {
  GptLayout layout;
  layout.partitions = {{1, 2048, 4095, u"EFI"}, {5, 8192, 8192, u"root fs", 1ull << 60}};
  return layout;
}

constexpr const char* kTwoExtents = "1@1048576+1048576 5@4194304+512";

TEST(GptTable, BothCopiesWhole) {
  SparseImage image(kImageBytes);
  put_gpt(image, two_partitions());
  const PartitionTable table = read_good(image);
  EXPECT_EQ(extents_text(table), kTwoExtents);
  EXPECT_EQ(table.scheme, "gpt");
  EXPECT_EQ(table.sector_bytes, 512u);
  EXPECT_EQ(table.disk_uuid, "03020100-0504-0706-0809-0a0b0c0d0e0f");
  EXPECT_EQ(table.confidence, 100);
  EXPECT_TRUE(mentions(table.evidence, "match their checksums"));
  EXPECT_TRUE(mentions(table.evidence, "agrees"));
  EXPECT_TRUE(mentions(table.evidence, "a protective MBR"));
  EXPECT_TRUE(table.doubts.empty()) << table.doubts[0];
}

TEST(GptTable, EntriesCarryTypeNameUuidAndAttributes) {
  SparseImage image(kImageBytes);
  put_gpt(image, two_partitions());
  const PartitionEntry entry = read_good(image).entries.at(1);
  EXPECT_EQ(entry.type, test::kLinuxGuidText);
  EXPECT_EQ(entry.type_name, "Linux filesystem");
  EXPECT_EQ(entry.label, "root fs");
  EXPECT_EQ(entry.uuid, "00000005-1514-1716-1819-1a1b1c1d1e1f");
  EXPECT_EQ(entry.attributes, 1ull << 60);
}

TEST(GptTable, ATableWithoutPartitionsIsATable) {
  SparseImage image(kImageBytes);
  put_gpt(image, GptLayout{});
  EXPECT_TRUE(read_good(image).entries.empty());
}

TEST(GptTable, TheLastNumberOfAFullArray) {
  SparseImage image(kImageBytes);
  GptLayout layout;
  for (std::uint32_t i = 1; i <= 128; ++i) layout.partitions.push_back({i, 2048 + i, 2048 + i});
  put_gpt(image, layout);
  const PartitionTable table = read_good(image);
  ASSERT_EQ(table.entries.size(), 128u);
  EXPECT_EQ(table.entries.back().number, 128u);
  EXPECT_EQ(table.entries.back().extent, (Extent{2176 * kS, kS}));
}

TEST(GptTable, SectorsOf4096AreFoundWhateverTheDeviceSays) {
  for (const std::uint32_t device : {512u, 4096u}) {
    SparseImage image(kImageBytes, device);
    GptLayout layout;
    layout.sector = 4096;
    layout.partitions = {{1, 256, 511}, {2, 1000, 1000}};
    put_gpt(image, layout);
    const PartitionTable table = read_good(image);
    EXPECT_EQ(table.sector_bytes, 4096u);
    EXPECT_EQ(extents_text(table), "1@1048576+1048576 2@4096000+4096");
    EXPECT_TRUE(table.doubts.empty());
  }
}

TEST(GptTable, SectorsOf512OnADeviceThatSays4096) {
  SparseImage image(kImageBytes, 4096);
  put_gpt(image, two_partitions());
  EXPECT_EQ(extents_text(read_good(image)), kTwoExtents);
}

TEST(GptTable, AStrangeBlockSizeIsNotProbed) {
  for (const std::uint32_t device : {0u, 1u, 513u, 1u << 31}) {
    SparseImage image(kImageBytes, device);
    put_gpt(image, two_partitions());
    EXPECT_EQ(extents_text(read_good(image)), kTwoExtents);
  }
}

TEST(GptTable, TheDevicesOwnSectorSizeWinsWhereTwoTablesAreLeft) {
  SparseImage image(kImageBytes, 4096);
  GptLayout small = two_partitions();
  GptLayout large;
  large.sector = 4096;
  large.partitions = {{3, 300, 400}};
  put_gpt(image, small);
  // The arrays of the two sizes overlap; a header alone with one entry further on does not.
  test::put_gpt_copy(image, large, 1, last_lba(image, large), 6);
  seal_gpt(image, 1, large);
  EXPECT_EQ(extents_text(read_good(image)), "3@1228800+413696");
}

TEST(GptTable, EntriesOfEverySizeUefiAllows) {
  for (const std::uint32_t size : {128u, 256u, 512u, 1024u, 4096u, 65536u}) {
    SparseImage image(kImageBytes);
    GptLayout layout = two_partitions();
    layout.entry_bytes = size;
    layout.count = 16;
    layout.partitions = {{1, 4096, 4097}, {16, 8192, 8192}};
    put_gpt(image, layout);
    const PartitionTable table = read_good(image);
    EXPECT_EQ(extents_text(table), "1@2097152+1024 16@4194304+512") << size;
    EXPECT_TRUE(table.doubts.empty()) << size;
  }
}

TEST(GptTable, EntrySizesOfOlderSpecificationsAreADoubt) {
  SparseImage image(kImageBytes);
  GptLayout layout = two_partitions();
  layout.entry_bytes = 136;
  put_gpt(image, layout);
  const PartitionTable table = read_good(image);
  EXPECT_EQ(extents_text(table), kTwoExtents);
  EXPECT_TRUE(mentions(table.doubts, "entries of 136 bytes"));
}

TEST(GptTable, AnyNumberOfEntries) {
  for (const std::uint32_t count : {1u, 4u, 5u, 129u, 1000u}) {
    SparseImage image(100 * kMiB);
    GptLayout layout;
    layout.count = count;
    layout.partitions = {{count, 100000, 100000}};
    put_gpt(image, layout);
    const PartitionTable table = read_good(image);
    ASSERT_EQ(table.entries.size(), 1u) << count;
    EXPECT_EQ(table.entries[0].number, count);
    EXPECT_EQ(table.entries[0].extent, (Extent{100000 * kS, kS}));
    EXPECT_TRUE(table.doubts.empty()) << table.doubts[0];
  }
}

TEST(GptTable, AnOddLengthImageEndsAtItsLastWholeSector) {
  SparseImage image(kImageBytes);
  put_gpt(image, two_partitions());
  image.resize(kImageBytes + 511);
  const PartitionTable table = read_good(image);
  EXPECT_EQ(extents_text(table), kTwoExtents);
  EXPECT_TRUE(table.doubts.empty());
}

TEST(GptTable, AGrownDeviceIsADoubt) {
  SparseImage image(kImageBytes);
  put_gpt(image, two_partitions());
  image.resize(2 * kImageBytes);
  const PartitionTable table = read_good(image);
  EXPECT_EQ(extents_text(table), kTwoExtents);
  EXPECT_TRUE(mentions(table.doubts, "the device has grown"));
}

TEST(GptTable, HybridMbrsGiveWayToTheGpt) {
  for (const int slot : {1, 2, 4}) {
    SparseImage image(kImageBytes);
    GptLayout layout = two_partitions();
    layout.protective = false;
    put_gpt(image, layout);
    put_mbr(image, {{1, 0x0c, 2048, 2048}, {3, 0x83, 8192, 1}, {slot, 0xee, 1, 2047}});
    const PartitionTable table = read_good(image);
    EXPECT_EQ(extents_text(table), kTwoExtents);
    EXPECT_TRUE(mentions(table.evidence, "a hybrid MBR"));
  }
}

TEST(GptTable, AProtectiveSlotElsewhereIsADoubt) {
  SparseImage image(kImageBytes);
  GptLayout layout = two_partitions();
  layout.protective = false;
  put_gpt(image, layout);
  put_mbr(image, {{1, 0xee, 63, 2047}});
  EXPECT_TRUE(mentions(read_good(image).doubts, "does not start in sector 1"));
}

TEST(GptTable, WithoutAProtectiveMbrItIsALeftover) {
  SparseImage image(kImageBytes);
  GptLayout layout = two_partitions();
  layout.protective = false;
  put_gpt(image, layout);
  put_mbr(image, {{1, 0x83, 2048, 2048}});
  EXPECT_EQ(read_gpt(image).error().code, Errc::not_found);
}

TEST(GptTable, AnEmptyFirstSectorIsADoubt) {
  SparseImage image(kImageBytes);
  GptLayout layout = two_partitions();
  layout.protective = false;
  put_gpt(image, layout);
  PartitionTable table = read_good(image);
  EXPECT_EQ(extents_text(table), kTwoExtents);
  EXPECT_TRUE(mentions(table.doubts, "sector 0 is empty"));
  EXPECT_LT(table.confidence, 100);

  image.flip(kS + 50);  // The primary leaves a trace, so its backup is believed.
  EXPECT_EQ(extents_text(read_good(image)), kTwoExtents);

  image.zero(kS, kS);  // Nothing but the backup: what the disk was before.
  EXPECT_EQ(read_gpt(image).error().code, Errc::not_found);
}

TEST(GptTable, WhatIsNotATableIsNotFound) {
  for (const std::uint64_t size : {std::uint64_t{0}, kS - 1, kS, 2 * kS - 1, 2 * kS, 100 * kS}) {
    SparseImage image(size);
    const Result<PartitionTable> table = read_gpt(image);
    ASSERT_FALSE(table);
    EXPECT_EQ(table.error().code, Errc::not_found) << size;
  }
}

}  // namespace
}  // namespace ashlar
