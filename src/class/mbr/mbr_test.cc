// Goal: the class mbr makes devices of a table: names, sizes, aliases, and what others may know of
// them; and it keeps away from tables inside partitions.
// Method: a disk in memory that a whole topology tastes.
#include <gtest/gtest.h>

#include "test/partition_images.h"
#include "test/taste_bench.h"

namespace ashlar {
namespace {

using test::kS;
using test::put_mbr;
using test::SparseImage;
using test::TasteBench;

SparseImage disk_with_logicals() {
  SparseImage image(20000 * kS);
  image.put(440, 0x69346880, 4);
  put_mbr(image, {{1, 0x83, 2048, 100}, {2, 0x05, 10000, 8000}});
  put_mbr(image, {{1, 0x8e, 63, 500}}, 10000 * kS);
  return image;
}

TEST(MbrClass, MakesADeviceOfEachPartitionAndNoneOfTheExtendedOne) {
  SparseImage image = disk_with_logicals();
  const TasteBench bench(image);
  EXPECT_EQ(bench.names(), "disk0/p1 disk0/p5");
  EXPECT_EQ(bench.offset_of("disk0/p5"), 10063 * kS);
  const Provider& logical = **bench.topology.find("disk0/p5");
  EXPECT_EQ(logical.size_bytes, 500 * kS);
  EXPECT_EQ(logical.detail, "Linux LVM");
  EXPECT_EQ(*bench.topology.find("uuid:69346880-05"), &logical);
  EXPECT_EQ(logical.partition->scheme, "mbr");
  EXPECT_EQ(logical.partition->type, "0x8e");
  EXPECT_EQ(logical.partition->offset_bytes, 10063 * kS);
}

TEST(MbrClass, SaysWhatItFound) {
  SparseImage image = disk_with_logicals();
  const TasteBench bench(image);
  const Geom* geom = bench.geom_over("disk0");
  ASSERT_NE(geom, nullptr);
  EXPECT_EQ(geom->facts().name, "mbr");
  EXPECT_FALSE(geom->evidence().empty());
  EXPECT_TRUE(geom->doubts().empty());
  const auto status = geom->body().status();
  EXPECT_EQ(status[0].second, "69346880");
}

TEST(MbrClass, ATableThatContainsItselfIsTastedOnce) {
  SparseImage image(20000 * kS);
  put_mbr(image, {{1, 0x83, 0, 20000}, {2, 0x83, 0, 20000}});
  const TasteBench bench(image);
  EXPECT_EQ(bench.names(), "disk0/p1 disk0/p2");
}

TEST(MbrClass, ABootSectorInAPartitionIsNotATable) {
  SparseImage image(20000 * kS);
  put_mbr(image, {{1, 0x83, 2048, 1000}});
  put_mbr(image, {{1, 0x83, 10, 100}}, 2048 * kS);
  const TasteBench bench(image);
  EXPECT_EQ(bench.names(), "disk0/p1");
}

TEST(MbrClass, CanBeDeclaredInsideAPartition) {
  SparseImage image(20000 * kS);
  put_mbr(image, {{1, 0x83, 2048, 1000}});
  put_mbr(image, {{1, 0x83, 10, 100}}, 2048 * kS);
  TasteBench bench(image);
  Provider* p1 = *bench.topology.find("p1");
  const auto inner = bench.topology.create(*find_builtin_class("mbr"), {"inner", {p1}, {}});
  ASSERT_TRUE(inner) << inner.error().message;
  EXPECT_EQ(bench.offset_of("inner/p1"), 2058 * kS);
  EXPECT_FALSE(bench.topology.create(*find_builtin_class("gpt"), {"other", {p1}, {}}));
}

TEST(MbrClass, ATableBeyondUseIsADoubtOfTheDisk) {
  SparseImage image(1000 * kS);
  put_mbr(image, {{1, 0x83, 2048, 100}});
  const TasteBench bench(image);
  EXPECT_EQ(bench.names(), "");
  EXPECT_TRUE(test::mentions(bench.doubts, "mbr: disk0: every partition"));
}

}  // namespace
}  // namespace ashlar
