// Goal: guesses are right where the content tells, and modest where it does not.
// Method: arrays in memory, laid out by the layout functions, with content of several kinds: text,
// something like a file system, zeros, random bytes. Hostile input costs no more than other input.
#include "md/guess.h"

#include <gtest/gtest.h>

#include <algorithm>

#include "base/random.h"
#include "md/layout.h"

namespace ashlar::md {
namespace {

using Bytes = std::vector<std::byte>;
constexpr std::uint64_t kStart = kMiB;

struct Members {
  std::vector<std::optional<Bytes>> members;
  std::uint64_t reads = 0;
};

// Text of words that come again and again.
Bytes text(std::uint64_t bytes) {
  Random random(1);
  std::vector<std::string> words;
  for (int i = 0; i < 300; ++i) {
    std::string word;
    for (std::uint64_t n = 2 + random.below(7); n > 0; --n) {
      word += "etaoinshrdlucmfwypvbgk"[std::min(random.below(22), random.below(22))];
    }
    words.push_back(word);
  }
  std::string all;
  for (std::uint64_t n = 0; all.size() < bytes; ++n) {
    all += words[std::min(random.below(300), random.below(300))];
    all += n % 11 == 10 ? ".\n" : " ";
  }
  all.resize(bytes);
  const ByteView view = as_bytes(all);
  return {view.begin(), view.end()};
}

// A superblock, tables that count, files of text, and holes.
Bytes file_system(std::uint64_t bytes) {
  Bytes all = text(bytes);
  Random random(2);
  for (std::uint64_t at = 0; at < bytes; at += 180 * kKiB) {
    const ByteSpan part = ByteSpan(all).subspan(at, std::min(180 * kKiB, bytes - at));
    const std::uint64_t kind = random.below(4);
    if (kind == 0) std::fill(part.begin(), part.end(), std::byte{0});
    for (std::uint64_t i = 0; kind == 1 && i < part.size(); i += 4) {
      store_le<std::uint32_t>(part, i, static_cast<std::uint32_t>((at + i) / 4 * 3));
    }
  }
  std::fill_n(all.begin(), 4096, std::byte{0});
  store_le<std::uint32_t>(all, 1024 + 4, static_cast<std::uint32_t>(bytes / 4096));
  store_le<std::uint32_t>(all, 1024 + 24, 2);
  store_le<std::uint16_t>(all, 1024 + 56, 0xef53);
  store_le<std::uint16_t>(all, 1024 + 58, 1);
  return all;
}

Bytes random_bytes(std::uint64_t bytes) {
  Bytes all(bytes);
  Random random(3);
  for (std::uint64_t at = 0; at + 8 <= bytes; at += 8) store_le(ByteSpan(all), at, random.next());
  return all;
}

// Members in the order of `order`: the member in place i is order[i].
Members array_of(const Geometry& geometry, const std::vector<std::size_t>& order,
                 Bytes (*content_of)(std::uint64_t)) {
  const auto layout = Layout::make(geometry);
  EXPECT_TRUE(layout) << layout.error().message;
  const Bytes content = content_of(layout->array_bytes());
  std::vector<Bytes> by_place(geometry.raid_disks, Bytes(kStart + geometry.component_bytes));
  for (std::uint64_t at = 0; at < content.size(); at += 4096) {
    for (std::uint32_t copy = 0; copy < layout->copies(); ++copy) {
      const Place place = layout->place(at, copy);
      std::copy_n(
          content.begin() + static_cast<std::ptrdiff_t>(at), 4096,
          by_place[place.role].begin() + static_cast<std::ptrdiff_t>(kStart + place.offset_bytes));
    }
  }
  for (std::uint64_t at = 0; layout->parity() && at < layout->parity()->member_bytes(); ++at) {
    const auto stripe = layout->parity()->stripe(at / geometry.chunk_bytes);
    std::byte sum{0};
    for (std::uint32_t role = 0; role < geometry.raid_disks; ++role) {
      if (role != stripe.p) sum ^= by_place[role][kStart + at];
    }
    by_place[stripe.p][kStart + at] = sum;
  }
  Members array;
  array.members.resize(order.size());
  for (std::size_t i = 0; i < order.size(); ++i) array.members[order[i]] = std::move(by_place[i]);
  return array;
}

Geometry geometry_of(std::int32_t level, std::uint32_t layout, std::uint32_t disks,
                     std::uint64_t chunk, std::uint64_t component) {
  return {level, layout, true, chunk, disks, component, std::vector(disks, component)};
}

Guesses guess(Members& array) {
  GuessInput input;
  for (const auto& each : array.members) {
    input.device_bytes.emplace_back();
    if (each) input.device_bytes.back() = each->size();
  }
  input.read = [&](std::size_t device, std::uint64_t offset, ByteSpan into) -> Result<void> {
    ++array.reads;
    std::copy_n(array.members[device]->begin() + static_cast<std::ptrdiff_t>(offset), into.size(),
                into.begin());
    return {};
  };
  auto guesses = guess_array(input);
  EXPECT_TRUE(guesses) << guesses.error().message;
  return *guesses;
}

void expect_found(const Geometry& geometry, const std::vector<std::size_t>& order,
                  Bytes (*content_of)(std::uint64_t), std::optional<std::size_t> without = {}) {
  Members array = array_of(geometry, order, content_of);
  if (without) array.members[*without].reset();
  const Guesses guesses = guess(array);
  SCOPED_TRACE(guesses.verdict);
  ASSERT_FALSE(guesses.ranked.empty());
  const Guess& best = guesses.ranked[0];
  EXPECT_EQ(best.level, geometry.level);
  EXPECT_EQ(best.layout, geometry.level == 0 ? 0 : geometry.layout);
  EXPECT_EQ(best.chunk_bytes, geometry.chunk_bytes);
  EXPECT_EQ(best.data_offset_bytes, kStart);
  EXPECT_EQ(best.component_bytes, geometry.component_bytes);
  EXPECT_EQ(best.order, order);
  EXPECT_GT(best.confidence, 0.5);
  EXPECT_FALSE(best.evidence.empty());
}

TEST(MdGuess, TextOverRaid0AndRaid5) {
  expect_found(geometry_of(0, 1, 3, 16 * kKiB, 2 * kMiB), {2, 0, 1}, text);
  expect_found(geometry_of(5, 2, 4, 16 * kKiB, 2 * kMiB), {2, 0, 3, 1}, text);
  expect_found(geometry_of(5, 0, 3, 8 * kKiB, kMiB), {2, 0, 1}, text);
}

TEST(MdGuess, FileSystemOverRaid5AndRaid10) {
  expect_found(geometry_of(5, 3, 4, 64 * kKiB, 4 * kMiB), {3, 0, 2, 1}, file_system);
  expect_found(geometry_of(10, 0x201, 3, 32 * kKiB, 2 * kMiB), {2, 1, 0}, file_system);
}

TEST(MdGuess, Raid5WithoutAMember) {
  expect_found(geometry_of(5, 2, 3, 16 * kKiB, 2 * kMiB), {2, 0, 1}, text, 1);
}

TEST(MdGuess, RandomBytesTellLittle) {
  Members striped = array_of(geometry_of(0, 1, 3, 16 * kKiB, kMiB), {0, 1, 2}, random_bytes);
  const Guesses nothing = guess(striped);
  if (!nothing.ranked.empty()) {
    EXPECT_LT(nothing.ranked[0].confidence, 0.2);
  }
  EXPECT_NE(nothing.verdict.find("cannot tell"), std::string::npos) << nothing.verdict;
  Members parity = array_of(geometry_of(5, 2, 4, 16 * kKiB, kMiB), {0, 1, 2, 3}, random_bytes);
  const Guesses level = guess(parity);
  if (!level.ranked.empty()) {
    EXPECT_LT(level.ranked[0].confidence, 0.2);
  }
  EXPECT_NE(level.verdict.find("the level is known"), std::string::npos) << level.verdict;
}

TEST(MdGuess, ZerosTellNothing) {
  Members array;
  array.members.assign(3, Bytes(3 * kMiB));
  const Guesses guesses = guess(array);
  EXPECT_TRUE(guesses.ranked.empty());
  EXPECT_NE(guesses.verdict.find("nothing but zeros"), std::string::npos);
}

TEST(MdGuess, ManyMembersAndOddSizesAreBounded) {
  Members array;
  for (std::size_t i = 0; i < kMaxGuessDevices; ++i) {
    array.members.emplace_back(random_bytes(300 * kKiB + 777 * i));
  }
  guess(array);
  EXPECT_LE(array.reads, kMaxGuessPages);
  Members tiny;
  tiny.members = {Bytes(0), Bytes(1), Bytes(511)};
  EXPECT_TRUE(guess(tiny).ranked.empty());
  GuessInput none;
  EXPECT_FALSE(guess_array(none));
  none.device_bytes = {std::nullopt, std::nullopt, 4096};
  EXPECT_FALSE(guess_array(none));
}

TEST(MdGuess, ErrorsOfReadingAreReported) {
  GuessInput input;
  input.device_bytes = {kMiB, kMiB};
  input.read = [](std::size_t, std::uint64_t offset, ByteSpan) -> Result<void> {
    return make_error(Errc::io, "byte {} cannot be read", offset);
  };
  const auto guesses = guess_array(input);
  ASSERT_FALSE(guesses);
  EXPECT_EQ(guesses.error().message, "byte 0 cannot be read");
}

}  // namespace
}  // namespace ashlar::md
