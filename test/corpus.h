// Disk images with what others read from them: the project's own (test/images), and a corpus that
// a Linux kernel has read, where it is there.
#pragma once

#include <cstdint>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <map>
#include <string>
#include <vector>

namespace ashlar::test {

struct CorpusRow {
  std::string device;  // "p5", in the kernel's numbers
  std::uint64_t bytes = 0;
  std::string sha256;
};

struct CorpusCase {
  std::string name;
  std::filesystem::path packed;  // an image, packed by zstd
  std::vector<CorpusRow> rows;
};

// Every case of test/images.
inline std::vector<CorpusCase> own_images() {
  const auto folder = std::filesystem::path(ASHLAR_SOURCE_DIR) / "test" / "images";
  std::ifstream table(folder / "expect.tsv");
  std::map<std::string, CorpusCase> cases;
  std::string name;
  for (CorpusRow row; table >> name >> row.device >> row.bytes >> row.sha256;) {
    cases[name].rows.push_back(row);
  }
  std::vector<CorpusCase> all;
  for (auto& [each, found] : cases) {
    all.push_back({each, folder / (each + ".img.zst"), std::move(found.rows)});
  }
  return all;
}

// Where the kernel's corpus would be.
inline std::filesystem::path corpus_folder() {
  const char* given = std::getenv("ASHLAR_CORPUS");
  if (given != nullptr) return given;
  return std::filesystem::path(ASHLAR_SOURCE_DIR) / "../shared/corpus";
}

// Its cases with nothing but partitions. Empty where there is no corpus.
inline std::vector<CorpusCase> partition_corpus() {
  std::vector<CorpusCase> all;
  if (!std::filesystem::exists(corpus_folder())) return all;
  for (const auto& each : std::filesystem::directory_iterator(corpus_folder())) {
    const std::string name = each.path().filename();
    const bool ours =
        name.starts_with("mbr-") || name.starts_with("gpt-") || name.starts_with("bsdlabel-");
    if (!ours) continue;
    CorpusCase found{name, each.path() / "disk0.img.zst", {}};
    std::ifstream table(each.path() / "expect.tsv");
    for (CorpusRow row; table >> row.device >> row.bytes >> row.sha256;) {
      // The kernel calls the partitions of a bare label "1", "2".
      if (row.device[0] != 'p') row.device = "p" + row.device;
      found.rows.push_back(row);
    }
    all.push_back(std::move(found));
  }
  return all;
}

}  // namespace ashlar::test
