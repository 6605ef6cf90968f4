// Goal: arrays that mdadm and the kernel made are found on images in any order, have the contents
// that the kernel read, and have them too with every set of members left out that they can do
// without; with more left out nothing is started, and a sentence says why.
// Method: test/md_images, and the corpus where it is there. A node gets the images, and what it
// found is read and summed; which sets are enough is asked of md/assembly.h, which has tests of
// its own.
#include <gtest/gtest.h>

#include <algorithm>
#include <bit>
#include <fstream>
#include <nlohmann/json.hpp>
#include <set>

#include "io/sync_device.h"
#include "md/assembly.h"
#include "node/node.h"
#include "test/command.h"
#include "test/corpus.h"
#include "test/md_arrays.h"
#include "test/paths.h"

namespace ashlar {
namespace {

namespace fs = std::filesystem;
using Json = nlohmann::json;
using test::CommandFolder;

// Unpacked members of one array, and what the kernel says of it.
struct Members {
  CommandFolder folder;
  std::vector<std::string> paths;
  std::uint64_t bytes = 0;
  std::string sha256;
};

Json expectations() {
  return Json::parse(std::ifstream(test::source_folder() / "test" / "md_images" / "expect.json"));
}

std::unique_ptr<Members> unpacked(const Json& expected) {
  auto members = std::make_unique<Members>();
  EXPECT_TRUE(test::unpack_md_array(expected["case"], members->folder));
  for (const Json& each : expected["members"]) {
    for (const auto& found : fs::recursive_directory_iterator(members->folder.path())) {
      if (found.path().filename() == each["file"].get<std::string>()) {
        members->paths.push_back(found.path());
      }
    }
  }
  EXPECT_EQ(members->paths.size(), expected["members"].size());
  members->bytes = expected["bytes"];
  members->sha256 = expected["sha256"];
  return members;
}

std::unique_ptr<Members> of_corpus(const std::string& name) {
  auto members = std::make_unique<Members>();
  const auto folder = test::corpus_folder() / name;
  for (int i = 0; fs::exists(folder / fmt::format("disk{}.img.zst", i)); ++i) {
    const std::string file = fmt::format("m{}.img", i);
    const auto packed = folder / fmt::format("disk{}.img.zst", i);
    EXPECT_EQ(members->folder.sh("zstd -dq '" + packed.string() + "' -o " + file).status, 0);
    members->paths.push_back(members->folder.path() / file);
  }
  std::ifstream table(folder / "expect.tsv");
  std::string device;
  table >> device >> members->bytes >> members->sha256;
  return members;
}

std::unique_ptr<Node> node_over(const std::vector<std::string>& paths) {
  auto node = Node::create({.direct = false}).value();
  for (const std::string& each : paths) {
    const auto added = node->add_image({.path = each});
    EXPECT_TRUE(added.ok()) << added.error().message;
  }
  node->settle_members();
  return node;
}

std::vector<const Geom*> arrays_of(const Node& node) {
  std::vector<const Geom*> arrays;
  for (const auto& each : node.topology().geoms()) {
    if (each->facts().name == "md") arrays.push_back(each.get());
  }
  return arrays;
}

std::vector<std::byte> contents(Node& node, Provider& provider) {
  std::vector<std::byte> bytes(provider.size_bytes);
  auto device = node.open(provider, {});
  EXPECT_TRUE(device.ok()) << device.error().message;
  auto lane = Lane::create({}).value();
  auto channel = (*device)->channel(*lane).value();
  // Odd pieces, so that they begin and end anywhere in chunks.
  constexpr std::uint64_t kPiece = 100 * 512;
  for (std::uint64_t at = 0; at < bytes.size(); at += kPiece) {
    const std::uint64_t length = std::min<std::uint64_t>(kPiece, bytes.size() - at);
    EXPECT_EQ(SyncDevice(*channel).read(at, ByteSpan(bytes).subspan(at, length)), Errc::ok) << at;
  }
  return bytes;
}

// The array over these images has the right contents.
void expect_array(const Members& members, const std::vector<std::string>& paths) {
  const auto node = node_over(paths);
  const auto arrays = arrays_of(*node);
  ASSERT_EQ(arrays.size(), 1u) << (node->doubts().empty() ? "" : node->doubts()[0].sentence);
  Provider& array = *arrays[0]->providers().at(0);
  EXPECT_TRUE(array.read_only);
  EXPECT_EQ(array.size_bytes, members.bytes);
  EXPECT_EQ(test::sha256_of(contents(*node, array)), members.sha256);
}

void expect_refusal(const std::vector<std::string>& paths) {
  const auto node = node_over(paths);
  EXPECT_TRUE(arrays_of(*node).empty());
  ASSERT_EQ(node->doubts().size(), 1u);
  EXPECT_TRUE(node->doubts()[0].sentence.starts_with("md: ")) << node->doubts()[0].sentence;
}

// What is there of the members, the other way round for every second set.
std::vector<std::string> chosen(const Members& members, std::uint32_t missing) {
  std::vector<std::string> paths;
  for (std::size_t i = 0; i < members.paths.size(); ++i) {
    if ((missing >> i & 1) == 0) paths.push_back(members.paths[i]);
  }
  if (missing % 2 == 0) std::reverse(paths.begin(), paths.end());
  return paths;
}

// Whether the array can do without them.
bool enough(const std::vector<std::string>& paths) {
  std::vector<md::Candidate> candidates;
  for (const std::string& path : paths) {
    std::ifstream file(path, std::ios::binary);
    const std::uint64_t size = fs::file_size(path);
    for (const md::Version version : md::kVersions) {
      const auto at = md::superblock_offset(version, size);
      if (!at) continue;
      std::string block(md::kSuperblockBytes, '\0');
      file.seekg(static_cast<std::streamoff>(*at));
      file.read(block.data(), static_cast<std::streamsize>(block.size()));
      auto parsed = md::parse_superblock(as_bytes(block), version, size);
      if (parsed) candidates.push_back({path, std::move(*parsed)});
    }
  }
  const auto arrays = md::assemble(candidates);
  EXPECT_EQ(arrays.size(), 1u);
  return arrays[0].runs();
}

// With every set of members left out that has `most` of them or fewer, but never all.
void expect_sets(const Members& members, int most) {
  const std::uint32_t sets = 1u << members.paths.size();
  for (std::uint32_t missing = 0; missing + 1 < sets; ++missing) {
    if (std::popcount(missing) > most) continue;
    SCOPED_TRACE(fmt::format("missing: {:b}", missing));
    const auto paths = chosen(members, missing);
    enough(paths) ? expect_array(members, paths) : expect_refusal(paths);
  }
}

// How many may be left out here, so that the sets of many members are not too many: what raid6 can
// do without, else one more than may be missing anywhere. The corpus is asked for all sets, and so
// is assembly_test.cc.
int most_left_out(const Json& expected) {
  if (expected["level"] == "raid6") return 2;
  return expected["members"].size() > 3 ? 1 : 3;
}

// What is not started: a reshape, a journal, PPL; and what may be wrong.
bool refused(const Json& expected) {
  static const std::set<std::string> kRefused = {"raid5-reshaping", "raid5-journal", "raid5-ppl",
                                                 "raid5-dirty-degraded"};
  return kRefused.contains(expected["case"]);
}

TEST(MdArrays, of_the_kernel_have_its_contents) {
  int cases = 0;
  for (const Json& expected : expectations()) {
    SCOPED_TRACE(expected["case"].get<std::string>());
    const auto members = unpacked(expected);
    ++cases;
    if (refused(expected)) {
      expect_refusal(members->paths);
      continue;
    }
    // Where one is behind the others, or has bad blocks, it cannot stand in for all.
    const bool even = expected.value("degraded", 0) == 0 && !expected.contains("rewritten_bytes") &&
                      !expected.contains("bad_member") && !expected.contains("sync_action");
    expect_sets(*members, even ? most_left_out(expected) : 0);
  }
  EXPECT_EQ(cases, 88);
}

class MdCorpusArrays : public testing::TestWithParam<std::string> {};

TEST_P(MdCorpusArrays, have_the_contents_that_the_kernel_read) {
  if (!fs::exists(test::corpus_folder() / GetParam())) {
    GTEST_SKIP() << "no corpus at " << test::corpus_folder();
  }
  const auto members = of_corpus(GetParam());
  expect_sets(*members, static_cast<int>(members->paths.size()));
  auto order = members->paths;
  for (std::size_t i = 1; i < order.size(); ++i) {
    std::rotate(order.begin(), order.begin() + 1, order.end());
    expect_array(*members, order);
  }
}

INSTANTIATE_TEST_SUITE_P(Md, MdCorpusArrays,
                         testing::Values("md-linear", "md-raid0-12", "md-raid1-10", "md-raid10-n2",
                                         "md-raid5-ls", "md-raid6-ls"));

// The corpus has no array that is not asked for above.
TEST(MdCorpus, has_no_other_arrays) {
  if (!fs::exists(test::corpus_folder())) GTEST_SKIP() << "no corpus at " << test::corpus_folder();
  int found = 0;
  for (const auto& each : fs::directory_iterator(test::corpus_folder())) {
    found += each.path().filename().string().starts_with("md-") ? 1 : 0;
  }
  EXPECT_EQ(found, 6);
}

std::unique_ptr<Members> members_of(const std::string& name) {
  for (const Json& expected : expectations()) {
    if (expected["case"] == name) return unpacked(expected);
  }
  ADD_FAILURE() << "no case " << name;
  return nullptr;
}

TEST(MdArrays, do_not_read_bad_blocks_of_the_only_member) {
  const auto members = members_of("raid1-bad-blocks");
  const auto node = node_over({members->paths[0]});
  ASSERT_EQ(arrays_of(*node).size(), 1u);
  const auto device = node->open(*arrays_of(*node)[0]->providers()[0], {}).value();
  auto lane = Lane::create({}).value();
  auto channel = device->channel(*lane).value();
  std::vector<std::byte> bytes(members->bytes);
  EXPECT_EQ(SyncDevice(*channel).read(0, bytes), Errc::io);
  // The bad range begins 24 sectors into the data.
  const ByteSpan before = ByteSpan(bytes).first(24 * 512);
  EXPECT_EQ(SyncDevice(*channel).read(0, before), Errc::ok);
  for (std::size_t i = 0; i < before.size(); i += 8) {
    ASSERT_EQ(load_le<std::uint64_t>(before, i), i / 8);
  }
  EXPECT_EQ(SyncDevice(*channel).read(24 * 512, ByteSpan(bytes).first(512)), Errc::io);
}

TEST(MdArrays, are_started_when_they_are_asked_for) {
  const auto members = members_of("raid1-three");
  auto node = Node::create({.direct = false}).value();
  for (const std::string& path : members->paths) ASSERT_TRUE(node->add_image({.path = path}).ok());
  EXPECT_TRUE(arrays_of(*node).empty());
  const auto uuid = node->topology().providers()[0]->member->group;
  const auto device = node->open("uuid:" + uuid.substr(0, uuid.find(' ')), {});
  ASSERT_TRUE(device.ok()) << device.error().message;
  EXPECT_EQ(arrays_of(*node).size(), 1u);
}

TEST(MdArrays, are_made_anew_when_a_member_comes_later_and_nobody_uses_them) {
  const auto members = members_of("raid1-three");
  auto node = node_over({members->paths[0], members->paths[1]});
  ASSERT_EQ(arrays_of(*node).size(), 1u);
  EXPECT_EQ(arrays_of(*node)[0]->consumers().size(), 2u);
  ASSERT_TRUE(node->add_image({.path = members->paths[2]}).ok());
  node->settle_members();
  ASSERT_EQ(arrays_of(*node).size(), 1u);
  EXPECT_EQ(arrays_of(*node)[0]->consumers().size(), 3u);
  EXPECT_TRUE(node->doubts().empty());
}

TEST(MdArrays, in_use_are_left_as_they_are_when_a_member_comes_later) {
  const auto members = members_of("raid1-three");
  auto node = node_over({members->paths[0], members->paths[1]});
  const auto device = node->open(*arrays_of(*node).at(0)->providers().at(0), {});
  ASSERT_TRUE(device.ok());
  ASSERT_TRUE(node->add_image({.path = members->paths[2]}).ok());
  node->settle_members();
  EXPECT_EQ(arrays_of(*node).at(0)->consumers().size(), 2u);
  ASSERT_EQ(node->doubts().size(), 1u);
  EXPECT_EQ(node->doubts()[0].device, "disk2");
}

TEST(MdArrays, whose_member_is_given_twice_are_refused) {
  const auto members = members_of("raid1-three");
  auto paths = members->paths;
  paths.push_back(paths[0]);
  const auto node = node_over(paths);
  EXPECT_TRUE(arrays_of(*node).empty());
  ASSERT_EQ(node->doubts().size(), 1u);
  EXPECT_NE(node->doubts()[0].sentence.find("is a copy of the other"), std::string::npos)
      << node->doubts()[0].sentence;
}

TEST(MdArrays, of_several_kinds_are_told_apart) {
  const auto first = members_of("raid10-n2-4");
  const auto second = members_of("raid0");
  auto paths = first->paths;
  paths.insert(paths.begin() + 1, second->paths.begin(), second->paths.end());
  const auto node = node_over(paths);
  const auto arrays = arrays_of(*node);
  ASSERT_EQ(arrays.size(), 2u);
  for (const Geom* each : arrays) {
    Provider& array = *each->providers()[0];
    const Members& members = each->consumers().size() == 4 ? *first : *second;
    EXPECT_EQ(test::sha256_of(contents(*node, array)), members.sha256);
  }
}

TEST(MdArrays, on_partitions_are_found) {
  const auto members = members_of("v1.0-raid1");
  const CommandFolder& folder = members->folder;
  const auto made = folder.sh(
      "truncate -s 4M disk.img && printf 'label: gpt\\nstart=2048, size=1024\\nstart=4096, "
      "size=1024\\n' | sfdisk -q disk.img && "
      "dd if=m0.img of=disk.img bs=512 seek=2048 conv=notrunc status=none && "
      "dd if=m1.img of=disk.img bs=512 seek=4096 conv=notrunc status=none");
  ASSERT_EQ(made.status, 0) << made.err;
  expect_array(*members, {folder.path() / "disk.img"});
}

}  // namespace
}  // namespace ashlar
