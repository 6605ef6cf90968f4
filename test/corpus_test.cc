// Goal: `ashlar sum` finds every partition that other systems see, under their numbers, with their
// bytes.
// Method: `ashlar sum --json` over images made by partitioning tools, and over images that a Linux
// kernel has read where they are there; every line of their expect.tsv must be among the sums.
#include "test/corpus.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <nlohmann/json.hpp>

#include "test/command.h"

namespace ashlar {
namespace {

using Json = nlohmann::json;
using test::CorpusCase;
using test::CorpusRow;

Json sums_of(const CorpusCase& image) {
  const test::CommandFolder folder;
  const auto run = folder.sh("zstd -dqc '" + image.packed.string() +
                             "' > disk.img && $ASHLAR sum -a disk.img --json");
  EXPECT_EQ(run.status, 0) << image.name << "\n" << run.err;
  return run.status == 0 ? Json::parse(run.out)["devices"] : Json::array();
}

bool is_row(const Json& device, const CorpusRow& row) {
  const std::string name = device["name"];
  return name.substr(name.rfind('/') + 1) == row.device && device["size"] == row.bytes &&
         device["sha256"] == row.sha256;
}

void expect_all(const CorpusCase& image) {
  const Json devices = sums_of(image);
  EXPECT_FALSE(image.rows.empty()) << image.name;
  for (const CorpusRow& row : image.rows) {
    const bool found = std::any_of(devices.begin(), devices.end(),
                                   [&](const Json& each) { return is_row(each, row); });
    EXPECT_TRUE(found) << image.name << ": " << row.device << " of " << row.bytes << " bytes, "
                       << row.sha256 << ", is not in\n"
                       << devices.dump(2);
  }
}

TEST(Corpus, sums_of_the_projects_own_images) {
  const auto images = test::own_images();
  EXPECT_GE(images.size(), 5u);
  for (const CorpusCase& each : images) expect_all(each);
}

TEST(Corpus, sums_of_what_a_kernel_has_read) {
  const auto images = test::partition_corpus();
  if (images.empty()) GTEST_SKIP() << "no corpus at " << test::corpus_folder();
  EXPECT_GE(images.size(), 5u);
  for (const CorpusCase& each : images) expect_all(each);
}

}  // namespace
}  // namespace ashlar
