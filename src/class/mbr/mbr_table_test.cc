// Goal: read_mbr finds what Linux finds, refuses what Linux refuses, and no damage or malice makes
// it loop, read without bound or give a partition that is not on the device.
// Method: tables written byte by byte on a sparse device; expected numbers and extents follow from
// the sectors that were written, times 512.
#include "class/mbr/mbr_table.h"

#include <gtest/gtest.h>

#include "test/partition_images.h"

namespace ashlar {
namespace {

using test::extents_text;
using test::kS;
using test::mentions;
using test::put_mbr;
using test::SparseImage;

PartitionTable read_good(SparseImage& image) {
  Result<PartitionTable> table = read_mbr(image);
  EXPECT_TRUE(table) << table.error().message;
  return table ? *table : PartitionTable{};
}

Errc refusal(SparseImage& image) {
  const Result<PartitionTable> table = read_mbr(image);
  return table ? Errc::ok : table.error().code;
}

TEST(MbrTable, PrimariesKeepTheirSlotNumbers) {
  SparseImage image(20000 * kS);
  put_mbr(image, {{1, 0x83, 2048, 100}, {3, 0x0c, 4096, 200, 0x80}, {4, 0x82, 8192, 300}});
  image.put(440, 0x69346880, 4);
  const PartitionTable table = read_good(image);
  EXPECT_EQ(extents_text(table), "1@1048576+51200 3@2097152+102400 4@4194304+153600");
  EXPECT_EQ(table.scheme, "mbr");
  EXPECT_EQ(table.disk_uuid, "69346880");
  EXPECT_EQ(table.entries[0].uuid, "69346880-01");
  EXPECT_EQ(table.entries[0].type, "0x83");
  EXPECT_EQ(table.entries[0].type_name, "Linux");
  EXPECT_EQ(table.entries[0].attributes, 0u);
  EXPECT_EQ(table.entries[1].attributes, 1u);
  EXPECT_TRUE(table.doubts.empty());
}

TEST(MbrTable, ADiskWithoutSignatureHasNoIdentity) {
  SparseImage image(20000 * kS);
  put_mbr(image, {{1, 0x83, 2048, 100}});
  const PartitionTable table = read_good(image);
  EXPECT_EQ(table.disk_uuid, "");
  EXPECT_EQ(table.entries[0].uuid, "");
}

// The extended partition at 10000 holds EBRs at 10000 and 12000; the second is linked relative to
// the first, the data relative to its own EBR.
void put_chain(SparseImage& image) {
  put_mbr(image, {{1, 0x83, 2048, 100}, {2, 0x05, 10000, 8000}});
  put_mbr(image, {{1, 0x83, 63, 500}, {2, 0x05, 2000, 1000}}, 10000 * kS);
  put_mbr(image, {{1, 0x8e, 128, 600}}, 12000 * kS);
}

TEST(MbrTable, LogicalPartitionsCountFromFive) {
  SparseImage image(20000 * kS);
  put_chain(image);
  const PartitionTable table = read_good(image);
  EXPECT_EQ(extents_text(table),
            "1@1048576+51200 2@5120000+4096000c 5@5152256+256000 6@6209536+307200");
  EXPECT_TRUE(table.doubts.empty());
}

TEST(MbrTable, EachExtendedTypeIsWalked) {
  for (const std::uint8_t type : {std::uint8_t{0x05}, std::uint8_t{0x0f}, std::uint8_t{0x85}}) {
    SparseImage image(20000 * kS);
    put_mbr(image, {{1, type, 10000, 8000}});
    put_mbr(image, {{1, 0x83, 63, 500}}, 10000 * kS);
    EXPECT_EQ(extents_text(read_good(image)), "1@5120000+4096000c 5@5152256+256000");
  }
}

TEST(MbrTable, LinkAsTheFirstSlotAndEmptyEbrsAreFollowed) {
  SparseImage image(20000 * kS);
  put_mbr(image, {{1, 0x05, 10000, 8000}});
  put_mbr(image, {{1, 0x05, 2000, 1000}}, 10000 * kS);  // DR-DOS: a link and no data
  put_mbr(image, {{1, 0x83, 63, 500}}, 12000 * kS);
  EXPECT_EQ(extents_text(read_good(image)), "1@5120000+4096000c 5@6176256+256000");
}

TEST(MbrTable, GarbageInSlotsThreeAndFourIsBelievedOnlyInside) {
  SparseImage image(20000 * kS);
  put_mbr(image, {{1, 0x05, 10000, 8000}});
  put_mbr(image, {{1, 0x83, 63, 100}, {3, 0x83, 200, 100}, {4, 0x83, 7990, 100}}, 10000 * kS);
  EXPECT_EQ(extents_text(read_good(image)), "1@5120000+4096000c 5@5152256+51200 6@5222400+51200");
}

TEST(MbrTable, NumbersAreUsedUpByLogicalsPastTheEnd) {
  SparseImage image(13000 * kS);
  put_mbr(image, {{2, 0x05, 10000, 3000}});
  put_mbr(image, {{1, 0x83, 9000, 500}, {2, 0x05, 2000, 1000}}, 10000 * kS);
  put_mbr(image, {{1, 0x8e, 128, 600}}, 12000 * kS);
  const PartitionTable table = read_good(image);
  EXPECT_EQ(extents_text(table), "2@5120000+1536000c 6@6209536+307200");
  EXPECT_TRUE(mentions(table.doubts, "partition 5 starts at byte 9728000"));
}

TEST(MbrTable, APartitionIsCutShortAtTheEndOfTheDevice) {
  SparseImage image(4000 * kS + 77);
  put_mbr(image, {{1, 0x83, 2048, 100}, {2, 0x83, 3000, 5000}, {3, 0x83, 4000, 1}});
  const PartitionTable table = read_good(image);
  EXPECT_EQ(extents_text(table), "1@1048576+51200 2@1536000+512000");
  EXPECT_TRUE(mentions(table.doubts, "partition 2 ends at byte 4096000"));
  EXPECT_TRUE(mentions(table.doubts, "partition 3 starts at byte 2048000"));
}

TEST(MbrTable, OnlyPartitionsPastTheEndAreADamagedTable) {
  SparseImage image(1000 * kS);
  put_mbr(image, {{1, 0x83, 2048, 100}});
  const Result<PartitionTable> table = read_mbr(image);
  ASSERT_FALSE(table);
  EXPECT_EQ(table.error().code, Errc::corrupt);
  EXPECT_NE(table.error().message.find("byte 446"), std::string::npos);
}

TEST(MbrTable, OverlapsStayAndAreReported) {
  SparseImage image(20000 * kS);
  put_mbr(image, {{1, 0x83, 2048, 100}, {2, 0x83, 2100, 100}});
  const PartitionTable table = read_good(image);
  EXPECT_EQ(table.entries.size(), 2u);
  EXPECT_TRUE(mentions(table.doubts, "partitions 1 and 2 overlap from byte 1075200"));
}

TEST(MbrTable, AChainThatPointsToItselfEnds) {
  SparseImage image(20000 * kS);
  put_mbr(image, {{1, 0x05, 10000, 8000}});
  put_mbr(image, {{1, 0x83, 63, 100}, {2, 0x05, 0, 1000}}, 10000 * kS);
  const PartitionTable table = read_good(image);
  EXPECT_EQ(extents_text(table), "1@5120000+4096000c 5@5152256+51200");
  EXPECT_TRUE(mentions(table.doubts, "comes back to byte 5120000"));
}

TEST(MbrTable, ALongerLoopEndsToo) {
  SparseImage image(20000 * kS);
  put_chain(image);
  put_mbr(image, {{2, 0x05, 0, 8000}}, 12000 * kS);  // The second EBR links to the first.
  const PartitionTable table = read_good(image);
  EXPECT_EQ(table.entries.back().number, 6u);
  EXPECT_TRUE(mentions(table.doubts, "comes back to byte 5120000"));
}

TEST(MbrTable, TwoExtendedPartitionsThatShareAChainAreWalkedOnce) {
  SparseImage image(20000 * kS);
  put_mbr(image, {{1, 0x05, 10000, 8000}, {2, 0x0f, 10000, 8000}});
  put_mbr(image, {{1, 0x83, 63, 100}}, 10000 * kS);
  const PartitionTable table = read_good(image);
  EXPECT_EQ(extents_text(table), "1@5120000+4096000c 5@5152256+51200 2@5120000+4096000c");
  EXPECT_TRUE(mentions(table.doubts, "comes back"));
}

TEST(MbrTable, AChainEndsWhereAnEbrIsMissing) {
  SparseImage image(20000 * kS);
  put_chain(image);
  image.put(12000 * kS + 510, 0, 2);
  PartitionTable table = read_good(image);
  EXPECT_EQ(table.entries.back().number, 5u);
  EXPECT_TRUE(mentions(table.doubts, "ends at byte 6144000, where 55 aa is missing"));

  image.break_byte(12000 * kS);
  table = read_good(image);
  EXPECT_EQ(table.entries.back().number, 5u);
  EXPECT_TRUE(mentions(table.doubts, "ends at byte 6144000, I/O error"));
}

// EBRs in every 10th sector, each with a link to the next and `data` sectors of data.
void put_long_chain(SparseImage& image, std::uint32_t links, std::uint32_t data) {
  put_mbr(image, {{1, 0x05, 1000, 100000}});
  for (std::uint32_t i = 0; i < links; ++i) {
    put_mbr(image, {{1, 0x83, 1, data}, {2, 0x05, (i + 1) * 10, 10}}, (1000 + 10 * i) * kS);
  }
}

TEST(MbrTable, NumbersEndAt255) {
  SparseImage image(200000 * kS);
  put_long_chain(image, 400, 5);
  const PartitionTable table = read_good(image);
  EXPECT_EQ(table.entries.back().number, 255u);
  EXPECT_TRUE(mentions(table.doubts, "behind partition 255"));
}

TEST(MbrTable, EmptyLinksAreBounded) {
  SparseImage image(200000 * kS);
  put_long_chain(image, 400, 0);
  const PartitionTable table = read_good(image);
  EXPECT_EQ(extents_text(table), "1@512000+51200000c");
  EXPECT_TRUE(mentions(table.doubts, "100 links"));
  EXPECT_LT(image.bytes_read(), 110 * kS);
}

TEST(MbrTable, SectorsOf4096OnADeviceThatSaysSo) {
  SparseImage image(2000 * 4096, 4096);
  put_mbr(image, {{1, 0x83, 256, 100}, {2, 0x05, 1000, 500}});
  put_mbr(image, {{1, 0x83, 16, 20}}, 1000 * 4096);
  const PartitionTable table = read_good(image);
  EXPECT_EQ(table.sector_bytes, 4096u);
  EXPECT_EQ(extents_text(table), "1@1048576+409600 2@4096000+2048000c 5@4161536+81920");
  EXPECT_TRUE(table.doubts.empty());
}

TEST(MbrTable, TheChainTellsTheSectorSizeWhereTheDeviceLies) {
  SparseImage large(2000 * 4096, 512);
  put_mbr(large, {{2, 0x05, 1000, 500}});
  put_mbr(large, {{1, 0x83, 16, 20}}, 1000 * 4096);
  PartitionTable table = read_good(large);
  EXPECT_EQ(extents_text(table), "2@4096000+2048000c 5@4161536+81920");
  EXPECT_TRUE(mentions(table.doubts, "only in sectors of 4096"));

  SparseImage small(4000 * kS, 4096);
  put_mbr(small, {{1, 0x83, 2048, 1000}});
  table = read_good(small);
  EXPECT_EQ(extents_text(table), "1@1048576+512000");
  EXPECT_TRUE(mentions(table.doubts, "only in sectors of 512"));
}

TEST(MbrTable, AStrangeBlockSizeCountsAs512) {
  for (const std::uint32_t size : {0u, 1u, 513u, 65536u}) {
    SparseImage image(20000 * kS, size);
    put_mbr(image, {{1, 0x83, 2048, 100}});
    EXPECT_EQ(extents_text(read_good(image)), "1@1048576+51200");
  }
}

TEST(MbrTable, WhatIsNotATableIsNotFound) {
  SparseImage blank(20000 * kS);
  EXPECT_EQ(refusal(blank), Errc::not_found);

  SparseImage empty(20000 * kS);
  put_mbr(empty, {});
  EXPECT_EQ(refusal(empty), Errc::not_found);

  SparseImage unsigned_table(20000 * kS);
  put_mbr(unsigned_table, {{1, 0x83, 2048, 100}});
  unsigned_table.put(510, 0x55, 2);
  EXPECT_EQ(refusal(unsigned_table), Errc::not_found);

  for (const std::uint64_t size : {0, 1, 511}) {
    SparseImage tiny(size);
    EXPECT_EQ(refusal(tiny), Errc::not_found) << size;
  }
}

TEST(MbrTable, BootSectorsOfFileSystemsAreNotTables) {
  for (int slot = 1; slot <= 4; ++slot) {
    SparseImage image(20000 * kS);
    put_mbr(image, {{1, 0x83, 2048, 100}});
    image.put(446 + 16 * (slot - 1), 'A', 1);  // Text where the boot flag would be.
    EXPECT_EQ(refusal(image), Errc::not_found) << slot;
  }
}

TEST(MbrTable, ProtectiveAndHybridTablesBelongToGpt) {
  for (int slot = 1; slot <= 4; ++slot) {
    SparseImage image(20000 * kS);
    put_mbr(image, {{1, 0x83, 2048, 100}, {2, 0x83, 4096, 100}, {slot, 0xee, 1, 19999}});
    EXPECT_EQ(refusal(image), Errc::not_found) << slot;
  }
}

TEST(MbrTable, AnAixLabelIsNotATableUnlessLinuxUsesIt) {
  SparseImage image(20000 * kS);
  put_mbr(image, {{1, 0x41, 2048, 100}});
  image.put(0, 0xc1d4c2c9, 4);
  EXPECT_EQ(refusal(image), Errc::ok);
  image.write(7 * kS, as_bytes("_LVM"));
  EXPECT_EQ(refusal(image), Errc::not_found);
  put_mbr(image, {{2, 0x83, 4096, 100}});
  EXPECT_EQ(refusal(image), Errc::ok);
}

TEST(MbrTable, OddEntriesAreKeptWithADoubt) {
  SparseImage image(20000 * kS);
  put_mbr(image, {{1, 0, 2048, 100}, {2, 0x83, 0, 20000}});
  const PartitionTable table = read_good(image);
  EXPECT_EQ(extents_text(table), "1@1048576+51200 2@0+10240000");
  EXPECT_TRUE(mentions(table.doubts, "partition 1 has type 0"));
  EXPECT_TRUE(mentions(table.doubts, "contains the table itself"));
}

TEST(MbrTable, TheLargestNumbersDoNotOverflow) {
  SparseImage image(UINT64_MAX - 4095, 4096);
  put_mbr(image, {{1, 0x83, 0xffffffff, 0xffffffff}, {2, 0x05, 0xffffffff, 0xffffffff}});
  put_mbr(image, {{1, 0x83, 0xffffffff, 0xffffffff}, {2, 0x05, 0xffffffff, 0xffffffff}},
          0xffffffffull * 4096);
  const PartitionTable table = read_good(image);
  EXPECT_EQ(table.entries[0].extent, (Extent{0xffffffffull * 4096, 0xffffffffull * 4096}));
  EXPECT_EQ(table.entries[2].extent, (Extent{2 * 0xffffffffull * 4096, 0xffffffffull * 4096}));
}

TEST(MbrTable, AnUnreadableFirstSectorIsAnIoError) {
  SparseImage image(20000 * kS);
  image.break_byte(100);
  EXPECT_EQ(refusal(image), Errc::io);
}

}  // namespace
}  // namespace ashlar
