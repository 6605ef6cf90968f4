// Disk images with what others read from them: the project's own (test/images), and a corpus that
// a Linux kernel has read, where it is there.
#pragma once

#include <cstdint>
#include <filesystem>
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
std::vector<CorpusCase> own_images();

// Where the kernel's corpus would be.
std::filesystem::path corpus_folder();

// Its cases with nothing but partitions. Empty where there is no corpus.
std::vector<CorpusCase> partition_corpus();

}  // namespace ashlar::test
