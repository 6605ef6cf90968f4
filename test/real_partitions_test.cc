// Goal: partitions of real disks have the numbers, sizes and contents that the tools which made the
// disks, and the kernel, say they have.
// Method: test/images (made by sfdisk, sgdisk, fdisk and parted; sums by dd and sha256sum), and the
// corpus that a Linux kernel has read, where it is there. Each image is unpacked by zstd and tasted
// by a whole topology; what a device holds is summed from the image at the place it is mapped to.
#include <gtest/gtest.h>
#include <openssl/evp.h>

#include <cstdio>
#include <filesystem>

#include "test/corpus.h"
#include "test/partition_images.h"
#include "test/taste_bench.h"

namespace ashlar {
namespace {

namespace fs = std::filesystem;

// An unpacked image in memory.
class Image final : public TasteReader {
 public:
  explicit Image(const fs::path& packed) {
    const std::string command = "zstd -dqc '" + packed.string() + "'";
    std::FILE* pipe = popen(command.c_str(), "r");
    if (pipe == nullptr) return;
    std::vector<std::byte> piece(1 << 16);
    while (const std::size_t got = std::fread(piece.data(), 1, piece.size(), pipe)) {
      bytes_.insert(bytes_.end(), piece.begin(), piece.begin() + static_cast<long>(got));
    }
    EXPECT_EQ(pclose(pipe), 0) << command;
  }

  Result<void> read(std::uint64_t offset, ByteSpan into) override {
    if (!within(offset, into.size(), bytes_.size())) return Error{Errc::out_of_range, "past end"};
    std::copy_n(bytes_.begin() + static_cast<long>(offset), into.size(), into.begin());
    return {};
  }
  std::uint64_t size_bytes() const override { return bytes_.size(); }
  std::uint32_t block_size_bytes() const override { return 512; }
  const std::string& name() const override { return name_; }

  std::string sha256(Extent extent) const {
    unsigned char digest[EVP_MAX_MD_SIZE];
    unsigned int length = 0;
    EVP_Digest(bytes_.data() + extent.offset, extent.length, digest, &length, EVP_sha256(),
               nullptr);
    std::string text;
    for (unsigned int i = 0; i < length; ++i) text += fmt::format("{:02x}", digest[i]);
    return text;
  }

 private:
  std::vector<std::byte> bytes_;
  std::string name_ = "disk0";
};

void expect_devices(const test::CorpusCase& disk) {
  SCOPED_TRACE(disk.name);
  Image image(disk.packed);
  EXPECT_FALSE(disk.rows.empty());
  const test::TasteBench bench(image);
  for (const test::CorpusRow& each : disk.rows) {
    const auto provider = bench.topology.find(each.device);
    ASSERT_TRUE(provider) << provider.error().message;
    EXPECT_EQ((*provider)->size_bytes, each.bytes) << each.device;
    const Extent extent{bench.offset_of(each.device), (*provider)->size_bytes};
    EXPECT_EQ(image.sha256(extent), each.sha256) << each.device;
  }
}

TEST(RealPartitions, OfTheProjectsOwnImages) {
  const auto disks = test::own_images();
  EXPECT_EQ(disks.size(), 8u);
  for (const test::CorpusCase& each : disks) expect_devices(each);
}

TEST(RealPartitions, OfTheCorpusThatLinuxHasRead) {
  const auto disks = test::partition_corpus();
  if (disks.empty()) GTEST_SKIP() << "no corpus at " << test::corpus_folder();
  EXPECT_GE(disks.size(), 5u);
  for (const test::CorpusCase& each : disks) expect_devices(each);
}

}  // namespace
}  // namespace ashlar
