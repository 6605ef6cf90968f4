// Goal: partitions of real disks have the numbers, sizes and contents that the tools which made the
// disks, and the kernel, say they have.
// Method: test/images (made by sfdisk, sgdisk, fdisk and parted; sums by dd and sha256sum), and the
// corpus that a Linux kernel has read, where it is there. Each image is unpacked by zstd and tasted
// by a whole topology; what a device holds is summed from the image at the place it is mapped to.
#include <gtest/gtest.h>
#include <openssl/evp.h>

#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <sstream>

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

struct Expected {
  std::string device;
  std::uint64_t bytes;
  std::string sha256;
};

void expect_devices(const fs::path& packed, const std::vector<Expected>& expected) {
  SCOPED_TRACE(packed.string());
  Image image(packed);
  const testing::TasteBench bench(image);
  for (const Expected& each : expected) {
    const auto provider = bench.topology.find(each.device);
    ASSERT_TRUE(provider) << provider.error().message;
    EXPECT_EQ((*provider)->size_bytes, each.bytes) << each.device;
    const Extent extent{bench.offset_of(each.device), (*provider)->size_bytes};
    EXPECT_EQ(image.sha256(extent), each.sha256) << each.device;
  }
}

TEST(RealPartitions, OfTheProjectsOwnImages) {
  const fs::path folder = fs::path(ASHLAR_SOURCE_DIR) / "test" / "images";
  std::ifstream table(folder / "expect.tsv");
  std::map<std::string, std::vector<Expected>> cases;
  std::string name;
  for (Expected row; table >> name >> row.device >> row.bytes >> row.sha256;) {
    cases[name].push_back(row);
  }
  EXPECT_EQ(cases.size(), 8u);
  for (const auto& [each, rows] : cases) expect_devices(folder / (each + ".img.zst"), rows);
}

// Devices are named "p1", or just "1", in the kernel's numbers.
std::vector<Expected> corpus_rows(const fs::path& file) {
  std::ifstream table(file);
  std::vector<Expected> rows;
  for (Expected row; table >> row.device >> row.bytes >> row.sha256;) {
    if (row.device[0] != 'p') row.device = "p" + row.device;
    rows.push_back(row);
  }
  return rows;
}

fs::path corpus_folder() {
  const char* given = std::getenv("ASHLAR_CORPUS");
  return given != nullptr ? fs::path(given) : fs::path(ASHLAR_SOURCE_DIR) / "../shared/corpus";
}

TEST(RealPartitions, OfTheCorpusThatLinuxHasRead) {
  const fs::path folder = corpus_folder();
  if (!fs::exists(folder)) GTEST_SKIP() << "no corpus at " << folder;
  int cases = 0;
  for (const auto& each : fs::directory_iterator(folder)) {
    const std::string name = each.path().filename();
    const bool ours =
        name.starts_with("mbr-") || name.starts_with("gpt-") || name.starts_with("bsdlabel-");
    if (!ours) continue;
    const auto rows = corpus_rows(each.path() / "expect.tsv");
    EXPECT_FALSE(rows.empty()) << name;
    expect_devices(each.path() / "disk0.img.zst", rows);
    ++cases;
  }
  EXPECT_GE(cases, 5);
}

}  // namespace
}  // namespace ashlar
