// Goal: arrays whose superblocks are gone are recognised, with the right order of members, chunk,
// layout and data offset.
// Method: the small arrays that the kernel made (test/md_images): superblocks are wiped, members
// are shuffled; what the superblocks said is what must be found.
#include <gtest/gtest.h>

#include <algorithm>

#include "base/random.h"
#include "md/guess.h"
#include "md/names.h"
#include "test/md_arrays.h"

namespace ashlar::md {
namespace {

struct Wiped {
  std::vector<std::vector<std::byte>> members;
  std::vector<std::size_t> by_place;  // the member in each place
  Superblock was;
};

Wiped wiped(const std::string& name) {
  auto by_role = test::md_array_by_role(name);
  std::vector<std::size_t> shuffled(by_role.size());
  for (std::size_t i = 0; i < shuffled.size(); ++i) shuffled[i] = i;
  Random random(by_role.size());
  for (std::size_t i = shuffled.size(); i > 1; --i) {
    std::swap(shuffled[i - 1], shuffled[random.below(i)]);
  }
  Wiped result;
  result.by_place.resize(by_role.size());
  for (std::size_t i = 0; i < shuffled.size(); ++i) {
    test::MdMember& member = *by_role[shuffled[i]];
    result.was = member.superblock;
    std::fill_n(member.bytes.begin() +
                    static_cast<std::ptrdiff_t>(member.superblock.superblock_offset_bytes),
                kSuperblockBytes, std::byte{0});
    result.members.push_back(std::move(member.bytes));
    result.by_place[shuffled[i]] = i;
  }
  return result;
}

Guesses guess(const Wiped& from, std::optional<std::size_t> without = {}) {
  GuessInput input;
  for (const auto& each : from.members) input.device_bytes.emplace_back(each.size());
  if (without) input.device_bytes[*without].reset();
  input.read = [&](std::size_t device, std::uint64_t offset, ByteSpan into) -> Result<void> {
    std::copy_n(from.members[device].begin() + static_cast<std::ptrdiff_t>(offset), into.size(),
                into.begin());
    return {};
  };
  auto guesses = guess_array(input);
  EXPECT_TRUE(guesses) << guesses.error().message;
  return *guesses;
}

std::string text_of(const Guesses& guesses) {
  std::string text = guesses.verdict + "\n";
  for (const std::string& each : guesses.facts) text += "  " + each + "\n";
  for (const Guess& each : guesses.ranked) {
    text +=
        fmt::format("{:.2f} {} {} chunk {} at {} order", each.confidence, level_name(each.level),
                    layout_name(each.level, each.layout), each.chunk_bytes, each.data_offset_bytes);
    for (const std::size_t device : each.order) text += fmt::format(" {}", device);
    for (const std::string& sentence : each.evidence) text += "\n    " + sentence;
    text += "\n";
  }
  return text;
}

class MdGuess : public testing::TestWithParam<const char*> {};

TEST_P(MdGuess, FindsWhatTheSuperblocksSaid) {
  const Wiped from = wiped(GetParam());
  const Guesses guesses = guess(from);
  SCOPED_TRACE(text_of(guesses));
  ASSERT_FALSE(guesses.ranked.empty());
  const Guess& best = guesses.ranked.front();
  // What is the same with the members in another order.
  Superblock was = from.was;
  std::size_t turned = 0;
  if (was.level == 5 && was.layout == 4) was.level = 4, was.layout = 0, turned = 1;
  if (was.level == 6 && was.layout == 4) was.layout = 5, turned = 2;
  if (was.level == 6 && was.layout == 20) was.layout = 5, turned = 1;
  EXPECT_EQ(best.level, was.level);
  EXPECT_EQ(best.data_offset_bytes, from.was.data_offset_bytes);
  EXPECT_GT(best.confidence, 0.5);
  if (best.level == 1) return;
  EXPECT_EQ(best.layout, was.level == 0 ? 0 : was.layout);
  EXPECT_EQ(best.chunk_bytes, from.was.chunk_bytes);
  const std::uint64_t component = best.level == 0 ? from.was.data_bytes : from.was.component_bytes;
  if (best.data_offset_bytes == 0) {
    // What superblocks at the end kept cannot be seen.
    EXPECT_NEAR(static_cast<double>(best.component_bytes), static_cast<double>(component), 65536);
  } else {
    EXPECT_EQ(best.component_bytes / best.chunk_bytes, component / best.chunk_bytes);
  }
  std::vector<std::size_t> wanted = from.by_place;
  // Of parity-first-6 Q is last already.
  const auto last = wanted.end() - (from.was.layout == 20 ? 1 : 0);
  std::rotate(wanted.begin(), wanted.begin() + static_cast<std::ptrdiff_t>(turned), last);
  // Members with the same copies have no order.
  const bool near = best.level == 10 && best.layout >> 8 == 1;
  const std::size_t copies = best.layout & 255;
  for (std::size_t i = 0; near && wanted.size() % copies == 0 && i < wanted.size(); i += copies) {
    std::sort(wanted.begin() + static_cast<std::ptrdiff_t>(i),
              wanted.begin() + static_cast<std::ptrdiff_t>(i + copies));
  }
  EXPECT_EQ(best.order, wanted);
}

INSTANTIATE_TEST_SUITE_P(
    Md, MdGuess,
    testing::Values("raid0", "raid1-three", "v1.0-raid1", "raid4", "raid5-left-symmetric",
                    "raid5-right-asymmetric", "raid5-parity-first", "v0.90-raid5", "v1.1-raid5",
                    "v1.2-raid5-offset", "raid6-left-symmetric", "raid6-parity-first",
                    "raid6-ddf-N-continue", "raid6-left-asymmetric-6", "raid10-n2-3", "raid10-n2-4",
                    "raid10-f2-3", "raid10-f2-5", "raid10-o2-4", "raid10-f3-4"));

TEST(MdGuessMissing, Raid5WithoutAMember) {
  const Wiped from = wiped("raid5-left-symmetric");
  for (std::size_t without = 0; without < 4; ++without) {
    const Guesses guesses = guess(from, without);
    SCOPED_TRACE(text_of(guesses));
    ASSERT_FALSE(guesses.ranked.empty());
    EXPECT_EQ(guesses.ranked[0].level, 5);
    EXPECT_EQ(guesses.ranked[0].layout, 2u);
    EXPECT_EQ(guesses.ranked[0].chunk_bytes, 16 * kKiB);
    EXPECT_EQ(guesses.ranked[0].order, from.by_place);
  }
}

}  // namespace
}  // namespace ashlar::md
