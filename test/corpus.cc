// The tables beside the images are read here: the project's one for all cases, the corpus's one in
// the folder of each case.
#include "test/corpus.h"

#include <cstdlib>
#include <fstream>
#include <map>

#include "test/paths.h"

namespace ashlar::test {

std::vector<CorpusCase> own_images() {
  const auto folder = source_folder() / "test" / "images";
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

std::filesystem::path corpus_folder() {
  const char* given = std::getenv("ASHLAR_CORPUS");
  if (given != nullptr) return given;
  return source_folder() / "../shared/corpus";
}

std::vector<CorpusCase> partition_corpus() {
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
