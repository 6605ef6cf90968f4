// Goal: a damaged GPT is read from its other copy with the damage named, and a hostile one costs a
// bounded amount of reading and memory.
// Method: a good table on a sparse device, then one thing is broken; where the damage is meant to
// look intended, the checksums are made right again.
#include <gtest/gtest.h>

#include "class/gpt/gpt_copy.h"
#include "class/gpt/gpt_table.h"
#include "test/partition_images.h"

namespace ashlar {
namespace {

using test::extents_text;
using test::GptLayout;
using test::kS;
using test::last_lba;
using test::mentions;
using test::put_gpt;
using test::seal_gpt;
using test::SparseImage;

constexpr std::uint64_t kSize = 40 * kMiB;
constexpr std::uint64_t kLast = kSize / kS - 1;
constexpr const char* kExtents = "1@1048576+1048576 5@4194304+512";

class GptDamage : public ::testing::Test {
 protected:
  GptDamage() : image(kSize) {
    layout.partitions = {{1, 2048, 4095, u"EFI"}, {5, 8192, 8192, u"root fs"}};
    put_gpt(image, layout);
  }

  PartitionTable read_good() {
    Result<PartitionTable> table = read_gpt(image);
    EXPECT_TRUE(table) << table.error().message;
    return table ? *table : PartitionTable{};
  }

  // Changes a field of the primary header and makes its checksums right.
  void set_field(std::uint64_t at, std::uint64_t value, int bytes) {
    image.put(kS + at, value, bytes);
    seal_gpt(image, 1, layout);
  }

  // The backup must be used, and the reason must be given with these words.
  void expect_backup(const std::string& reason) {
    const PartitionTable table = read_good();
    EXPECT_EQ(extents_text(table), kExtents);
    EXPECT_TRUE(mentions(table.doubts, "the primary GPT is damaged")) << reason;
    EXPECT_TRUE(mentions(table.doubts, reason)) << (table.doubts.empty() ? "" : table.doubts[0]);
    EXPECT_EQ(table.confidence, 80);
  }

  SparseImage image;
  GptLayout layout;
};

TEST_F(GptDamage, EveryByteOfTheHeaderIsCovered) {
  for (std::uint64_t at = 0; at < 92; ++at) {
    image.flip(kS + at);
    const PartitionTable table = read_good();
    EXPECT_EQ(extents_text(table), kExtents) << at;
    EXPECT_TRUE(mentions(table.doubts, "the primary GPT is damaged")) << at;
    image.flip(kS + at);
  }
}

TEST_F(GptDamage, AWipedPrimary) {
  image.zero(kS, 33 * kS);
  expect_backup("no \"EFI PART\" at byte 512");
}

TEST_F(GptDamage, AnUnreadablePrimary) {
  image.break_byte(kS + 7);
  expect_backup("byte 512: I/O error");
}

TEST_F(GptDamage, ADamagedPrimaryArray) {
  image.flip(2 * kS + 40);
  expect_backup("entries at byte 1024 with CRC");
}

TEST_F(GptDamage, AnUnreadablePrimaryArray) {
  image.break_byte(20 * kS);
  expect_backup("entries at byte 1024: I/O error");
}

TEST_F(GptDamage, LyingFieldsWithGoodChecksums) {
  set_field(12, 91, 4);
  expect_backup("header size 91 at byte 524");
  set_field(12, 513, 4);
  expect_backup("header size 513 at byte 524");
  set_field(12, 92, 4);
  set_field(24, 2, 8);
  expect_backup("own sector 2 instead of 1 at byte 536");
  set_field(24, 1, 8);
  set_field(40, kLast + 1, 8);
  expect_backup("first usable sector 81920 of 81920 at byte 552");
  set_field(40, 34, 8);
  set_field(48, 33, 8);
  expect_backup("last usable sector 33 before the first one at byte 560");
}

TEST_F(GptDamage, LyingArraysWithGoodChecksums) {
  set_field(84, 1u << 31, 4);
  expect_backup("more than the 16777216 bytes");
  set_field(84, 127, 4);
  expect_backup("entry size 127 at byte 596");
  set_field(84, 132, 4);
  expect_backup("entry size 132 at byte 596");
  set_field(84, 0, 4);
  expect_backup("entry size 0 at byte 596");
  set_field(84, 128, 4);
  set_field(80, 0xffffffff, 4);
  expect_backup("4294967295 entries of 128 bytes");
  set_field(80, 0, 4);
  expect_backup("no entries at byte 592");
  set_field(80, 128, 4);
  set_field(72, kLast - 30, 8);
  expect_backup("entries in sector 81889 of 81920 at byte 584");
  set_field(72, UINT64_MAX, 8);
  expect_backup("entries in sector 18446744073709551615");
  set_field(72, 1ull << 55, 8);
  expect_backup("entries in sector 36028797018963968");
}

TEST_F(GptDamage, ALostBackup) {
  image.zero(kLast * kS, kS);
  const PartitionTable table = read_good();
  EXPECT_EQ(extents_text(table), kExtents);
  EXPECT_TRUE(mentions(table.doubts, "the backup GPT is lost"));
  EXPECT_EQ(table.confidence, 80);
}

TEST_F(GptDamage, CopiesThatDiffer) {
  GptLayout other = layout;
  other.partitions[0].last = 5000;
  test::put_gpt_copy(image, other, kLast, 1, kLast - 32);
  const PartitionTable table = read_good();
  EXPECT_EQ(extents_text(table), kExtents);
  EXPECT_TRUE(mentions(table.doubts, "the copies differ in their entries; the primary is used"));
}

TEST_F(GptDamage, ADamagedPrimaryStillPointsToABackupThatIsNotAtTheEnd) {
  image.resize(2 * kSize);
  image.flip(kS + 60);
  const PartitionTable table = read_good();
  EXPECT_EQ(extents_text(table), kExtents);
  EXPECT_TRUE(mentions(table.doubts, "the backup at byte 41942528 is used"));
}

TEST_F(GptDamage, NeitherCopy) {
  image.flip(kS + 60);
  image.flip(kLast * kS + 60);
  const Result<PartitionTable> table = read_gpt(image);
  ASSERT_FALSE(table);
  EXPECT_EQ(table.error().code, Errc::corrupt);
  EXPECT_NE(table.error().message.find("header CRC"), std::string::npos);
  EXPECT_NE(table.error().message.find("byte 528"), std::string::npos);
}

TEST_F(GptDamage, AProtectiveMbrAlone) {
  image.zero(kS, kS);
  image.zero(kLast * kS, kS);
  EXPECT_EQ(read_gpt(image).error().code, Errc::corrupt);
}

TEST_F(GptDamage, ABackupOf4096ByteSectorsIsFound) {
  SparseImage large(kSize);
  GptLayout of_4096;
  of_4096.sector = 4096;
  of_4096.partitions = {{2, 1000, 1999}};
  put_gpt(large, of_4096);
  large.zero(4096, 5 * 4096);
  const Result<PartitionTable> table = read_gpt(large);
  ASSERT_TRUE(table) << table.error().message;
  EXPECT_EQ(extents_text(*table), "2@4096000+4096000");
  EXPECT_TRUE(mentions(table->doubts, "the primary GPT is damaged"));
}

TEST_F(GptDamage, ATruncatedImageKeepsWhatIsThere) {
  image.resize(3 * kMiB);
  const PartitionTable table = read_good();
  EXPECT_EQ(extents_text(table), "1@1048576+1048576");
  EXPECT_TRUE(mentions(table.doubts, "made for a larger device"));
  EXPECT_TRUE(mentions(table.doubts, "partition 5 from sector 8192 to 8192"));
  EXPECT_TRUE(mentions(table.doubts, "the backup GPT is lost"));
}

TEST_F(GptDamage, EntriesThatLieAreLeftOut) {
  layout.partitions = {{1, 2048, 4095},       {2, 5000, 4999},       {3, kLast + 1, kLast + 1},
                       {4, 6000, UINT64_MAX}, {6, UINT64_MAX, 7000}, {7, 8000, 7000}};
  put_gpt(image, layout);
  image.zero(2 * kS + 4 * 128, 128);  // Number 5 of the fixture, in both copies.
  image.zero((kLast - 32) * kS + 4 * 128, 128);
  seal_gpt(image, 1, layout);
  seal_gpt(image, kLast, layout);
  const PartitionTable table = read_good();
  EXPECT_EQ(extents_text(table), "1@1048576+1048576");
  for (const char* number : {"2", "3", "4", "6", "7"}) {
    EXPECT_TRUE(mentions(table.doubts, std::string("partition ") + number + " from")) << number;
  }
}

TEST_F(GptDamage, EntriesOverTheTableItselfAreADoubt) {
  layout.partitions = {{1, 0, 100}, {5, 8192, 8192}};
  put_gpt(image, layout);
  const PartitionTable table = read_good();
  EXPECT_EQ(extents_text(table), "1@0+51712 5@4194304+512");
  EXPECT_TRUE(mentions(table.doubts, "partition 1 from sector 0 to 100 lies outside the usable"));
}

TEST_F(GptDamage, OverlapsStayAndAreReported) {
  layout.partitions = {{1, 2048, 4095}, {2, 4095, 5000}, {5, 3000, 3001}};
  put_gpt(image, layout);
  const PartitionTable table = read_good();
  EXPECT_EQ(table.entries.size(), 3u);
  EXPECT_TRUE(mentions(table.doubts, "partitions 1 and 5 overlap from byte 1536000"));
  EXPECT_TRUE(mentions(table.doubts, "partitions 1 and 2 overlap from byte 2096640"));
}

TEST_F(GptDamage, AReportOfManyDoubtsIsBounded) {
  layout.partitions.clear();
  for (std::uint32_t i = 1; i <= 128; ++i) layout.partitions.push_back({i, 5000, 4000});
  put_gpt(image, layout);
  const PartitionTable table = read_good();
  EXPECT_TRUE(table.entries.empty());
  EXPECT_EQ(table.doubts.size(), kMaxDoubts);
  EXPECT_TRUE(mentions(table.doubts, "there is more"));
}

TEST(GptLimits, PartitionsAreBounded) {
  SparseImage image(100 * kMiB);
  GptLayout layout;
  layout.count = kMaxGptPartitions + 10;
  for (std::uint32_t i = 1; i <= layout.count; ++i) {
    layout.partitions.push_back({i, 50000 + i, 50000 + i});
  }
  put_gpt(image, layout);
  const Result<PartitionTable> table = read_gpt(image);
  ASSERT_TRUE(table);
  EXPECT_EQ(table->entries.size(), kMaxGptPartitions);
  EXPECT_TRUE(mentions(table->doubts, "from number 16385 on are left out"));
}

TEST(GptLimits, TheLargestArrayFitsTheBudgetWithBothCopies) {
  SparseImage image(100 * kMiB);
  GptLayout layout;
  layout.count = static_cast<std::uint32_t>(kMaxGptArrayBytes / 128);
  layout.partitions = {{7, 100000, 100001}};
  put_gpt(image, layout);
  const Result<PartitionTable> table = read_gpt(image);
  ASSERT_TRUE(table) << table.error().message;
  EXPECT_TRUE(table->doubts.empty());
  EXPECT_LT(image.bytes_read(), TasteReader::kTasteBudgetBytes);
}

TEST(GptLimits, AnUnreadableFirstSectorIsAnIoError) {
  SparseImage image(kSize);
  image.break_byte(0);
  EXPECT_EQ(read_gpt(image).error().code, Errc::io);
}

}  // namespace
}  // namespace ashlar
