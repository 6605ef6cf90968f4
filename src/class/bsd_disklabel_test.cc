// Goal: read_bsdlabel finds a label in each of its places and gives partitions the offsets and
// numbers that Linux gives, with labels that count from the slice and from the disk.
// Method: labels written byte by byte on a sparse device. The cases of nested labels follow the
// three systems' habits; expected extents follow from the sectors that were written.
#include "class/bsd_disklabel.h"

#include <gtest/gtest.h>

#include "test/partition_images.h"

namespace ashlar {
namespace {

using test::BsdLayout;
using test::extents_text;
using test::mentions;
using test::put_bsdlabel;
using test::seal_bsdlabel;
using test::SparseImage;

constexpr std::uint64_t kS = 512;
constexpr std::uint64_t kSectors = 20000;

PartitionTable read_good(SparseImage& image, const BsdPlace& place = {}) {
  Result<PartitionTable> table = read_bsdlabel(image, place);
  EXPECT_TRUE(table) << table.error().message;
  return table ? *table : PartitionTable{};
}

Error refusal(SparseImage& image, const BsdPlace& place = {}) {
  const Result<PartitionTable> table = read_bsdlabel(image, place);
  EXPECT_FALSE(table);
  return table ? Error{Errc::ok, ""} : table.error();
}

TEST(BsdLabel, BareAtByte64NumbersByPlaceAndKeepsC) {
  SparseImage image(kSectors * kS);
  put_bsdlabel(image, {.offset = 64,
                       .partitions = {{'a', 2048, 100}, {'c', 0, kSectors, 0}, {'e', 4096, 200}}});
  const PartitionTable table = read_good(image);
  EXPECT_EQ(extents_text(table), "1@1048576+51200 3@0+10240000 5@2097152+102400");
  EXPECT_EQ(table.scheme, "bsdlabel");
  EXPECT_EQ(table.entries[0].type, "7");
  EXPECT_EQ(table.entries[0].type_name, "4.2BSD");
  EXPECT_TRUE(mentions(table.evidence, "the checksum over 8 partitions matches"));
}

TEST(BsdLabel, BareInSector1LeavesOutC) {
  SparseImage image(kSectors * kS);
  put_bsdlabel(image, {.partitions = {{'a', 16, 100}, {'b', 200, 50, 1}, {'c', 0, kSectors, 0}}});
  const PartitionTable table = read_good(image);
  EXPECT_EQ(extents_text(table), "1@8192+51200 2@102400+25600");
  EXPECT_EQ(table.entries[1].type_name, "swap");
  EXPECT_TRUE(table.doubts.empty());
}

TEST(BsdLabel, AnImageOfASliceCountsFromItsC) {
  SparseImage image(8704 * kS);
  put_bsdlabel(image,
               {.partitions = {{'c', 7680, 8704, 0}, {'e', 7936, 4864}, {'f', 12544, 3584}}});
  const PartitionTable table = read_good(image);
  EXPECT_EQ(extents_text(table), "5@131072+2490368 6@2490368+1835008");
  EXPECT_TRUE(mentions(table.doubts, "partitions 5 and 6 overlap"));
  EXPECT_TRUE(mentions(table.evidence, "from sector 7680, where c starts"));
}

TEST(BsdLabel, BareWithSectorsOf4096) {
  SparseImage image(kSectors * 4096, 4096);
  put_bsdlabel(image, {.offset = 4096, .sector = 4096, .partitions = {{'a', 16, 100}}});
  const PartitionTable table = read_good(image);
  EXPECT_EQ(table.sector_bytes, 4096u);
  EXPECT_EQ(extents_text(table), "1@65536+409600");
}

TEST(BsdLabel, ASectorSizeThatLiesIsNotBelieved) {
  SparseImage image(kSectors * kS);
  put_bsdlabel(image, {.sector = 1u << 31, .partitions = {{'a', 16, 100}}});
  EXPECT_EQ(extents_text(read_good(image)), "1@8192+51200");

  SparseImage stray(kSectors * kS);
  put_bsdlabel(stray, {.offset = 4096, .sector = 512, .partitions = {{'a', 16, 100}}});
  EXPECT_EQ(refusal(stray).code, Errc::not_found);
}

TEST(BsdLabel, TheLabelWithAGoodChecksumWins) {
  SparseImage image(kSectors * kS);
  put_bsdlabel(image, {.offset = 64, .partitions = {{'a', 100, 10}}});
  put_bsdlabel(image, {.partitions = {{'a', 200, 20}}});
  EXPECT_EQ(extents_text(read_good(image)), "1@51200+5120");
  image.flip(64 + 136);
  EXPECT_EQ(extents_text(read_good(image)), "1@102400+10240");
  image.flip(512 + 136);
  EXPECT_EQ(extents_text(read_good(image)), "1@51200+5120");
}

// A slice of 8000 sectors at sector 10000.
constexpr std::uint64_t kSliceSectors = 8000;
BsdPlace slice(BsdFlavour flavour) { return {flavour, 10000 * kS, 5}; }

TEST(BsdLabel, AFreeBsdSliceCountsFromItselfWhereCIsZero) {
  SparseImage image(kSliceSectors * kS);
  put_bsdlabel(image,
               {.partitions = {{'a', 16, 100}, {'b', 200, 50, 1}, {'c', 0, kSliceSectors, 0}}});
  EXPECT_EQ(extents_text(read_good(image, slice(BsdFlavour::freebsd))),
            "5@8192+51200 6@102400+25600");
}

TEST(BsdLabel, AFreeBsdSliceCountsFromTheDiskWhereCIsNotZero) {
  SparseImage image(kSliceSectors * kS);
  put_bsdlabel(image, {.partitions = {{'a', 10016, 100}, {'c', 10000, kSliceSectors, 0}}});
  EXPECT_EQ(extents_text(read_good(image, slice(BsdFlavour::freebsd))), "5@8192+51200");
}

TEST(BsdLabel, NetAndOpenBsdSlicesCountFromTheDisk) {
  for (const BsdFlavour flavour : {BsdFlavour::netbsd, BsdFlavour::openbsd}) {
    SparseImage image(kSliceSectors * kS);
    put_bsdlabel(image, {.partitions = {{'a', 10016, 100}, {'c', 0, 99999, 0}, {'d', 17999, 1}}});
    EXPECT_EQ(extents_text(read_good(image, slice(flavour))), "5@8192+51200 6@4095488+512");
  }
}

TEST(BsdLabel, PartitionsThatLinuxPassesOverUseNoNumber) {
  SparseImage image(kSliceSectors * kS);
  put_bsdlabel(image, {.partitions = {{'a', 10000, kSliceSectors},  // the slice itself
                                      {'b', 10010, 10, 0},          // type 0
                                      {'d', 9000, 10},              // before the slice
                                      {'e', 17999, 2},              // past its end
                                      {'f', 0xffffffff, 0xffffffff},
                                      {'g', 10020, 10}}});
  const PartitionTable table = read_good(image, slice(BsdFlavour::netbsd));
  EXPECT_EQ(extents_text(table), "5@10240+5120");
  EXPECT_TRUE(mentions(table.doubts, "partition d from sector 9000, 10 sectors, reaches outside"));
  EXPECT_TRUE(mentions(table.doubts, "partition e"));
  EXPECT_TRUE(mentions(table.doubts, "partition f"));
}

TEST(BsdLabel, AnEmptyPartitionInASliceUsesUpItsNumber) {
  SparseImage image(kSliceSectors * kS);
  put_bsdlabel(image, {.partitions = {{'a', 10016, 0}, {'b', 10032, 10}}});
  EXPECT_EQ(extents_text(read_good(image, slice(BsdFlavour::openbsd))), "6@16384+5120");
}

TEST(BsdLabel, BarePartitionsPastTheEndAreCutOrLeftOut) {
  SparseImage image(kSectors * kS);
  put_bsdlabel(image, {.partitions = {{'a', 19990, 100}, {'b', 20000, 1}}});
  const PartitionTable table = read_good(image);
  EXPECT_EQ(extents_text(table), "1@10234880+5120");
  EXPECT_TRUE(mentions(table.doubts, "partition 2 starts at byte 10240000"));
}

TEST(BsdLabel, MorePartitionsThanLinuxReads) {
  for (const std::uint16_t count : {std::uint16_t{18}, std::uint16_t{22}, std::uint16_t{64}}) {
    SparseImage image(kSectors * kS);
    put_bsdlabel(image, {.count = count, .partitions = {{'a' + count - 1, 100, 10}}});
    const PartitionTable table = read_good(image);
    EXPECT_EQ(extents_text(table), fmt::format("{}@51200+5120", count));
    EXPECT_EQ(mentions(table.doubts, "Linux reads 18"), count > 18) << count;
  }
}

TEST(BsdLabel, AWrongChecksumIsADoubtAsLinuxDoesNotLook) {
  SparseImage image(kSectors * kS);
  put_bsdlabel(image, {.partitions = {{'a', 16, 100}}});
  image.flip(512 + 30);
  const PartitionTable table = read_good(image);
  EXPECT_EQ(extents_text(table), "1@8192+51200");
  EXPECT_TRUE(mentions(table.doubts, "the checksum at byte 648 does not match"));
  EXPECT_LT(table.confidence, 50);
}

TEST(BsdLabel, TheSecondMagicIsNeededOnABareDiskOnly) {
  SparseImage image(kSectors * kS);
  put_bsdlabel(image, {.partitions = {{'a', 16, 100}}});
  image.flip(512 + 132);
  const Error bare = refusal(image);
  EXPECT_EQ(bare.code, Errc::corrupt);
  EXPECT_NE(bare.message.find("byte 644"), std::string::npos);
  const PartitionTable table = read_good(image, {BsdFlavour::freebsd, 0, 5});
  EXPECT_EQ(extents_text(table), "5@8192+51200");
  EXPECT_TRUE(mentions(table.doubts, "the second magic at byte 644 is missing"));
}

TEST(BsdLabel, ImpossibleCountsAreCorrupt) {
  for (const std::uint16_t count : {std::uint16_t{0}, std::uint16_t{65}, std::uint16_t{65535}}) {
    SparseImage image(kSectors * kS);
    put_bsdlabel(image, {});
    image.put(512 + 138, count, 2);
    const Error error = refusal(image);
    EXPECT_EQ(error.code, Errc::corrupt) << count;
    EXPECT_NE(error.message.find("at byte 650"), std::string::npos);
  }
}

TEST(BsdLabel, ALabelThatRunsPastTheEndIsAnError) {
  SparseImage image(2 * kS);
  put_bsdlabel(image, {});
  image.put(512 + 138, 64, 2);
  EXPECT_EQ(refusal(image).code, Errc::out_of_range);
}

TEST(BsdLabel, ADiskWithAnMbrOrAGptIsNotBare) {
  SparseImage mbr(kSectors * kS);
  put_bsdlabel(mbr, {.partitions = {{'a', 16, 100}}});
  test::put_mbr(mbr, {{4, 0xa5, 0, 50000}});
  EXPECT_EQ(refusal(mbr).code, Errc::not_found);
  EXPECT_EQ(extents_text(read_good(mbr, {BsdFlavour::freebsd, 0, 5})), "5@8192+51200");

  SparseImage gpt(kSectors * kS);
  put_bsdlabel(gpt, {.partitions = {{'a', 16, 100}}});
  test::put_protective_mbr(gpt);
  EXPECT_EQ(refusal(gpt).code, Errc::not_found);
}

TEST(BsdLabel, WhatIsNotALabelIsNotFound) {
  for (const std::uint64_t size : {0, 1, 511, 1023, 1024, 5000, 1000000}) {
    SparseImage image(size);
    EXPECT_EQ(refusal(image).code, Errc::not_found) << size;
    EXPECT_EQ(refusal(image, slice(BsdFlavour::netbsd)).code, Errc::not_found) << size;
  }
}

TEST(BsdLabel, AnUnreadableLabelIsAnIoError) {
  SparseImage image(kSectors * kS);
  image.break_byte(600);
  EXPECT_EQ(refusal(image, slice(BsdFlavour::freebsd)).code, Errc::io);
}

}  // namespace
}  // namespace ashlar
