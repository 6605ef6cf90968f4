// Goal: the class gpt makes devices of a table, wins over the MBR in front of it, and reports
// damage on the geom.
// Method: a disk in memory that a whole topology tastes.
#include <gtest/gtest.h>

#include "test/partition_images.h"
#include "test/taste_bench.h"

namespace ashlar {
namespace {

using test::GptLayout;
using test::kS;
using test::put_gpt;
using test::SparseImage;
using test::TasteBench;

constexpr std::uint64_t kDiskBytes = 40 * kMiB;

GptLayout first_and_last() {
  GptLayout layout;
  layout.partitions = {{1, 2048, 4095, u"EFI"}, {128, 8192, 8192, u"root fs"}};
  return layout;
}

TEST(GptClass, MakesADeviceOfEachPartition) {
  SparseImage image(kDiskBytes);
  put_gpt(image, first_and_last());
  const TasteBench bench(image);
  EXPECT_EQ(bench.names(), "disk0/p1 disk0/p128");
  EXPECT_EQ(bench.offset_of("p128"), 8192 * kS);
  const Provider& root = **bench.topology.find("p128");
  EXPECT_EQ(root.size_bytes, kS);
  EXPECT_EQ(root.detail, "Linux filesystem");
  EXPECT_EQ(*bench.topology.find("label:root fs"), &root);
  EXPECT_EQ(*bench.topology.find("uuid:00000080-1514-1716-1819-1a1b1c1d1e1f"), &root);
  EXPECT_EQ(root.partition->type, test::kLinuxGuidText);
}

TEST(GptClass, WinsOverAHybridMbr) {
  SparseImage image(kDiskBytes);
  put_gpt(image, first_and_last());
  test::put_mbr(image, {{2, 0x0c, 2048, 2048}});
  const TasteBench bench(image);
  ASSERT_NE(bench.geom_over("disk0"), nullptr);
  EXPECT_EQ(bench.geom_over("disk0")->facts().name, "gpt");
  EXPECT_TRUE(bench.doubts.empty());
}

TEST(GptClass, ALeftoverBehindAnMbrGivesWay) {
  SparseImage image(kDiskBytes);
  GptLayout layout = first_and_last();
  layout.protective = false;
  put_gpt(image, layout);
  test::put_mbr(image, {{1, 0x83, 2048, 100}});
  const TasteBench bench(image);
  EXPECT_EQ(bench.geom_over("disk0")->facts().name, "mbr");
}

TEST(GptClass, DamageIsReportedOnTheGeom) {
  SparseImage image(kDiskBytes);
  put_gpt(image, first_and_last());
  image.zero(kS, 33 * kS);
  const TasteBench bench(image);
  EXPECT_EQ(bench.names(), "disk0/p1 disk0/p128");
  EXPECT_TRUE(test::mentions(bench.geom_over("disk0")->doubts(), "the primary GPT is damaged"));
}

TEST(GptClass, ATableBeyondUseIsADoubtOfTheDisk) {
  SparseImage image(kDiskBytes);
  put_gpt(image, first_and_last());
  image.zero(kS, 33 * kS);
  image.flip(kDiskBytes - kS + 20);
  const TasteBench bench(image);
  EXPECT_EQ(bench.names(), "");
  EXPECT_TRUE(test::mentions(bench.doubts, "gpt: disk0: neither copy can be used"));
}

TEST(GptClass, APartitionOverTheTableIsNotTastedAgain) {
  SparseImage image(kDiskBytes);
  GptLayout layout;
  layout.partitions = {{1, 0, kDiskBytes / kS - 1}, {2, 0, kDiskBytes / kS - 1}};
  put_gpt(image, layout);
  const TasteBench bench(image);
  EXPECT_EQ(bench.names(), "disk0/p1 disk0/p2");
}

TEST(GptClass, SectorsOf512OnADeviceWithBlocksOf4096LeaveOutWhatCannotBeReached) {
  SparseImage image(kDiskBytes);
  put_gpt(image, first_and_last());
  TasteBench bench(image);
  Geom* large = *bench.topology.create(
      *find_builtin_class("memory"),
      {"large", {}, {{"size", std::to_string(kDiskBytes)}, {"block", "4096"}}});
  const auto outcome = bench.topology.taste(*large->providers()[0], builtin_classes());
  ASSERT_TRUE(outcome);
  ASSERT_NE(outcome->geom, nullptr);
  EXPECT_EQ(outcome->geom->providers().size(), 1u);
  EXPECT_TRUE(test::mentions(outcome->geom->doubts(), "not a multiple of the block size 4096"));
}

}  // namespace
}  // namespace ashlar
