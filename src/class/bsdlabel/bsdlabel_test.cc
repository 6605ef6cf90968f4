// Goal: the class bsdlabel finds labels on bare disks and in the right slices, and names the
// partitions in slices so that Linux's numbers find them.
// Method: a disk in memory that a whole topology tastes.
#include <gtest/gtest.h>

#include "test/partition_images.h"
#include "test/taste_bench.h"

namespace ashlar {
namespace {

using test::put_bsdlabel;
using test::put_mbr;
using test::SparseImage;
using test::TasteBench;

constexpr std::uint64_t kS = 512;

TEST(BsdLabelClass, ABareDisk) {
  SparseImage image(20000 * kS);
  put_bsdlabel(image, {.offset = 64, .partitions = {{'a', 2048, 100}, {'e', 4096, 200}}});
  const TasteBench bench(image);
  EXPECT_EQ(bench.names(), "disk0/p1 disk0/p5");
  EXPECT_EQ(bench.geom_over("disk0")->facts().name, "bsdlabel");
  EXPECT_EQ((*bench.topology.find("p1"))->detail, "4.2BSD");
}

TEST(BsdLabelClass, AWholeDiskPartitionIsNotTastedAgain) {
  SparseImage image(20000 * kS);
  put_bsdlabel(image, {.offset = 64, .partitions = {{'c', 0, 20000}}});
  const TasteBench bench(image);
  EXPECT_EQ(bench.names(), "disk0/p3");
}

// Slices of each flavour with labels that count as that flavour does, and a logical partition:
// Linux numbers the first partition in a slice behind it.
TEST(BsdLabelClass, SlicesAreNumberedBehindOneAnotherAsInLinux) {
  SparseImage image(40000 * kS);
  put_mbr(image, {{1, 0xa9, 1000, 4000},
                  {2, 0xa5, 5000, 5000},
                  {3, 0x05, 20000, 5000},
                  {4, 0xa6, 30000, 5000}});
  put_mbr(image, {{1, 0x83, 63, 500}}, 20000 * kS);
  put_bsdlabel(image, {.offset = 1001 * kS, .partitions = {{'a', 1100, 10}, {'e', 1200, 20}}});
  put_bsdlabel(image, {.offset = 5001 * kS, .partitions = {{'a', 16, 30}, {'c', 0, 5000, 0}}});
  put_bsdlabel(image, {.offset = 30001 * kS, .partitions = {{'a', 30064, 40}}});
  const TasteBench bench(image);
  EXPECT_EQ(bench.names(),
            "disk0/p1 disk0/p2 disk0/p5 disk0/p4 disk0/p1/p6 disk0/p1/p7 disk0/p2/p8 "
            "disk0/p4/p9");
  EXPECT_EQ(bench.offset_of("disk0/p6"), 1100 * kS);
  EXPECT_EQ(bench.offset_of("disk0/p7"), 1200 * kS);
  EXPECT_EQ(bench.offset_of("disk0/p8"), 5016 * kS);
  EXPECT_EQ(bench.offset_of("disk0/p9"), 30064 * kS);
  EXPECT_EQ(bench.offset_of("p9"), 30064 * kS);
}

TEST(BsdLabelClass, ALabelInAnotherTypeOfPartitionIsNotRead) {
  SparseImage image(20000 * kS);
  put_mbr(image, {{1, 0x83, 1000, 4000}});
  put_bsdlabel(image, {.offset = 1001 * kS, .partitions = {{'a', 16, 10}}});
  EXPECT_EQ(TasteBench(image).names(), "disk0/p1");

  SparseImage gpt(40 * kMiB);
  test::GptLayout layout;
  layout.partitions = {{1, 2048, 4095}};
  test::put_gpt(gpt, layout);
  put_bsdlabel(gpt, {.offset = 2049 * kS, .partitions = {{'a', 16, 10}}});
  EXPECT_EQ(TasteBench(gpt).names(), "disk0/p1");
}

TEST(BsdLabelClass, CanBeDeclaredOverAnyPartition) {
  SparseImage image(20000 * kS);
  put_mbr(image, {{1, 0x83, 1000, 4000}});
  put_bsdlabel(image, {.offset = 1001 * kS, .partitions = {{'a', 16, 10}}});
  TasteBench bench(image);
  Provider* p1 = *bench.topology.find("p1");
  const auto inner = bench.topology.create(*find_builtin_class("bsdlabel"), {"inner", {p1}, {}});
  ASSERT_TRUE(inner) << inner.error().message;
  EXPECT_EQ(bench.offset_of("inner/p1"), 1016 * kS);
}

TEST(BsdLabelClass, ADamagedLabelIsADoubtOfTheSlice) {
  SparseImage image(20000 * kS);
  put_mbr(image, {{1, 0xa5, 1000, 4000}});
  put_bsdlabel(image, {.offset = 1001 * kS, .partitions = {{'a', 16, 10}}});
  image.put(1001 * kS + 138, 1000, 2);
  const TasteBench bench(image);
  EXPECT_EQ(bench.names(), "disk0/p1");
  EXPECT_TRUE(test::mentions(bench.doubts, "bsdlabel: disk0/p1: 1000 partitions at byte 650"));
}

}  // namespace
}  // namespace ashlar
